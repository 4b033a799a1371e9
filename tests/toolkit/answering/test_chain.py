"""The chain: what it looks up, what it shows the model, when it keeps silent, and what it says it rests on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.answering import Answer, Chain, EvidencePicker, Gate
from toolkit.answering.chain import SMALL_TALK
from toolkit.answering.gate import FEATURES
from toolkit.config import ChainSettings
from toolkit.errors import ModelError
from toolkit.language import Lexicon
from toolkit.prompts import Message, Turn, answer_messages
from toolkit.store import Knowledge
from toolkit.testing import ScriptedChatModel

BURNS = "Ahoy, friend. The Ember lamp burns for 38 hours. Fair winds!"
QUESTION = "How long does the Ember lamp burn on a full battery?"
VOICE = frozenset({"ahoy", "friend", "fair", "wind"})
DECLINE = "Our papers are silent, friend."


def make(
    replies: list[str] | Callable[[list[Message]], str], knowledge: Knowledge | None = None, **options: Any
) -> tuple[Chain, ScriptedChatModel]:
    """Return a chain over scripted replies, and its model."""
    model = ScriptedChatModel(replies=replies)
    settings = ChainSettings(**options.pop("settings", {}))
    picker = None
    if knowledge:
        picker = EvidencePicker(knowledge.embedder, Lexicon.of(text for _, _, text in knowledge.texts()))
    chain = Chain(model, settings, decline=DECLINE, knowledge=knowledge, k=4, picker=picker, voice=VOICE, **options)
    return chain, model


def gate(*, probability: float, threshold: float = 0.5) -> Gate:
    """Return a gate that always gives the same probability."""
    import math

    count = len(FEATURES)
    bias = math.log(probability / (1 - probability))
    return Gate([0.0] * count, bias, [0.0] * count, [1.0] * count, threshold)


def parts_of(chain: Chain, question: str, *args: Any, **options: Any) -> tuple[list[str], Answer]:
    """Stream a reply and return its pieces and the whole answer."""
    *pieces, answer = chain.stream(question, *args, **options)
    assert isinstance(answer, Answer)
    assert all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces], answer


def test_an_answer_rests_on_what_was_retrieved(house: Knowledge) -> None:
    chain, model = make([BURNS], house)
    answer = chain.answer(QUESTION)
    assert answer.text == BURNS
    assert not answer.abstained
    assert [(citation.source, citation.quote) for citation in answer.citations] == [
        ("lamp.md", "The Ember lamp burns for 38 hours on a full battery.")
    ]
    assert answer.passages[0].source == "lamp.md"
    assert answer.replaced == []
    assert model.calls[0].adapter is True
    assert model.calls[0].text.startswith("Notes:\n- ")
    assert model.calls[0].text.endswith(f"Question: {QUESTION}")
    assert 0 < answer.seconds["retrieve"] <= answer.seconds["first_token"] <= answer.seconds["total"]


def test_the_model_is_shown_exactly_what_the_evidence_says(house: Knowledge) -> None:
    chain, model = make([BURNS], house, settings={"evidence_sentences": 2, "system": "Be brief."})
    _, picked = chain.evidence_for(QUESTION)
    chain.answer(QUESTION)
    assert len(picked) == 2
    assert model.calls[0].messages == answer_messages("Be brief.", QUESTION, [item.shown for item in picked])


def test_decoding_follows_the_settings(house: Knowledge) -> None:
    chain, model = make([BURNS, BURNS], house, settings={"max_new_tokens": 33, "temperature": 0.5})
    chain.answer(QUESTION)
    parts_of(chain, QUESTION)
    for call in model.calls:
        assert (call.arguments["max_new_tokens"], call.arguments["temperature"]) == (33, 0.5)
    assert [call.streamed for call in model.calls] == [False, True]


def test_a_wrong_number_never_reaches_the_person(house: Knowledge) -> None:
    chain, _ = make(["Ahoy, friend. It burns for 83 hours. Fair winds!"], house)
    answer = chain.answer(QUESTION)
    assert "83" not in answer.text
    assert "38 hours" in answer.text
    assert answer.replaced == ["It burns for 83 hours."]
    assert answer.citations[0].source == "lamp.md"


def test_thinks_without_the_adapter_and_speaks_with_it(house: Knowledge) -> None:
    history = [Turn(QUESTION, "It burns for 38 hours.")]
    chain, model = make(["What does the Ember lamp cost?", "Ahoy. The Ember lamp costs 40 euros."], house)
    answer = chain.answer("And what does it cost?", history)
    assert [call.adapter for call in model.calls] == [False, True]
    assert answer.question == "And what does it cost?"
    # "cost" is a word of the follow-up and the rest is of the exchange before: nothing is made up
    assert answer.rewritten == "What does the Ember lamp cost?"
    assert "40 euros" in answer.text
    assert model.calls[1].text.endswith("Question: What does the Ember lamp cost?")
    assert len(model.calls[1].messages) == 2


def test_a_rewriting_that_adds_words_is_not_taken(house: Knowledge) -> None:
    history = [Turn(QUESTION, "It burns for 38 hours.")]
    chain, _ = make(["What does the golden dragon cost?", "The Ember lamp costs 40 euros."], house)
    assert chain.answer("And the cost?", history).rewritten == "And the cost (Ember)?"


@pytest.mark.parametrize("written", ["", "  \n", "cost?", "The Ember lamp.", "lamp " * 60])
def test_a_rewriting_that_is_none_is_not_taken(written: str, house: Knowledge) -> None:
    chain, _ = make([written], house)
    assert chain.rewrite("And the cost?", [Turn(QUESTION, "38 hours.")]) == "And the cost (Ember)?"


def test_a_question_that_leans_on_nothing_is_left_as_it_is(house: Knowledge) -> None:
    chain, model = make([], house)
    asked = "What does the Storm kite weigh?"
    assert chain.rewrite(asked, [Turn(QUESTION, "38 hours.")]) == asked
    assert model.calls == []


@pytest.mark.parametrize("asked", ["And the price?", "Can I return it?", "What does it cost then?", "Why not?"])
def test_a_question_that_leans_back_is_given_its_subject(asked: str, house: Knowledge) -> None:
    chain, model = make([""], house)
    assert "Ember" in chain.rewrite(asked, [Turn(QUESTION, "38 hours.")])
    assert [call.adapter for call in model.calls] == [False]


def test_rewriting_can_be_switched_off(house: Knowledge) -> None:
    chain, model = make(["The Ember lamp costs 40 euros."], house, settings={"rewrite": "never"})
    assert (
        chain.answer("What does the Ember lamp cost?", [Turn("Hi?", "Ahoy.")]).rewritten
        == "What does the Ember lamp cost?"
    )
    assert len(model.calls) == 1


def test_only_so_much_history_is_looked_at() -> None:
    history = [Turn(f"q{number}", f"a{number}") for number in range(6)]
    chain, model = make(["Yes.", "Yes."], settings={"history_turns": 2})
    chain.answer("Well?", history)
    assert [message["content"] for message in model.calls[0].messages[1:]] == ["q4", "a4", "q5", "a5", "Well?"]
    chain, model = make(["Yes."], settings={"history_turns": 0})
    chain.answer("Well?", history)
    assert [message["content"] for message in model.calls[0].messages[1:]] == ["Well?"]


def test_small_talk_wants_no_passages(house: Knowledge) -> None:
    for greeting in SMALL_TALK[:3]:
        chain, model = make(["Ahoy yourself!"], house)
        answer = chain.answer(greeting, [Turn("a", "b")])
        assert (answer.text, answer.passages, answer.citations) == ("Ahoy yourself!", [], [])
        assert not answer.abstained
        assert [message["content"] for message in model.calls[0].messages[1:]] == ["a", "b", greeting]


def test_the_gate_declines_without_asking_the_model(house: Knowledge) -> None:
    chain, model = make([], house, gate=gate(probability=0.4))
    answer = chain.answer(QUESTION)
    assert (answer.text, answer.abstained, answer.citations) == (DECLINE, True, [])
    assert answer.passages
    assert answer.answerable == pytest.approx(0.4)
    assert parts_of(chain, QUESTION)[0] == [DECLINE]
    assert model.calls == []


def test_the_gate_lets_pass_and_can_be_left_out(house: Knowledge) -> None:
    chain, _ = make([BURNS], house, gate=gate(probability=0.6))
    assert chain.answer(QUESTION).answerable == pytest.approx(0.6)
    chain, model = make([BURNS], house, gate=gate(probability=0.1))
    assert chain.answers([(QUESTION, ())], gated=False)[0].text == BURNS
    assert len(model.calls) == 1


def test_the_models_own_decline_is_an_abstention(house: Knowledge) -> None:
    chain, _ = make(["Ahoy, friend. Our papers do not say. Fair winds!"], house)
    answer = chain.answer(QUESTION)
    assert answer.abstained
    assert answer.citations == []


def test_nothing_known_is_declined(tmp_path: Any, embedder: Any) -> None:
    with Knowledge.create(tmp_path / "empty", embedder) as empty:
        chain, model = make([], empty)
        assert chain.answer(QUESTION).text == DECLINE
        assert model.calls == []


def test_adapter_and_knowledge_are_switched_per_call(house: Knowledge) -> None:
    chain, model = make(["One.", "Two."], house)
    answer = chain.answer(QUESTION, adapter=False, knowledge=False)
    assert (answer.text, answer.adapter, answer.passages) == ("One.", False, [])
    assert model.calls[0].text == QUESTION
    assert model.calls[0].adapter is False
    assert chain.answer(QUESTION, knowledge=False).adapter is True


def test_many_questions_keep_their_order(house: Knowledge) -> None:
    def reply(messages: list[Message]) -> str:
        return BURNS if "battery?" in messages[-1]["content"] else "The Storm kite weighs 300 grams."

    chain, model = make(reply, house)
    asked = ["How heavy is the Storm kite?", "Hello!", QUESTION]
    answers = chain.answers([(question, ()) for question in asked])
    assert [answer.question for answer in answers] == asked
    assert ["300" in answers[0].text, "38" in answers[2].text] == [True, True]
    assert len(model.calls) == 3


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
    chain, _ = make([REPLIES[case], REPLIES[case]], house)
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
    chain, _ = make([BURNS], house)
    pieces, answer = parts_of(chain, QUESTION)
    assert pieces == ["Ahoy, friend.", " The Ember lamp burns for 38 hours.", " Fair winds!"]
    assert answer.seconds["retrieve"] < answer.seconds["first_token"] < answer.seconds["total"]


def test_cancel_stops_the_reply(house: Knowledge) -> None:
    chain, _ = make([BURNS], house)
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
    picker = EvidencePicker(house.embedder, Lexicon())
    chain = Chain(None, ChainSettings(), decline=DECLINE, knowledge=house, picker=picker)
    assert chain.evidence_for(QUESTION)[1]
    with pytest.raises(ModelError, match="no model"):
        chain.answer(QUESTION)


def test_plain_data_of_an_answer(house: Knowledge) -> None:
    chain, _ = make([BURNS], house)
    plain = chain.answer(QUESTION).to_dict()
    assert set(plain) == {"question", "answer", "abstained", "citations", "passages", "adapter", "seconds"}
    assert set(plain["citations"][0]) == {"source", "page", "quote"}
    assert set(plain["passages"][0]) == {"id", "source", "text", "score"}
    assert set(plain["seconds"]) == {"retrieve", "first_token", "total"}


def test_the_best_supported_citation_comes_first(house: Knowledge) -> None:
    best, second = make([], house)[0].prepare(QUESTION).evidence
    chain, _ = make([f"Ahoy, friend. {second.quote} {best.quote} Fair winds!"], house)
    answer = chain.answer(QUESTION)
    assert answer.text.index(second.quote) < answer.text.index(best.quote)
    assert [citation.quote for citation in answer.citations] == [best.quote, second.quote]
