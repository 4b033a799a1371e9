"""The base's training rows: what they show, what they ask to be written, and which documents they are made of."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.grounding import base_rows, rewriting, rows, talk
from pipelines.grounding.data import SQUAD_DEV, SQUAD_TEST, Pair, part_of, read_squad
from pipelines.grounding.handbook import _FILLERS, PLACES, THINGS, Fact, handbook_row
from pipelines.grounding.rows import GroundingRow, Notes, made_note_rows, note_rows, reply_rows
from pipelines.grounding.tables import _GOODS, _PLACES, TableRow, table_row
from toolkit.prompts import (
    REWRITE_TASK,
    SHORT_TASK,
    UNTOLD,
    Message,
    Turn,
    answer_messages,
    rewrite_messages,
    short_messages,
)

LAMP = (
    "The Ember lamp was first sold in Bergen in 1987. It burns for 38 hours on a full battery. "
    "Anna Brandt designed the lamp. A spare glass for it costs nine euros."
)
# What the lamp's glass costs stands here as well, in other letters: no row may take it for telling nothing.
SHOP = "Nine euros is what the spare glass costs. The shop in Bergen has four rooms. Anna likes the harbour view."
STRAP = "The strap of the lamp is made of leather. It is sewn by hand in the north of Norway."


def pair(question: str, answer: str | None, passage: str = LAMP, **changes: Any) -> Pair:
    values: dict[str, Any] = {
        "set": "squad2_dev", "question": question, "passage": passage, "answer": answer,
        "answerable": answer is not None, "doc": "Ember_lamp", "how": "human",
    }  # fmt: skip
    return Pair(**(values | changes))


PAIRS = [
    pair("Who designed the Ember lamp?", "Anna Brandt"),
    pair("When was the Ember lamp first sold?", "1987"),
    pair("What does a spare glass for the Ember lamp cost?", "nine euros"),
    pair("How long does the Ember lamp burn?", "38 hours"),
    pair("What is the strap of the Ember lamp made of?", "leather", STRAP),
    pair("How many rooms does the shop of the Ember lamp have?", "four", SHOP),
    pair("Who repaired the Ember lamp?", None),
    pair("How heavy is the Storm kite?", "300 grams", "The Storm kite weighs 300 grams. It is red.", doc="Storm_kite"),
    pair("Who flew the Storm kite?", "Ben Marsh", "Ben Marsh flew the Storm kite twice.", doc="Storm_kite"),
]


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave questions as they are, so that a row tells which pair it was made of."""
    monkeypatch.setattr(rows, "_AS_ASKED_SHARE", 0)


def made(times: int = 60) -> list[GroundingRow]:
    found: list[GroundingRow] = []
    for seed in range(times):
        chance = random.Random(seed)
        found += note_rows(PAIRS, Notes(PAIRS, chance), chance)
    return found


def shown(row: GroundingRow) -> tuple[list[str], str]:
    """Return the notes and the question that a row shows."""
    listed, _, question = row.messages[-1]["content"].rpartition("\n\nQuestion: ")
    return re.split(r"\n\[\d+\] ", listed.removeprefix("Notes:"))[1:], question


def test_rows_show_the_very_messages_of_serving(tmp_path: Path) -> None:
    chance = random.Random(0)
    found = made(20) + made_note_rows(chance, 200) + reply_rows(write_data(tmp_path), "train", chance)
    assert {row.task for row in found} == {"short", "untold", "answer", "reply"}
    for row in found:
        notes, question = shown(row)
        if row.task in ("short", "untold"):
            assert row.messages == short_messages(question, notes)
        else:
            assert row.messages[0]["content"] in rows.SYSTEMS
            assert row.messages == answer_messages(row.messages[0]["content"], question, notes)
        assert notes and row.reply.strip() == row.reply != ""
        assert (row.reply == UNTOLD) == (row.task == "untold")


@pytest.mark.usefixtures("as_written")
def test_notes_of_a_short_answer_hold_it_and_those_of_a_refusal_do_not() -> None:
    of = {item.question: item for item in PAIRS}
    untold = 0
    for row in made(150):
        notes, question = shown(row)
        answer = of[question].answer
        if row.task == "untold":
            untold += answer is not None
            assert answer is None or answer.lower() not in " ".join(notes).lower()
        else:
            assert answer and any(answer in note for note in notes)
            assert row.task != "short" or row.reply == answer
            assert row.task != "answer" or answer.lower() in row.reply.lower()
    assert untold > 50


@pytest.mark.usefixtures("as_written")
def test_the_note_that_tells_stands_anywhere() -> None:
    places = [
        next(at for at, note in enumerate(shown(row)[0]) if "1987" in note)
        for row in made(150)
        if row.task == "short" and row.reply == "1987" and len(shown(row)[0]) > 1
    ]
    assert 0.3 < places.count(0) / len(places) < 0.75
    assert max(places) >= 2


def test_replies_are_sentences_of_their_own() -> None:
    pronoun = pair("How long does the Ember lamp burn?", "38 hours")
    sentence = rows.sentence_with(LAMP, "38 hours", pronoun.question)
    assert sentence == "It burns for 38 hours on a full battery."
    assert rows.sentence_reply(pronoun, sentence) == "Ember lamp burns for 38 hours on a full battery."
    long = "Anna Brandt, " + "who had done so before, " * 6 + "designed the lamp."
    asked = pair("Who designed the Ember lamp?", "Anna Brandt", long)
    assert rows.sentence_reply(asked, long) == "Anna Brandt designed the Ember lamp."
    nothing = pair("Why?", "because")
    assert rows.sentence_reply(nothing, None) is None
    faq = pair("Is there parking?", "Yes, there is parking.", "...", set="dstc9_faq")
    assert (rows.short_form(faq), rows.sentence_reply(faq, None)) == ("Yes", "Yes, there is parking.")


def test_long_passages_are_cut_at_a_sentence() -> None:
    text = "This is a sentence of six words. " * 60
    assert rows.cut(LAMP) == LAMP
    assert len(rows.cut(text)) <= 900 and rows.cut(text).endswith("words.")


def fact_of(sentence: str, name: str) -> Fact | None:
    """Return the kind of fact that a made-up sentence states about a name: that whose wording fits best."""
    found: list[tuple[int, Fact]] = []
    for fact in THINGS + PLACES:
        for text in fact.stated:
            said = re.escape(text).replace(r"\{n\}", re.escape(name))
            said = said.replace(r"\{v\}", ".+").replace(r"\{p\}", r"\w+")
            if re.fullmatch(said, sentence, re.IGNORECASE):
                found.append((len(text), fact))
    return max(found, key=lambda item: item[0], default=(0, None))[1]


def asks(fact: Fact, question: str, name: str) -> bool:
    patterns = (re.escape(text).replace(r"\{n\}", re.escape(name)).replace(r"\{p\}", r"\w+") for text in fact.asked)
    return any(re.fullmatch(pattern, question, re.IGNORECASE) for pattern in patterns)


def test_handbooks_state_what_is_asked_or_do_not() -> None:
    answerable = 0
    for seed in range(150):
        row = handbook_row(random.Random(seed))
        name = row.heading.partition(" > ")[0]
        facts = [fact_of(sentence, name) for sentence in row.sentences]
        assert all(fact or sentence in _FILLERS or name not in sentence
                   for fact, sentence in zip(facts, row.sentences, strict=True))  # fmt: skip
        telling = [at for at, fact in enumerate(facts) if fact and asks(fact, row.question, name)]
        if row.told is None:
            assert row.answer is None and telling == []
        else:
            answerable += 1
            assert telling == [row.told]
            assert row.answer and row.answer.lower() in row.sentences[row.told].lower()
    assert 65 < answerable < 115
    assert handbook_row(random.Random(3)) == handbook_row(random.Random(3))


def test_the_other_thing_of_a_handbook_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["Alder Pro", "Alder Pro", "Birch Mini"] * 20)
    monkeypatch.setattr("pipelines.grounding.handbook.name_of", lambda goods, chance: next(names))
    for seed in range(20):
        row = handbook_row(random.Random(seed), answerable=0)
        assert row.heading.startswith("Alder Pro") and row.told is None


def cells_of(row: TableRow, name: str) -> list[str] | None:
    """Return the headings that the row of a name has values under; None where there is no such row."""
    lines = row.passage.split("\n")
    if " | " in lines[0]:
        headings = lines[0].split(" | ")
        return headings if any(line.split(" | ")[0] == name for line in lines[1:]) else None
    for line in lines:
        cells = line.split("; ")
        if cells[0].rpartition(": ")[2] == name:
            return [cell.partition(": ")[0] for cell in cells[1:]]
    return None


def test_tables_have_the_cell_that_is_asked_for_or_lack_it() -> None:
    lacking = 0
    for seed in range(400):
        row = table_row(random.Random(seed))
        fits = []
        for attribute in (*_GOODS, *_PLACES):
            for heading in attribute.headings:
                for asked in attribute.questions:
                    pattern = re.escape(asked).replace(r"\{a\}", re.escape(heading.lower()))
                    if found := re.fullmatch(pattern.replace(r"\{n\}", r"((?!the )[A-Z].*)"), row.question):
                        fits.append((len(asked), attribute, found.group(1)))
        _, attribute, name = max(fits, key=lambda item: item[0])
        cells = cells_of(row, name)
        if row.answer:
            value = row.passage[slice(*row.answer)]
            assert cells and set(cells) & set(attribute.headings) and value in row.claim
        else:
            lacking += 1
            assert cells is None or not set(cells) & set(attribute.headings)
        assert name in row.claim
    assert 100 < lacking < 250


def test_made_follow_ups_can_be_told_from_what_was_asked() -> None:
    found = rewriting.made_rows(PAIRS, random.Random(0), 200)
    assert len(found) == 200
    changed = 0
    for row in found:
        said = row.messages[-1]["content"]
        follow_up = said.rpartition("\nLast question: ")[2]
        assert row.task == "rewrite" and row.messages[0]["content"] == REWRITE_TASK and "\nLast question: " in said
        assert re.search("Ember lamp|Storm kite", row.reply)
        changed += follow_up != row.reply
        words = set(re.findall(r"\w+", said.lower()))
        assert set(re.findall(r"\w+", row.reply.lower())) <= words, "every word of it was said before"
    assert 50 < changed < 200


def test_followed_up_by_pronoun_name_and_alone() -> None:
    lamp, kite, chance = PAIRS[0], PAIRS[7], random.Random(1)
    row = rewriting._by_pronoun(lamp, PAIRS[3], kite, chance)
    assert row and row.reply == "How long does the Ember lamp burn?"
    assert re.search(r"Last question: How long does (it|they|that|this one|there|he|she) burn\?$", last(row))
    row = rewriting._by_another_name(lamp, PAIRS[3], kite, chance)
    assert row and row.reply == "Who designed Storm kite?" and "Storm kite" in last(row)
    row = rewriting._standing_alone(lamp, PAIRS[3], kite, chance)
    assert row and row.reply == kite.question and last(row).endswith(f"Last question: {kite.question}")
    faq = [pair(f"Lamp House: {asked}", "Yes.", set="dstc9_faq", doc="hotel:Lamp House") for asked in ("Pool?", "Bar?")]
    row = rewriting._by_leaving_out(faq[0], faq[1], kite, chance)
    assert row and row.reply == "Bar at Lamp House?" and "Asked: Pool at Lamp House?" in last(row)


def last(row: GroundingRow) -> str:
    return row.messages[-1]["content"]


def test_conversations_are_split_whole(tmp_path: Path) -> None:
    assert len({rewriting.conversation_part(f"abc<::>{turn}") for turn in range(9)}) == 1
    folder = write_data(tmp_path)
    parts = {part: rewriting.people_rows(folder, part) for part in ("train", "dev", "test")}
    assert sum(map(len, parts.values())) == 120 and len(parts["train"]) > len(parts["dev"]) > 0 < len(parts["test"])
    names = [{re.findall(r"lamp \d+", row.reply)[0] for row in found} for found in parts.values()]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
    row = parts["train"][0]
    lamp = re.findall(r"lamp \d+", row.reply)[0]
    history = [Turn(f"who made {lamp}", ""), Turn(f"where is {lamp} sold", "")]
    assert row.messages in (rewrite_messages("and when?", history), rewrite_messages("how much?", history[:1]))


def test_manners_name_only_what_the_system_message_names() -> None:
    subjects = sorted(talk._SUBJECTS, key=len, reverse=True)
    names = {*talk._FIRST, *talk._SECOND, *talk._PEOPLE}
    kinds = set()
    for row in talk.talk_rows(random.Random(0), 1500):
        system = row.messages[0]["content"]
        own = re.search(r"\nYour name is (.+?)\. You can tell about: (.+)\.$", system)
        assert row.task == "talk" and own and system[: own.start()] in rows.SYSTEMS
        known = own.group(2).split(", ")
        assert set(known) <= set(subjects)
        for reply in (row.reply, *(turn["content"] for turn in row.messages if turn["role"] == "assistant")):
            said = reply.replace(own.group(1), "")
            assert not {word for word in names if re.search(rf"\b{word}\b", said)}
            for subject in subjects:  # the longest first: "the loan library" is no loan
                assert subject in known or not re.search(rf"\b{subject}\b", said)
                said = said.replace(subject, "")
            assert "{" not in reply
        kinds.add(row.messages[-1]["content"])
    assert len(kinds) > 150


def test_nothing_is_trained_on_what_is_kept_for_choosing_and_testing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_data(tmp_path)
    for name in ("_MADE_NOTES", "_MADE_FOLLOW_UPS", "_TALK"):
        monkeypatch.setattr(base_rows, name, 20)
    assert [part_of("squad2_dev", doc) for doc in (*SQUAD_TEST, *SQUAD_DEV)] == ["test"] * 3 + ["dev"]
    made_up = base_rows.Rows(folder, folder / "dev_part.json")
    kept = [item for item in made_up.pairs if item.part != "train"]
    assert {item.doc for item in kept} >= {*SQUAD_TEST, *SQUAD_DEV}
    assert {"qed_nq_train"} == {item.set for item in kept} - {"squad2_dev"}, "one document in twenty of other sets"
    told = "".join(text["content"] for row in every(made_up) for text in row.messages)
    assert "lamp of Force" in told
    for item in kept:
        assert item.passage not in told and item.question not in told
    assert list(every(made_up)) == list(every(base_rows.Rows(folder, folder / "dev_part.json")))


def every(made_up: base_rows.Rows) -> Iterator[GroundingRow]:
    for part in range(2):
        yield from made_up.part(0, part, 2)


def test_batches_hold_each_row_once_and_keep_to_the_tokens() -> None:
    encoded = [([0] * length, [0] * length) for length in (random.Random(0).choices(range(5, 200), k=150))]
    found = list(base_rows.batches(encoded, 600, 1))
    assert sorted(index for batch in found for index in batch) == list(range(150))
    for batch in found:
        lengths = [len(encoded[index][0]) for index in batch]
        assert len(batch) * (max(lengths) // 16 * 16) <= 600
    assert found == list(base_rows.batches(encoded, 600, 1)) != list(base_rows.batches(encoded, 600, 2))


def write_rows(file: Path, found: list[dict[str, Any]]) -> None:
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in found)


def write_data(folder: Path) -> Path:
    """Write a few made-up rows in the form of every public set."""
    given, replies, asked = [], [], []
    for number in range(60):
        text = f"The lamp {number} burns for {number + 3} hours. It was made in Bergen. Anna Brandt designed it."
        asks = f"how long does the lamp {number} burn"
        given.append({"set": "qed_nq_train", "question": asks, "passage": text, "answer": f"{number + 3} hours",
                      "label": 1, "doc": f"lamp {number}", "how": "given"})  # fmt: skip
        replies.append({"set": "dstc9_response", "doc": f"shop:{number // 2}", "question": "Is there parking?",
                        "passage": f"Shop {number}. Parking? Parking is free at shop {number}.",
                        "answer": f"Yes, parking is free at shop {number}. Shall I book it?"})  # fmt: skip
        first = f"|user|: who made lamp {number}"
        second = f"{first}\n|user|: where is lamp {number} sold\n|user|: and when?"
        asked.append({"id": f"c{number}<::>2", "conversation": f"{first}\n|user|: how much?",
                      "alone": f"|user|: How much is lamp {number}?"})  # fmt: skip
        asked.append({"id": f"c{number}<::>3", "conversation": second,
                      "alone": f"|user|: When is lamp {number} sold?"})  # fmt: skip
    write_rows(folder / "answerability.jsonl.gz", given)
    write_rows(folder / "replies.jsonl.gz", replies)
    write_rows(folder / "followups.jsonl.gz", asked)
    articles = [
        {"title": title, "paragraphs": [
            {"context": f"{text} This is of {title}.", "qas": [
                {"question": f"Who designed the lamp of {title} {at}?", "is_impossible": False,
                 "answers": [{"text": "Anna"}, {"text": "Anna Brandt"}, {"text": "Anna Brandt"}]},
                {"question": f"Who repaired the lamp of {title} {at}?", "is_impossible": True, "answers": []},
            ]} for at, text in enumerate((LAMP, STRAP + " Anna Brandt sews.", SHOP + " Anna Brandt owns it."))
        ]}
        for title in ("Force", *SQUAD_TEST, *SQUAD_DEV)
    ]  # fmt: skip
    (folder / "dev_part.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    return folder


def test_the_usual_answer_of_squad_is_taken(tmp_path: Path) -> None:
    found = read_squad(write_data(tmp_path) / "dev_part.json")
    assert {item.answer for item in found} == {"Anna Brandt", None}
    assert found[0].title == "Force" and found[1].answerable is False
    assert part_of("squad2_train10", "Imperialism") == "train"


def test_short_tasks_are_named() -> None:
    messages: list[Message] = short_messages("How?", ["so"])
    assert messages[0]["content"] == SHORT_TASK and UNTOLD in SHORT_TASK
