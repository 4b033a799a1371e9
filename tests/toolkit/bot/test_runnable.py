"""A bot as a LangChain Runnable: the same answer by every way of calling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable, RunnableLambda

from toolkit.bot import Chatbot
from toolkit.bot.runnable import STEP
from toolkit.testing import HashEmbedder, ScriptedChatModel

QUESTION = "How long does the Ember lamp burn on a full battery?"
BURNS = "Ahoy, friend. The Ember lamp burns for 38 hours. Fair winds!"
KEYS = {"question", "answer", "abstained", "citations", "passages", "adapter", "seconds"}


@pytest.fixture
def model() -> ScriptedChatModel:
    return ScriptedChatModel(replies=lambda messages: BURNS)


@pytest.fixture
def chain(small_bot: Path, embedder: HashEmbedder, model: ScriptedChatModel) -> Iterator[Runnable[Any, Any]]:
    bot = Chatbot.load(small_bot, model=model)
    bot.chain.planner.gate = None
    yield bot.as_runnable()
    bot.close()


def test_invoke_takes_a_dict_or_a_question(chain: Runnable[Any, Any]) -> None:
    answer = chain.invoke({"question": QUESTION, "history": []})
    assert set(answer) == KEYS
    assert answer["answer"] == BURNS
    assert chain.invoke(QUESTION)["answer"] == BURNS


def test_switches_and_history_are_passed_on(chain: Runnable[Any, Any], model: ScriptedChatModel) -> None:
    answer = chain.invoke({"question": "Well?", "history": [("a", "b")], "adapter": False, "knowledge": False})
    assert not answer["adapter"]
    assert answer["passages"] == []
    assert [message["content"] for message in model.calls[0].messages[1:]] == ["a", "b", "Well?"]


def test_a_stream_adds_up_to_the_answer(chain: Runnable[Any, Any]) -> None:
    parts = list(chain.stream({"question": QUESTION}))
    assert len(parts) == 4
    assert all(set(part) == {"answer"} for part in parts[:-1])
    whole: Any = parts[0]
    for part in parts[1:]:
        whole = whole + part
    expected = chain.invoke({"question": QUESTION})
    assert set(whole) == KEYS
    assert {key: whole[key] for key in KEYS - {"seconds"}} == {key: expected[key] for key in KEYS - {"seconds"}}


def test_batch_keeps_the_order(chain: Runnable[Any, Any]) -> None:
    asked = [{"question": f"{QUESTION} {number}"} for number in range(5)]
    assert [answer["question"] for answer in chain.batch(asked)] == [item["question"] for item in asked]


def test_async_forms_give_the_same(chain: Runnable[Any, Any]) -> None:
    async def ask() -> tuple[Any, list[Any], list[Any]]:
        one = await chain.ainvoke({"question": QUESTION})
        parts = [part async for part in chain.astream({"question": QUESTION})]
        many = await chain.abatch([{"question": QUESTION}] * 2)
        return one, parts, many

    one, parts, many = asyncio.run(ask())
    assert one["answer"] == BURNS
    assert "".join(part.get("answer", "") for part in parts) == BURNS
    assert parts[-1]["citations"][0]["source"] == "lamp.md"
    assert [answer["answer"] for answer in many] == [BURNS, BURNS]


def test_it_composes_with_other_runnables(chain: Runnable[Any, Any]) -> None:
    composed = RunnableLambda(lambda text: {"question": text}) | chain | RunnableLambda(lambda answer: answer["answer"])
    assert composed.invoke(QUESTION) == BURNS


class Listening(BaseCallbackHandler):
    """Notes the steps that callbacks hear of, and the runs around them."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.runs: set[UUID] = set()
        self.ended: list[Any] = []

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        assert name == STEP
        self.steps.append(data["name"])
        self.runs.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.ended.append(run_id)


@pytest.mark.parametrize("streamed", [False, True])
def test_callbacks_hear_of_each_step(chain: Runnable[Any, Any], streamed: bool) -> None:
    heard = Listening()
    config = {"callbacks": [heard]}
    if streamed:
        list(chain.stream({"question": QUESTION}, config))  # type: ignore[arg-type]
    else:
        chain.invoke({"question": QUESTION}, config)  # type: ignore[arg-type]
    assert heard.steps[:1] + heard.steps[-3:] == ["route", "prompt", "reply", "checks"]
    assert heard.runs == {heard.ended[-1]}, "the steps belong to the run of the bot"


def test_the_events_of_a_stream_hold_the_steps(chain: Runnable[Any, Any]) -> None:
    async def ask() -> list[str]:
        events = chain.astream_events({"question": QUESTION}, version="v2")
        return [event["data"]["name"] async for event in events if event["name"] == STEP]

    assert asyncio.run(ask())[-1] == "checks"
