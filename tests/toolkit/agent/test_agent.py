"""An agent on doubles: what it looks up is held against what it says, within its limits, step by step in the trace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chains import DECLINE, VOICE, KnownTalk
from toolkit.agent import open_agent
from toolkit.answering import Answer, Chain, EvidencePicker, RoutePlanner
from toolkit.config import BotConfig
from toolkit.engines import HouseChatModel, Speaker
from toolkit.engines.remote import RemoteEngine
from toolkit.errors import ConfigError, ModelError
from toolkit.language import Lexicon
from toolkit.prompts import Turn
from toolkit.servers import ModelAddress
from toolkit.store import Knowledge
from toolkit.testing import KeywordReader, ScriptedChatModel
from toolkit.testing.tool_calls import Call, Policy, ScriptedToolModel, ToolServer, moves, serving

QUESTION = "How long does the Ember lamp burn?"
SEARCH = [Call("search_documents", {"query": "Ember lamp burns hours"})]
BURNS = "The Ember lamp burns for 38 hours on a full battery."


def weight_of(thing: str, times: int = 1) -> str:
    """Tell what so many things weigh.

    Args:
        thing: What it is.
        times: How many of them.
    """
    return f"{times} {thing} weigh {times * 350} grams."


def never(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "done"


TRIED: list[int] = []


def frail(number: int) -> str:
    """Fail the first time."""
    TRIED.append(number)
    if len(TRIED) < 2:
        raise OSError("no line")
    return f"The frail number is {number + 1}."


def untyped(thing):  # type: ignore[no-untyped-def]
    """Take anything."""


def make(
    house: Knowledge | None, policy: Policy | Any, *, mode: str = "agent", tools: Any = (), **limits: Any
) -> tuple[Chain, Any]:
    """Return a chain with an agent, and its model."""
    model = ScriptedToolModel(policy=policy) if callable(policy) else policy
    lexicon = Lexicon.of(text for _, _, text in house.texts()) if house else Lexicon.of([])
    picker = EvidencePicker(house.embedder, lexicon, KeywordReader()) if house else None
    own = [f"{__name__}:{name}" for name in tools]
    config = BotConfig.model_validate(
        {"name": "house", "knowledge": {}, "chain": {"mode": mode}, "agent": limits, "tools": own}
    )
    planner = RoutePlanner(config.chain, speaker=Speaker(model), knowledge=house, k=4, picker=picker)
    chain = Chain(planner, decline=DECLINE, voice=VOICE)
    chain.agent = open_agent(config, chain)
    return chain, model


def steps(answer: Answer) -> list[str]:
    return [step.name for step in answer.trace]


def test_what_was_looked_up_is_said_cited_and_traced(house: Knowledge) -> None:
    chain, model = make(house, moves(SEARCH, BURNS))
    answer = chain.answer(QUESTION)
    assert (answer.text, answer.abstained) == (BURNS, False)
    assert [citation.source for citation in answer.citations] == ["lamp.md"]
    assert "38 hours" in answer.citations[0].quote
    assert steps(answer) == ["route", "model", "tool", "model", "checks"]
    tool = answer.trace.step("tool")
    assert tool is not None
    assert (tool.inputs["tool"], tool.outputs["failed"]) == ("search_documents", False)
    assert "(lamp.md)" in tool.outputs["result"]
    assert model.asked[0][0]["role"] == "system"


def test_a_stream_gives_the_same(house: Knowledge) -> None:
    chain, _ = make(house, moves(SEARCH, BURNS))
    *pieces, answer = chain.stream(QUESTION)
    assert isinstance(answer, Answer)
    assert "".join(map(str, pieces)) == answer.text == BURNS


@pytest.mark.parametrize(
    "said", ["The Ember lamp burns for 44 hours on a full battery.", "Queen Victoria of England bought one."]
)
def test_what_nothing_holds_is_left_out(house: Knowledge, said: str) -> None:
    answer = make(house, moves(SEARCH, f"{BURNS} {said}"))[0].answer(QUESTION)
    assert answer.text == BURNS
    checks = answer.trace.step("checks")
    assert checks is not None
    assert checks.outputs["left_out"] == [said]
    alone = make(house, moves(SEARCH, said))[0].answer(QUESTION)
    assert (alone.text, alone.abstained, alone.citations) == (DECLINE, True, [])


def test_what_was_not_looked_up_is_not_believed(house: Knowledge) -> None:
    assert make(house, moves(BURNS))[0].answer(QUESTION).abstained


def test_two_parts_may_rest_on_two_pieces(house: Knowledge) -> None:
    both = "The Storm kite weighs 300 grams and parcels leave the shop within two days."
    looks = moves([Call("search_documents", {"query": "Storm kite weighs"})],
                  [Call("search_documents", {"query": "parcels leave the shop"})], both)  # fmt: skip
    answer = make(house, looks)[0].answer("How heavy is the kite, and when do parcels leave?")
    assert answer.text == both
    assert {citation.source for citation in answer.citations} == {"kite.md", "shop.txt"}


def test_the_results_of_tools_stand_between_marks_that_no_document_knows(house: Knowledge) -> None:
    chain, model = make(house, moves(SEARCH, BURNS))
    chain.answer(QUESTION)
    chain.answer(QUESTION)
    (system, *_, first), (*_, second) = model.asked[1], model.asked[3]
    mark = first["content"].splitlines()[0].strip("<>")
    assert first["content"].endswith(f"</{mark}>")
    assert f"<{mark}>" in system["content"]
    assert mark not in second["content"], "another mark for each question"


def test_a_document_is_read_page_by_page_and_listed(house: Knowledge) -> None:
    read, lacking = ([Call("read_document", {"source": source})] for source in ("lamp.md", "none.md"))
    looks = moves([Call("list_documents")], read, lacking, "Wipe the glass of the lamp with a dry cloth.")
    answer = make(house, looks)[0].answer("How is the glass of the lamp kept clean?")
    told = [step.outputs for step in answer.trace if step.name == "tool"]
    assert "kite.md" in told[0]["result"]
    assert "Charge the battery once a month" in told[1]["result"]
    assert told[2] == {"result": "There is no document 'none.md'. Look with list_documents.", "failed": True}
    assert not answer.abstained


def test_functions_of_the_user_are_tools(house: Knowledge) -> None:
    looks = moves([Call("weight_of", {"thing": "lamps", "times": 3})], "3 lamps weigh 1050 grams.")
    chain, _ = make(house, looks, tools=["weight_of"])
    (tool,) = [tool for tool in chain.agent.tools if tool.name == "weight_of"]  # type: ignore[union-attr]
    assert tool.args["times"]["type"] == "integer"
    assert tool.args["thing"]["description"] == "What it is."
    answer = chain.answer("What do 3 lamps weigh?")
    assert (answer.text, answer.citations) == ("3 lamps weigh 1050 grams.", [])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"{__name__}:untyped", "without a type: thing"),
        (f"{__name__}:absent", "has no absent"),
        ("no_such_module:x", "cannot be imported"),
        (f"{__name__}:DECLINE", "is no function"),
        ("toolkit.agent.plain:calculated", "calculated"),
    ],
)
def test_functions_that_cannot_be_tools_are_named(house: Knowledge, name: str, told: str) -> None:
    config = BotConfig.model_validate({"name": "h", "knowledge": {}, "chain": {"mode": "agent"}, "tools": [name]})
    chain, _ = make(house, moves(BURNS))
    if told == "calculated":
        chain.agent = open_agent(config, chain)
        assert "calculated" in [tool.name for tool in chain.agent.tools]  # type: ignore[union-attr]
        return
    with pytest.raises(ConfigError, match=told):
        open_agent(config, chain)


def calculate(expression: str) -> str:
    """Calculate otherwise."""
    return expression


def test_two_tools_cannot_have_one_name(house: Knowledge) -> None:
    with pytest.raises(ConfigError, match="more than one tool called calculate"):
        make(house, moves(BURNS), tools=["calculate"])


def test_a_bot_without_documents_talks(house: Knowledge) -> None:
    class Both(ScriptedToolModel):
        @property
        def abilities(self) -> Any:
            return ScriptedChatModel(replies=[]).abilities

    chain, _ = make(None, Both(policy=moves("Hello, friend.")))
    assert chain.answer("Hello!").text == "Hello, friend."
    looked, _ = make(None, Both(policy=moves([Call("calculate", {"expression": "2 * 21"})], "2 * 21 = 42.")))
    answer = looked.answer("What is twice 21?", adapter=False)
    assert (answer.text, answer.citations) == ("2 * 21 = 42.", [])


def test_a_tool_that_failed_is_tried_again(house: Knowledge) -> None:
    TRIED.clear()
    looks = moves([Call("frail", {"number": 4})], "The frail number is 5.")
    answer = make(house, looks, tools=["frail"])[0].answer("What is the frail number?")
    assert answer.text == "The frail number is 5."
    assert len(TRIED) == 2


@pytest.mark.parametrize(
    ("limits", "policy", "limit"),
    [
        ({"model_calls": 3}, moves(SEARCH), "model_calls"),
        ({"tokens": 4000, "reply_tokens": 32}, moves(SEARCH), "tokens"),
        ({"seconds": 0.5}, moves([Call("never", {"seconds": 5.0})], "done"), "seconds"),
    ],
)
def test_limits_hold(house: Knowledge, limits: dict[str, Any], policy: Policy, limit: str) -> None:
    chain, model = make(house, policy, tools=["never"], **({"model_calls": 50, "tool_calls": 50} | limits))
    started = time.perf_counter()
    answer = chain.answer(QUESTION)
    assert time.perf_counter() - started < 4
    assert (answer.text, answer.abstained) == (DECLINE, True)
    assert answer.trace.step("limit").outputs == {"limit": limit}  # type: ignore[union-attr]
    assert len(model.asked) == steps(answer).count("model") <= limits.get("model_calls", 50)


def test_tools_beyond_the_limit_are_not_called(house: Knowledge) -> None:
    chain, _ = make(house, moves([*SEARCH * 5], BURNS), tool_calls=2)
    answer = chain.answer(QUESTION)
    assert steps(answer).count("tool") == 2
    assert answer.text == BURNS


def test_long_results_are_cut(house: Knowledge) -> None:
    chain, model = make(house, moves(SEARCH, BURNS), result_tokens=64)
    chain.answer(QUESTION)
    assert len(model.asked[1][-1]["content"]) < 64 * 4 + 100
    assert "[cut off]" in model.asked[1][-1]["content"]


def test_it_stops_when_nobody_waits(house: Knowledge) -> None:
    cancel = threading.Event()
    chain, _ = make(house, moves([Call("never", {"seconds": 5.0})], "done"), tools=["never"])
    threading.Timer(0.2, cancel.set).start()
    started = time.perf_counter()
    assert list(chain.stream(QUESTION, cancel=cancel)) == []
    assert time.perf_counter() - started < 3


def test_talk_and_earlier_exchanges(house: Knowledge) -> None:
    chain, model = make(house, moves(SEARCH, BURNS))
    chain.answer("And how long?", [Turn("What is the Ember lamp?", "A lamp.")])
    assert [row["content"] for row in model.asked[0][1:]] == ["What is the Ember lamp?", "A lamp.", "And how long?"]
    chain.planner.router = KnownTalk({"Hello!"})
    assert "tool" not in steps(chain.answer("Hello!"))


def test_auto_falls_back_on_the_chain(house: Knowledge) -> None:
    answer = make(house, moves("The moon is made of cheese."), mode="auto")[0].answer(QUESTION)
    assert "38 hours" in answer.text, "the chain states its best evidence"
    assert steps(answer)[:3] == ["route", "model", "checks"]
    assert steps(answer)[-1] == "checks"


def test_the_voice_says_what_was_found_out(house: Knowledge) -> None:
    class Both(ScriptedToolModel):
        @property
        def abilities(self) -> Any:
            return ScriptedChatModel(replies=[]).abilities

    def policy(messages: list[dict[str, Any]]) -> str | list[Call]:
        if messages[-1]["content"].startswith("Notes:"):
            assert BURNS in messages[-1]["content"]
            return f"Ahoy, friend. {BURNS} It was made in 1890."
        return moves(SEARCH, BURNS)(messages)

    answer = make(house, Both(policy=policy))[0].answer(QUESTION, adapter=True)
    assert answer.text == f"Ahoy, friend. {BURNS}"
    assert [citation.source for citation in answer.citations] == ["lamp.md"]
    assert [step.adapter for step in answer.trace if step.name in ("model", "reply")] == [False, False, True]


@pytest.fixture
def server() -> Iterator[ToolServer]:
    with serving(ToolServer(moves(SEARCH, BURNS))) as running:
        yield running


def remote(server: ToolServer) -> HouseChatModel:
    return HouseChatModel(engine=RemoteEngine(ModelAddress("openai", "small", server.url), retries=0))


def test_a_server_calls_tools_by_its_own_protocol(house: Knowledge, server: ToolServer) -> None:
    answer = make(house, remote(server))[0].answer(QUESTION)
    assert answer.text == BURNS
    assert steps(answer) == ["route", "model", "tool", "model", "checks"]
    assert all(step.tokens for step in answer.trace if step.name == "model"), "a server tells its tokens"
    names = {tool["function"]["name"] for tool in server.requests[0]["tools"]}
    assert {"search_documents", "read_document", "calculate"} <= names


def test_a_server_without_tools_says_so_or_is_left_to_the_chain(house: Knowledge, server: ToolServer) -> None:
    server.takes_tools = False
    with pytest.raises(ModelError, match="does not support tools") as caught:
        make(house, remote(server))[0].answer(QUESTION)
    assert "chain.mode" in caught.value.hint
    server.policy = lambda messages: BURNS
    chain, _ = make(house, remote(server), mode="auto")
    assert chain.answer(QUESTION).text == BURNS
    asked = len([body for body in server.requests if body.get("tools")])
    chain.answer(QUESTION)
    assert len([body for body in server.requests if body.get("tools")]) == asked, "it is not asked again"


def test_a_base_that_cannot_says_so_and_auto_stays_with_the_chain(house: Knowledge) -> None:
    plain: Callable[[], ScriptedChatModel] = lambda: ScriptedChatModel(replies=[BURNS])  # noqa: E731
    with pytest.raises(ModelError, match="cannot call tools"):
        make(house, plain())
    chain, _ = make(house, plain(), mode="auto")
    assert chain.agent is None
    assert chain.answer(QUESTION).text == BURNS
