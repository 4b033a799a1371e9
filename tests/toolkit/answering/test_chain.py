"""The chain: what it shows the model, when it keeps silent, and what it says it rests on."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.chains import BURNS, DECLINE, QUESTION, KnownTalk, gate, make_chain
from toolkit.answering import Answer, Chain, EvidencePicker, RoutePlanner
from toolkit.config import ChainSettings
from toolkit.errors import ModelError
from toolkit.language import ENGLISH, Lexicon
from toolkit.prompts import UNTOLD, Message, Turn, answer_messages
from toolkit.store import Knowledge


def parts_of(chain: Chain, question: str, *args: Any, **options: Any) -> tuple[list[str], Answer]:
    """Stream a reply and return its pieces and the whole answer."""
    *pieces, answer = chain.stream(question, *args, **options)
    assert isinstance(answer, Answer)
    assert all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces], answer


def test_an_answer_rests_on_what_was_retrieved(house: Knowledge) -> None:
    chain, model = make_chain([BURNS], house)
    answer = chain.answer(QUESTION)
    assert answer.text == BURNS
    assert not answer.abstained
    assert [(citation.source, citation.quote) for citation in answer.citations] == [
        ("lamp.md", "The Ember lamp burns for 38 hours on a full battery.")
    ]
    assert answer.passages[0].source == "lamp.md"
    assert answer.replaced == []
    assert model.calls[0].adapter is True
    assert model.calls[0].text.startswith("Notes:\n[1] ")
    assert model.calls[0].text.endswith(f"Question: {QUESTION}")
    assert 0 < answer.seconds["retrieve"] <= answer.seconds["first_token"] <= answer.seconds["total"]


def test_the_model_is_shown_exactly_what_the_evidence_says(house: Knowledge) -> None:
    chain, model = make_chain([BURNS], house, settings={"evidence_sentences": 2, "system": "Be brief."})
    picked = chain.planner.plan(QUESTION).evidence
    chain.answer(QUESTION)
    assert len(picked) == 2
    assert model.calls[0].messages == answer_messages("Be brief.", QUESTION, [item.shown for item in picked])


def test_decoding_follows_the_settings(house: Knowledge) -> None:
    chain, model = make_chain([BURNS, BURNS], house, settings={"max_new_tokens": 33, "temperature": 0.5})
    chain.answer(QUESTION)
    parts_of(chain, QUESTION)
    for call in model.calls:
        assert (call.arguments["max_new_tokens"], call.arguments["temperature"]) == (33, 0.5)
    assert [call.streamed for call in model.calls] == [False, True]


@pytest.mark.parametrize("scores", [None, lambda messages, text: 0.0])
def test_the_model_may_not_take_the_deciding_back(house: Knowledge, scores: Any) -> None:
    chain, model = make_chain([BURNS, BURNS], house, scores=scores)
    chain.answer(QUESTION)
    parts_of(chain, QUESTION)
    # a model that does not know its tokens is not asked to keep one out
    assert [call.arguments.get("forbid_first") for call in model.calls] == [UNTOLD if scores else None] * 2


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_a_wrong_number_never_reaches_the_person(house: Knowledge, read: bool) -> None:
    plain = "The Ember lamp burns for 83 hours."
    chain, _ = make_chain(["Ahoy, friend. It burns for 83 hours. Fair winds!", plain], house, read=read)
    answer = chain.answer(QUESTION)
    assert "83" not in answer.text
    assert "38 hours" in answer.text
    assert answer.replaced == ["It burns for 83 hours."]
    assert answer.citations[0].source == "lamp.md"


def test_the_gate_declines_without_asking_the_model(house: Knowledge) -> None:
    chain, model = make_chain([], house, gate=gate(probability=0.4))
    answer = chain.answer(QUESTION)
    assert (answer.text, answer.abstained, answer.citations) == (DECLINE, True, [])
    assert answer.passages
    assert answer.answerable == pytest.approx(0.4)
    assert parts_of(chain, QUESTION)[0] == [DECLINE]
    assert model.calls == []


@pytest.mark.parametrize(("near", "heading"), [(-1.0, True), (2.0, False)])
def test_a_decline_names_what_is_nearest_or_what_the_documents_are_about(
    near: float, heading: bool, house: Knowledge
) -> None:
    chain, _ = make_chain([], house, gate=gate(probability=0.4, near=near), subjects=["lamps"])
    said = chain.answer(QUESTION).text
    nearest = ENGLISH.nearest.format(heading="lamp.md")  # without headings it is the file
    assert said == f"{DECLINE} {nearest if heading else ENGLISH.about.format(subjects='lamps')}"


def test_the_gate_lets_pass_and_can_be_left_out(house: Knowledge) -> None:
    chain, _ = make_chain([BURNS], house, gate=gate(probability=0.6))
    assert chain.answer(QUESTION).answerable == pytest.approx(0.6)
    chain, model = make_chain([BURNS], house, gate=gate(probability=0.1))
    assert chain.answers([(QUESTION, ())], gated=False)[0].text == BURNS
    assert len(model.calls) == 1


def test_a_model_that_declines_all_the_same_is_helped_out(house: Knowledge) -> None:
    chain, model = make_chain(["Ahoy, friend. Our papers do not say. Fair winds!", "It burns for 38 hours."], house)
    answer = chain.answer(QUESTION)
    assert not answer.abstained
    # what the best note tells is put plainly by the base, its voice off
    assert answer.text == "Ahoy, friend. It burns for 38 hours. Fair winds!"
    best = chain.planner.plan(QUESTION).evidence[0]
    assert model.calls[1].messages == answer_messages(chain.settings.system, QUESTION, [best.shown])
    assert model.calls[1].adapter is False
    assert [citation.quote for citation in answer.citations] == [best.quote]


def test_nothing_known_is_declined(tmp_path: Any, embedder: Any) -> None:
    with Knowledge.create(tmp_path / "empty", embedder) as empty:
        chain, model = make_chain([], empty)
        assert chain.answer(QUESTION).text == DECLINE
        assert model.calls == []


def test_adapter_and_knowledge_are_switched_per_call(house: Knowledge) -> None:
    chain, model = make_chain(["One.", "Two."], house)
    answer = chain.answer(QUESTION, adapter=False, knowledge=False)
    assert (answer.text, answer.adapter, answer.passages) == ("One.", False, [])
    assert model.calls[0].text == QUESTION
    assert model.calls[0].adapter is False
    assert chain.answer(QUESTION, knowledge=False).adapter is True


def test_many_questions_keep_their_order(house: Knowledge) -> None:
    def reply(messages: list[Message]) -> str:
        return BURNS if "battery?" in messages[-1]["content"] else "The Storm kite weighs 300 grams."

    chain, model = make_chain(reply, house, router=KnownTalk(["Hello!"]))
    asked = ["How heavy is the Storm kite?", "Hello!", QUESTION]
    answers = chain.answers([(question, ()) for question in asked])
    assert [answer.question for answer in answers] == asked
    assert ["300" in answers[0].text, "38" in answers[2].text] == [True, True]
    assert len(model.calls) == 4  # small talk is written plainly first
    assert answers[1].passages == []


REPLIES = {
    "held": BURNS,
    "made up": "Ahoy, friend. It burns for 83 hours. It burns for 83 hours! Fair winds!",
    "cut off": "Ahoy, friend. The Ember lamp burns for 38 hours. On a full batt",
    "states nothing": "Ahoy, friend. Fair winds!",
    "empty": "",
    "lines": "Ahoy, friend.\n\nThe Ember lamp burns for 38 hours.\n",
}


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.parametrize("question", [QUESTION, "Hello!"])
def test_a_streamed_reply_is_the_answers_text(case: str, question: str, house: Knowledge) -> None:
    chain, _ = make_chain(lambda shown: REPLIES[case], house, router=KnownTalk(["Hello!"]))
    whole = chain.answer(question)
    pieces, streamed = parts_of(chain, question)
    assert "".join(pieces).strip() == streamed.text
    if question == QUESTION:
        assert streamed.text == whole.text
    else:
        assert streamed.text.split() == whole.text.split()
    assert streamed.citations == whole.citations
    assert streamed.replaced == whole.replaced


def test_sentences_come_one_by_one_and_the_first_is_timed(house: Knowledge) -> None:
    chain, _ = make_chain([BURNS], house)
    pieces, answer = parts_of(chain, QUESTION)
    assert pieces == ["Ahoy, friend.", " The Ember lamp burns for 38 hours.", " Fair winds!"]
    assert answer.seconds["retrieve"] < answer.seconds["first_token"] < answer.seconds["total"]


def test_what_is_cancelled_before_the_first_word_is_not_begun(house: Knowledge) -> None:
    chain, model = make_chain([BURNS], house)
    cancel = threading.Event()
    cancel.set()
    assert list(chain.stream(QUESTION, cancel=cancel)) == []
    assert model.calls == []


def test_cancel_stops_the_reply(house: Knowledge) -> None:
    chain, _ = make_chain([BURNS], house)
    cancel = threading.Event()
    said: list[str] = []
    for part in chain.stream(QUESTION, cancel=cancel):
        if isinstance(part, Answer):
            assert part.text == "Ahoy, friend."
        else:
            said.append(part)
            cancel.set()
    assert said == ["Ahoy, friend."]


def test_a_chain_that_only_retrieves_says_so(house: Knowledge) -> None:
    planner = RoutePlanner(ChainSettings(), knowledge=house, k=4, picker=EvidencePicker(house.embedder, Lexicon()))
    chain = Chain(planner, decline=DECLINE)
    assert planner.plan(QUESTION, [Turn("a", "b")]).evidence
    with pytest.raises(ModelError, match="no model"):
        chain.answer(QUESTION)


def test_plain_data_of_an_answer(house: Knowledge) -> None:
    chain, _ = make_chain([BURNS], house)
    plain = chain.answer(QUESTION).to_dict()
    assert set(plain) == {"question", "answer", "abstained", "citations", "passages", "adapter", "seconds"}
    assert set(plain["citations"][0]) == {"source", "page", "quote"}
    assert set(plain["passages"][0]) == {"id", "source", "text", "score"}
    assert set(plain["seconds"]) == {"retrieve", "first_token", "total"}


def test_the_best_supported_citation_comes_first(house: Knowledge) -> None:
    price, burning = "The Ember lamp costs 40 euros, friend.", "The Ember lamp burns for 38 hours on a full battery."
    chain, _ = make_chain([f"Ahoy, friend. {price} {burning} Fair winds!", ""], house)
    answer = chain.answer(QUESTION)
    assert answer.text == f"Ahoy, friend. {burning} {price} Fair winds!"
    assert [citation.quote for citation in answer.citations] == [burning, "The Ember lamp costs 40 euros."]
