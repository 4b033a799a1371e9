"""A bot as a LangChain Runnable: the same answer by every way of calling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableLambda

from toolkit.bot import Chatbot
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
