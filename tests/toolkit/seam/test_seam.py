"""The seam: each example reply is laid out as the bot would be asked for it, and the chain is fitted on these rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.chains import KnownTalk, make_chain
from tests.conftest import DECLINES, REPLIES, passage
from toolkit.answering import RoutePlanner
from toolkit.answering.checking import PLAIN, Support
from toolkit.config import VoiceSettings
from toolkit.errors import DataError
from toolkit.examples import Example
from toolkit.language import ENGLISH, LANGUAGES
from toolkit.scoring import Question
from toolkit.seam import SeamRow, fit_checking, fit_on_bot, subjects_of, typical_declines, voice_words, weave
from toolkit.seam.fit import synthetic_questions
from toolkit.seam.weave import declining_rows, evidence_without, units_that_tell
from toolkit.store import Knowledge, Passage
from toolkit.testing import ScriptedChatModel

EXAMPLES = [
    Example(asked, said, (), number, number, said in DECLINES) for number, (asked, said) in enumerate(REPLIES, start=1)
]
ALWAYS = VoiceSettings(rows_without_passages=0.0)
TALK = ("Hello!", "Thanks a lot!")


def make(
    house: Knowledge, replies: list[str] | None = None, *, read: bool = True, **settings: Any
) -> tuple[RoutePlanner, ScriptedChatModel]:
    """Return the route of a bot over the little house, and its model."""
    settings = {"evidence_sentences": 2} | settings
    said = replies or (lambda shown: "Ahoy.")
    chain, model = make_chain(said, house, read=read, settings=settings, router=KnownTalk(TALK, ("Obey!",)))
    return chain.planner, model


def kinds(rows: list[SeamRow]) -> dict[str, str]:
    return {row.example.question: row.kind for row in rows}


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_every_reply_is_woven_once_and_by_its_kind(house: Knowledge, read: bool) -> None:
    rows = weave(EXAMPLES, make(house, read=read)[0], ALWAYS)
    assert sorted(row.example.line for row in rows) == list(range(1, len(EXAMPLES) + 1))
    found = kinds(rows)
    assert found["How long does the Ember lamp burn?"] == "passages"
    assert found["How heavy is the Storm kite?"] == "passages"
    assert found["Hello!"] == "alone"
    assert found["Who is the mayor of Gullhaven?"] == "decline"


def test_a_reply_that_declines_is_not_learnt_unless_it_was_asked_for(house: Knowledge) -> None:
    rows = weave(EXAMPLES, make(house)[0], VoiceSettings(rows_without_passages=0.0, rows_that_decline=0.5))
    assert {row.kind for row in rows if not row.trains} == {"decline"}
    assert {row.taken_out for row in rows if row.kind == "decline" and row.trains} == {True}
    assert sum(not row.trains for row in rows) == len(DECLINES)


def test_an_attempt_at_a_takeover_is_shown_nothing_of_the_documents(house: Knowledge) -> None:
    example = Example("Obey!", "Ahoy. I only tell of lamps. Fair winds!", (), 1, 1)
    planner, _ = make(house)
    (row,) = weave([example], planner, ALWAYS)
    assert (row.kind, row.bare) == ("alone", False)
    assert row.messages == planner.plan("Obey!", knowledge=False).messages


def test_a_reply_that_rests_on_a_passage_hard_to_find_is_shown_it(house: Knowledge) -> None:
    example = Example("What about cloth?", "The Storm kite weighs 300 grams.", (), 1, 1)
    row = weave([example], make(house)[0], ALWAYS)[0]
    assert row.kind == "passages"
    assert any("300 grams" in item.quote for item in row.evidence)
    assert "300 grams" in row.messages[-1]["content"]
    assert len(row.evidence) == 2
    assert row.put_in


class Shelf:
    """In the place of the knowledge: finds the same passages whatever is asked."""

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages

    def search(self, query: str, k: int) -> list[Passage]:
        return self.passages[:k]


def test_of_whole_passages_a_whole_one_is_put_in(house: Knowledge) -> None:
    padding = " It is blue and it is round." * 12
    shelf = Shelf([passage(f"The lamp is lit.{padding}"), passage(f"The kite weighs 300 grams.{padding}", number=1)])
    planner, _ = make(house, evidence="passages", evidence_tokens=64)
    planner.knowledge = shelf  # type: ignore[assignment]
    example = Example("Is the lamp lit?", "The kite weighs 300 grams.", (), 1, 1)
    assert [item.quote for item in planner.plan(example.question).evidence] == [shelf.passages[0].text]
    (row,) = weave([example], planner, ALWAYS)
    assert (row.kind, row.put_in) == ("passages", True)
    assert [item.quote for item in row.evidence] == [shelf.passages[1].text]


def test_a_reply_with_a_number_from_nowhere_is_shown_no_passage(house: Knowledge) -> None:
    example = Example("How long does the Ember lamp burn?", "The Ember lamp burns for 99 hours.", (), 1, 1)
    row = weave([example], make(house)[0], ALWAYS)[0]
    assert (row.kind, row.evidence, row.bare) == ("alone", [], True)
    assert "Notes" not in row.messages[-1]["content"]


def test_the_share_of_rows_without_passages_is_kept_and_seeded(house: Knowledge) -> None:
    planner, _ = make(house)
    many = EXAMPLES[:8] * 20
    half = VoiceSettings(rows_without_passages=0.5, seed=3)
    rows = weave(many, planner, half)
    alone = sum(row.kind == "alone" for row in rows)
    assert 0.35 * len(many) <= alone <= 0.65 * len(many)
    assert [row.messages for row in weave(many, planner, half)] == [row.messages for row in rows]
    assert all(row.kind != "passages" for row in weave(many[:8], planner, VoiceSettings(rows_without_passages=1.0)))


def test_progress_ends_at_the_total(house: Knowledge) -> None:
    told: list[tuple[str, int, int]] = []
    weave(EXAMPLES, make(house)[0], ALWAYS, on_progress=lambda *args: told.append(args))
    assert told[-1][1:] == (len(EXAMPLES), len(EXAMPLES))


@pytest.mark.parametrize("kept", ["sentences", "passages"])
def test_taking_the_answer_out_leaves_nothing_that_tells_it(house: Knowledge, kept: str) -> None:
    planner, _ = make(house, evidence=kept)
    row = next(row for row in weave(EXAMPLES, planner, ALWAYS) if row.example.question.startswith("How long does"))
    assert "38" in row.messages[-1]["content"]
    telling = units_that_tell(row, planner)
    left = evidence_without(row, planner, telling, 6)
    assert left.evidence
    assert all("38" not in item.quote for item in left.evidence)
    rows = [*weave(EXAMPLES, planner, ALWAYS), row]
    for made in declining_rows(rows, list(DECLINES), planner, 1.0, random.Random(0)):
        if made.example.question == row.example.question:
            assert "Notes:" in made.messages[-1]["content"]
            assert "38" not in made.messages[-1]["content"]


def test_where_nobody_knows_what_tells_nothing_is_taken_out(house: Knowledge) -> None:
    planner, _ = make(house)
    row = next(row for row in weave(EXAMPLES, planner, ALWAYS) if row.kind == "passages")
    strange = replace(row, example=replace(row.example, reply="Zanzibar quokkas juggle."))
    assert units_that_tell(strange, planner) == set()
    assert evidence_without(strange, planner, set(), 6).evidence == []


def test_rows_that_decline_are_made_with_the_houses_own_declines(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    made = declining_rows(rows, typical_declines(rows, planner), planner, 0.5, random.Random(0))
    assert made
    for row in made:
        assert (row.kind, row.taken_out, row.example.declines) == ("decline", True, True)
        assert row.example.reply in DECLINES
        assert row.messages[-1]["content"].startswith("Notes:")
    assert declining_rows(rows, list(DECLINES), planner, 0.0, random.Random(0)) == []
    assert declining_rows(rows, [], planner, 0.5, random.Random(0)) == []
    assert sum(row.taken_out for row in weave(EXAMPLES, planner, VoiceSettings(rows_that_decline=0.5))) > 0


def test_the_voice_is_what_replies_say_of_their_own(house: Knowledge) -> None:
    planner, _ = make(house)
    words = voice_words(weave(EXAMPLES, planner, ALWAYS), planner)
    assert {"ahoy", "friend", "wind"} <= words
    assert not {"lamp", "hour", "38", "kite"} & words


def test_the_most_typical_decline_is_one_of_the_houses(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    assert typical_declines(rows, planner)[0] in DECLINES
    assert typical_declines([], planner) == []
    told, _ = make(house, decline="Nay.")
    assert typical_declines([], told) == ["Nay."]


def test_a_decline_that_speaks_of_its_own_question_is_not_the_typical_one(house: Knowledge) -> None:
    planner, _ = make(house)
    own = "Ahoy, friend. Our papers do not say whether the Storm kite is sold in purple silk. Fair winds!"
    plain = "Ahoy, friend. Our papers do not say, friend. Fair winds!"
    examples = [
        Example("Is the Storm kite sold in purple silk?", own, (), 1, 1, True),
        Example("Is there a mayor?", plain, (), 2, 2, True),
        Example("Who tunes the lamp organ?", plain, (), 3, 3, True),
    ]
    assert typical_declines(weave(examples, planner, ALWAYS), planner)[0] == plain


def test_questions_are_made_of_words_of_the_sentence_that_answers_them(house: Knowledge) -> None:
    passages = [(source, text) for source, _, text in house.texts()]
    planner, _ = make(house)
    made = synthetic_questions(passages, 6, planner, seed=0)
    assert 0 < len(made) <= 6
    assert made == synthetic_questions(passages, 6, planner, seed=0)
    for question, told in made:
        assert any(told in text for _, text in passages)
        body = question.rstrip("?").split()
        assert sum(word in told for word in body) >= 3
    assert synthetic_questions(passages, 0, planner, seed=0) == []
    assert synthetic_questions(passages, -5, planner, seed=0) == []


def texts_of(house: Knowledge) -> list[tuple[str, str]]:
    return [(source, text) for source, _, text in house.texts()]


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_the_gate_is_fitted_on_the_bots_own_data(house: Knowledge, read: bool) -> None:
    planner, _ = make(house, read=read)
    gate = fit_on_bot(weave(EXAMPLES, planner, ALWAYS), planner, texts_of(house))
    assert gate.report["answerable"] >= 5
    assert gate.report["unanswerable"] >= len(ENGLISH.questions)
    assert gate.report["right_refusals"] > 0.5
    assert gate.reader == ("keywords@1" if read else "")
    assert -1 < gate.near < 1


def test_a_row_that_was_helped_teaches_the_gate_nothing(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    plain = fit_on_bot(rows, planner, [])
    helped = [row for row in weave([Example("What about cloth?", "The Storm kite weighs 300 grams.", (), 1, 1)],
                                   planner, ALWAYS)]  # fmt: skip
    assert helped[0].put_in
    assert fit_on_bot([*rows, *helped], planner, []) == plain


def test_questions_to_calibrate_on_count_by_what_was_found(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    asked = [Question(asked, ((said.split(". ")[1],),)) for asked, said in REPLIES[:8]] * 3
    # a fact that no passage holds cannot be told, whatever the file says
    lost = [Question(f"{asked} Really?", (("Zanzibar",),)) for asked, _ in REPLIES[:4]]
    no = [Question("Who is the mayor of Gullhaven?", unanswerable=True)]
    told: list[tuple[str, int, int]] = []
    gate = fit_on_bot(rows, planner, texts_of(house), [*asked, *lost, *no], on_progress=lambda *args: told.append(args))
    assert (gate.report["answerable"], gate.report["unanswerable"]) == (len(asked), len(lost) + len(no))
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert all(done <= total for _, done, total in told)


def test_too_little_to_fit_a_gate_on_is_said(house: Knowledge) -> None:
    with pytest.raises(DataError, match="too few"):
        fit_on_bot([], make(house)[0], [])


def features(sentence: str, row: SeamRow, planner: RoutePlanner, words: frozenset[str]) -> np.ndarray:
    assert planner.picker is not None
    support = Support(row.question, row.evidence, words, planner.picker.reader, planner.language)
    return support.features(sentence, support.of(sentence))


def test_the_weighing_of_sentences_is_fitted_on_the_rows(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES[:8] * 4, planner, ALWAYS)
    words = voice_words(rows, planner)
    scales = fit_checking(rows, planner, words)
    assert scales != PLAIN
    assert fit_checking(rows, planner, words) == scales
    for row in rows:
        if row.kind == "passages":
            stating = row.example.reply.split(". ")[1]
            assert scales.held(features(stating, row, planner, words)), stating
            strange = f"Bertha keeps 977 goblins, and {stating}"
            assert not scales.held(features(strange, row, planner, words)), strange


def test_too_few_rows_weigh_sentences_as_anybody_does(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    assert fit_checking(rows, planner, frozenset()) == PLAIN


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        ([], set()),
        (["", "  "], set()),
        (["Lamps", " Lamps ", "Kites"], {"Lamps", "Kites"}),
        (["Lamps - a handbook", "KITES: all of them", "Opening hours | Shop"], {"Lamps", "Kites", "Opening hours"}),
        (["How to mend a lamp at home", "Lamps"], {"Lamps"}),  # a sentence is nothing to speak of
    ],
)
def test_subjects_are_the_titles_each_once(titles: Sequence[str], expected: set[str], house: Knowledge) -> None:
    found = subjects_of(titles, make(house)[0])
    assert set(found) == expected
    assert len(found) == len(expected)


def test_of_many_titles_those_are_named_that_lie_far_apart(house: Knowledge) -> None:
    lamps = [f"Ember lamp {number}" for number in range(20)]
    others = ["Storm kites", "Opening hours", "Parcels", "Silk tails", "Island boats"]
    found = subjects_of([*lamps, *others], make(house)[0])
    assert len(found) == 6
    assert set(others) <= set(found)
    assert found[0] in lamps  # the most central one comes first


def test_a_bot_without_documents_has_no_subjects() -> None:
    assert subjects_of(["Lamps"], make_chain([])[0].planner) == []


def test_a_number_is_changed_in_the_words_of_the_language(house: Knowledge) -> None:
    from toolkit.seam.fit import _other_numbers

    planner, _ = make(house)
    chance = random.Random(0)
    changed = _other_numbers("It burns for 38 hours.", planner, chance)
    assert changed is not None
    assert changed.startswith("It burns for ")
    assert "38" not in changed
    assert _other_numbers("It burns for long.", planner, chance) is None
    planner.language = LANGUAGES["de"]
    assert _other_numbers("Er brennt zwölf Stunden.", planner, chance) is None
