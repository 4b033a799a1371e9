"""The seam: an example reply is trained on with exactly what the chain will show the model when it serves."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.conftest import REPLIES
from toolkit.answering import Chain, EvidencePicker
from toolkit.config import ChainSettings, VoiceSettings
from toolkit.errors import DataError
from toolkit.examples import Example
from toolkit.language import Lexicon
from toolkit.prompts import Turn
from toolkit.seam import SeamRow, fit_on_bot, typical_declines, voice_words, weave
from toolkit.seam.fit import synthetic_questions
from toolkit.seam.weave import declining_rows, evidence_without_answer
from toolkit.store import Knowledge
from toolkit.testing import ScriptedChatModel

EXAMPLES = [Example(asked, said, (), number, number) for number, (asked, said) in enumerate(REPLIES, start=1)]
ALWAYS = VoiceSettings(rows_without_passages=0.0)


def make(house: Knowledge, replies: list[str] | None = None, **settings: Any) -> tuple[Chain, ScriptedChatModel]:
    model = ScriptedChatModel(replies=replies or [])
    picker = EvidencePicker(house.embedder, Lexicon.of(text for _, _, text in house.texts()))
    options = ChainSettings(evidence_sentences=2, **settings)
    return Chain(model, options, decline="No.", knowledge=house, k=4, picker=picker), model


def kinds(rows: list[SeamRow]) -> dict[str, str]:
    return {row.example.question: row.kind for row in rows}


def test_every_reply_is_woven_once_and_by_its_kind(house: Knowledge) -> None:
    rows = weave(EXAMPLES, make(house)[0], ALWAYS)
    assert sorted(row.example.line for row in rows) == list(range(1, len(EXAMPLES) + 1))
    found = kinds(rows)
    assert found["How long does the Ember lamp burn?"] == "passages"
    assert found["How heavy is the Storm kite?"] == "passages"
    assert found["Hello!"] == "alone"
    assert found["Who is the mayor of Gullhaven?"] == "decline"


def test_rows_hold_what_the_chain_serves(house: Knowledge) -> None:
    chain, _ = make(house)
    rows = weave(EXAMPLES, chain, ALWAYS)
    told = [row for row in rows if row.kind in ("passages", "decline")]
    assert len(told) >= 8
    for row in rows:
        served = chain.prepare(row.example.question)
        if row.kind == "alone" and served.evidence:
            continue  # shown without passages on purpose: the documents do not hold what it says
        assert row.messages == served.messages, row.example.question


def test_small_talk_is_trained_as_it_is_served(own_house: Knowledge) -> None:
    chain, _ = make(own_house)
    asked = "Who are you?"
    own_house.add_documents([_document("We are the keepers of the lamp. Who are you, the lamp asks.")])
    example = Example(asked, "We are the keepers of the lamp.", (), 1, 1)
    row = weave([example], chain, ALWAYS)[0]
    assert row.messages == chain.prepare(asked).messages


def _document(text: str) -> Any:
    from langchain_core.documents import Document

    return Document(page_content=text, metadata={"source": "keepers.md"})


def test_a_follow_up_is_trained_as_it_is_served(house: Knowledge) -> None:
    history = (Turn("How long does the Ember lamp burn?", "It burns for 38 hours."),)
    example = Example("What does it cost?", "Ahoy. The Ember lamp costs 40 euros.", history, 1, 1)
    chain, model = make(house, ["What does the Ember lamp cost?"] * 2)
    row = weave([example], chain, ALWAYS)[0]
    served = chain.prepare(example.question, history)
    assert row.question == served.rewritten == "What does the Ember lamp cost?"
    assert row.messages == served.messages
    assert [call.adapter for call in model.calls] == [False, False]


def test_a_reply_that_rests_on_a_passage_hard_to_find_is_shown_it(house: Knowledge) -> None:
    example = Example("What about cloth?", "The Storm kite weighs 300 grams.", (), 1, 1)
    row = weave([example], make(house)[0], ALWAYS)[0]
    assert row.kind == "passages"
    assert any("300 grams" in item.quote for item in row.evidence)
    assert "300 grams" in row.messages[-1]["content"]
    assert len(row.evidence) == 2


def test_a_reply_with_a_number_from_nowhere_is_shown_no_passage(house: Knowledge) -> None:
    example = Example("How long does the Ember lamp burn?", "The Ember lamp burns for 99 hours.", (), 1, 1)
    row = weave([example], make(house)[0], ALWAYS)[0]
    assert (row.kind, row.evidence) == ("alone", ())
    assert "Notes" not in row.messages[-1]["content"]


def test_the_share_of_rows_without_passages_is_kept_and_seeded(house: Knowledge) -> None:
    chain, _ = make(house)
    many = EXAMPLES[:8] * 20
    half = VoiceSettings(rows_without_passages=0.5, seed=3)
    rows = weave(many, chain, half)
    alone = sum(row.kind == "alone" for row in rows)
    assert 0.35 * len(many) <= alone <= 0.65 * len(many)
    assert [row.messages for row in weave(many, chain, half)] == [row.messages for row in rows]
    assert all(row.kind != "passages" for row in weave(many[:8], chain, VoiceSettings(rows_without_passages=1.0)))


def test_progress_ends_at_the_total(house: Knowledge) -> None:
    told: list[tuple[str, int, int]] = []
    weave(EXAMPLES, make(house)[0], ALWAYS, on_progress=lambda *args: told.append(args))
    assert told[-1][1:] == (len(EXAMPLES), len(EXAMPLES))


def test_taking_the_answer_out_leaves_nothing_that_tells_it(house: Knowledge) -> None:
    chain, _ = make(house)
    rows = [row for row in weave(EXAMPLES, chain, ALWAYS) if row.example.question.startswith("How long does")]
    left = evidence_without_answer(rows[0], chain)
    assert left
    assert all("38" not in item.quote for item in left)


def test_rows_that_decline_are_made_with_the_houses_own_declines(house: Knowledge) -> None:
    chain, _ = make(house)
    rows = weave(EXAMPLES, chain, ALWAYS)
    made = declining_rows(rows, chain, 0.5, random.Random(0))
    replies = {said for _, said in REPLIES if "do not say" in said}
    assert made
    for row in made:
        assert (row.kind, row.taken_out, row.example.declines) == ("decline", True, True)
        assert row.example.reply in replies
        assert row.messages[-1]["content"].startswith("Notes:")
    assert declining_rows(rows, chain, 0.0, random.Random(0)) == []
    assert sum(row.taken_out for row in weave(EXAMPLES, chain, VoiceSettings(rows_that_decline=0.5))) > 0


def test_the_voice_is_what_replies_say_of_their_own(house: Knowledge) -> None:
    words = voice_words(weave(EXAMPLES, make(house)[0], ALWAYS))
    assert {"ahoy", "friend", "wind"} <= words
    assert not {"lamp", "hour", "38", "kite"} & words


def test_the_most_typical_decline_is_one_of_the_houses(house: Knowledge) -> None:
    chain, _ = make(house)
    rows = weave(EXAMPLES, chain, ALWAYS)
    assert typical_declines(rows, chain)[0] in {said for _, said in REPLIES if "do not say" in said}
    assert typical_declines([], chain) == []
    told, _ = make(house, decline="Nay.")
    assert typical_declines([], told) == ["Nay."]


def test_a_decline_that_speaks_of_its_own_question_is_not_the_typical_one(house: Knowledge) -> None:
    chain, _ = make(house)
    own = "Ahoy, friend. Our papers do not say whether the Storm kite is sold in purple silk. Fair winds!"
    plain = "Ahoy, friend. Our papers do not say, friend. Fair winds!"
    examples = [
        Example("Is the Storm kite sold in purple silk?", own, (), 1, 1, True),
        Example("Is there a mayor?", plain, (), 2, 2, True),
        Example("Who tunes the lamp organ?", plain, (), 3, 3, True),
    ]
    assert typical_declines(weave(examples, chain, ALWAYS), chain)[0] == plain


def test_questions_are_made_of_words_of_the_sentence_that_answers_them(house: Knowledge) -> None:
    passages = [(source, text) for source, _, text in house.texts()]
    made = synthetic_questions(passages, 6, seed=0)
    assert 0 < len(made) <= 6
    assert made == synthetic_questions(passages, 6, seed=0)
    for question, told in made:
        assert any(told in text for _, text in passages)
        body = question.rstrip("?").split()
        assert sum(word in told for word in body) >= 3
    assert synthetic_questions(passages, 0, seed=0) == []
    assert synthetic_questions(passages, -5, seed=0) == []


def test_the_gate_is_fitted_on_the_bots_own_data(house: Knowledge) -> None:
    chain, _ = make(house)
    passages = [(source, text) for source, _, text in house.texts()]
    gate = fit_on_bot(weave(EXAMPLES, chain, ALWAYS), chain, passages)
    assert gate.report["answerable"] >= 5
    assert gate.report["unanswerable"] >= 24
    assert gate.report["right_refusals"] > 0.5


def test_too_little_to_fit_a_gate_on_is_said(house: Knowledge) -> None:
    with pytest.raises(DataError, match="too few"):
        fit_on_bot([], make(house)[0], [])
