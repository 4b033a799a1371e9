"""The trace of an answer: every step with what went in, what came out, the voice, the tokens and the seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chains import BURNS, QUESTION, KnownTalk, gate, make_chain
from toolkit.answering import Answer, Step, Trace
from toolkit.answering.gate import SecondOpinion
from toolkit.engines import HouseChatModel, Speaker, TextEngine
from toolkit.models import load_base
from toolkit.prompts import Turn
from toolkit.store import Knowledge

ANSWERED = ["route", "search", "evidence", "gate", "prompt", "reply", "checks"]


def names(answer: Answer) -> list[str]:
    return [step.name for step in answer.trace]


def of(answer: Answer, name: str) -> Step:
    step = answer.trace.step(name)
    assert step is not None, names(answer)
    return step


@pytest.mark.parametrize("streamed", [False, True])
def test_every_step_of_an_answer_is_told(house: Knowledge, streamed: bool) -> None:
    made_up = f"{BURNS} It was made in 1890."
    chain, _ = make_chain([made_up], house, gate=gate(probability=0.9))
    *_, answer = chain.stream(QUESTION) if streamed else [chain.answer(QUESTION)]
    assert isinstance(answer, Answer)
    assert names(answer) == ANSWERED
    assert of(answer, "route").outputs == {"kind": "question"}
    assert of(answer, "search").inputs == {"query": QUESTION, "k": 4}
    found = of(answer, "search").outputs["passages"]
    assert [item["id"] for item in found] == [passage.id for passage in answer.passages]
    assert "38 hours" in of(answer, "evidence").outputs["picked"][0]["quote"]
    assert of(answer, "gate").outputs == {"answerable": pytest.approx(0.9), "threshold": 0.5, "declines": False}
    assert of(answer, "prompt").outputs["messages"][-1]["content"].startswith("Notes:")
    assert of(answer, "reply").outputs == {"text": made_up}
    checked = of(answer, "checks").outputs
    assert " ".join(checked["sentences"]) == answer.text
    assert checked["left_out"] == ["It was made in 1890."]
    assert set(checked["cited"]) <= {passage.id for passage in answer.passages}
    assert [step.adapter for step in answer.trace] == [None, None, None, None, None, True, None]


def test_a_decline_ends_with_what_declined_it(house: Knowledge) -> None:
    answer = make_chain([], house, gate=gate(probability=0.1))[0].answer(QUESTION)
    assert names(answer) == ANSWERED[:4]
    assert of(answer, "gate").outputs["declines"]


def test_a_follow_up_tells_what_was_made_of_it(house: Knowledge) -> None:
    chain, _ = make_chain(["What does the Ember lamp cost?", BURNS, "The Ember lamp costs 40 euros."], house)
    answer = chain.answer("And the cost?", [Turn(QUESTION, BURNS)])
    rewritten = of(answer, "rewrite")
    assert rewritten.inputs == {"question": "And the cost?", "history": [[QUESTION, BURNS]]}
    assert rewritten.outputs["question"] == answer.rewritten
    assert rewritten.adapter is False
    plain = of(answer, "plain")  # the reply told another fact, so that the base put the best one
    assert plain.outputs == {"text": "The Ember lamp costs 40 euros."}
    assert plain.adapter is False


def test_what_the_base_thinks_is_a_step(house: Knowledge) -> None:
    fitted = gate(probability=0.9)
    fitted.second = SecondOpinion(0.0, 0.0, -1.0, 0.0, 0.3)
    chain, model = make_chain([BURNS], house, scores=lambda messages, text: -5.0, gate=fitted)
    model.short = "38 hours"
    answer = chain.answer(QUESTION)
    assert names(answer) == [*ANSWERED[:3], "thinking", *ANSWERED[3:]]
    assert of(answer, "thinking").outputs["short"] == "38 hours"
    assert of(answer, "thinking").adapter is False
    assert of(answer, "gate").outputs["threshold"] == 0.3


def test_talk_is_drafted_without_the_voice(house: Knowledge) -> None:
    chain, _ = make_chain(["I am a bot.", "Ahoy, I am a bot."], house, router=KnownTalk({"Who are you?"}))
    answer = chain.answer("Who are you?")
    assert names(answer) == ["route", "draft", "prompt", "reply", "checks"]
    assert [of(answer, name).adapter for name in ("draft", "reply")] == [False, True]


def test_many_at_once_keep_their_steps_apart(house: Knowledge) -> None:
    other = "What does the Ember lamp cost?"
    heard: list[Step] = []
    chain, _ = make_chain(lambda messages: BURNS, house)
    answers = chain.answers([(QUESTION, ()), (other, ())], on_step=heard.append)
    assert [of(answer, "route").inputs["message"] for answer in answers] == [QUESTION, other]
    assert sorted(heard, key=id) == sorted((step for answer in answers for step in answer.trace), key=id)


def test_the_seconds_are_no_more_than_the_answer_took(house: Knowledge) -> None:
    answer = make_chain([BURNS], house)[0].answer(QUESTION)
    spent = [step.seconds for step in answer.trace]
    assert all(seconds >= 0 for seconds in spent)
    assert sum(spent) <= answer.seconds["total"]


def test_tokens_are_counted_where_the_model_knows_them(house: Knowledge, tiny_base: Path) -> None:
    engine = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    tokens = Speaker(HouseChatModel(engine=engine)).tokens([{"role": "user", "content": "How long?"}], "38 hours")
    assert tokens is not None
    assert tokens.reply == len(engine.tokenizer("38 hours", add_special_tokens=False)["input_ids"])
    assert tokens.prompt > len(engine.tokenizer("How long?", add_special_tokens=False)["input_ids"])
    assert of(make_chain([BURNS], house)[0].answer(QUESTION), "reply").tokens is None


def test_a_trace_is_plain_data(house: Knowledge) -> None:
    answer = make_chain([BURNS], house, gate=gate(probability=0.9))[0].answer(QUESTION)
    content = answer.to_dict(trace=True)["trace"]
    assert Trace.from_dict(json.loads(json.dumps(content))).to_dict() == content
    assert "trace" not in answer.to_dict()
