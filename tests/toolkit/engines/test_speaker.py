"""Any chat model as the chain's own: it is passed only what it can take, and the bot's own is used in full."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from toolkit.bot import BotFolder
from toolkit.engines import Abilities, HouseChatModel, Speaker, TextEngine
from toolkit.engines.base import ScoredReply
from toolkit.engines.stops import cut, cut_pieces
from toolkit.models import load_base
from toolkit.prompts import Message, render_prompt
from toolkit.testing import ScriptedChatModel

EVERYTHING: dict[str, Any] = {"adapter": True, "max_new_tokens": 12, "temperature": 0.0, "forbid_first": "unanswerable"}


class RemoteChatModel(BaseChatModel):
    """The client of a service: it refuses what it does not know, and answers in blocks."""

    said: str = "The lamp burns for 38 hours. END of it"

    @property
    def _llm_type(self) -> str:
        return "remote"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self._refuse(kwargs)
        blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": self.said}]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=blocks))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self._refuse(kwargs)
        for letter in self.said:
            yield ChatGenerationChunk(message=AIMessageChunk(content=letter))

    def _refuse(self, unknown: dict[str, Any]) -> None:
        if set(unknown) - {"stream"}:
            raise TypeError(f"create() got unexpected keyword arguments {sorted(unknown)}")


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


ASKED = [ask("How long does the lamp burn?"), ask("Hi"), ask("What does it cost? " * 12), ask("Who? " * 3)]


@pytest.fixture(scope="module")
def engine(small_bot: Path, tiny_base: Path) -> TextEngine:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    return TextEngine(loaded, BotFolder(small_bot).adapter)


@pytest.fixture(scope="module")
def own(engine: TextEngine) -> Speaker:
    return Speaker(HouseChatModel(engine=engine))


def test_an_engine_says_what_it_can_do(engine: TextEngine, tiny_base: Path) -> None:
    assert engine.abilities == Abilities(adapter=True, cancel=True, batch=True, token_scores=True)
    bare = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    assert not bare.abilities.adapter
    assert Speaker(RemoteChatModel()).abilities == Abilities()


def test_a_remote_model_is_passed_only_what_it_knows() -> None:
    remote = Speaker(RemoteChatModel())
    assert remote.invoke(ASKED[0], **EVERYTHING) == "The lamp burns for 38 hours. END of it"
    assert remote.batch(ASKED, **EVERYTHING) == ["The lamp burns for 38 hours. END of it"] * len(ASKED)
    said = remote.stream(ASKED[0], cancel=threading.Event(), **EVERYTHING)
    assert "".join(said) == "The lamp burns for 38 hours. END of it"
    assert remote.scored_replies(ASKED, "unanswerable", 4) is None
    assert remote.batch([]) == []


def test_stop_marks_hold_for_a_model_that_ignores_them() -> None:
    remote = Speaker(RemoteChatModel())
    wanted = "The lamp burns for 38 hours."
    assert remote.invoke(ASKED[0], stop=["END"]) == wanted
    assert remote.batch(ASKED, stop=["END"]) == [wanted] * len(ASKED)
    assert "".join(remote.stream(ASKED[0], stop=["END"])).strip() == wanted


def test_a_stream_of_a_model_that_cannot_be_cancelled_ends_all_the_same() -> None:
    cancel = threading.Event()
    pieces = Speaker(RemoteChatModel()).stream(ASKED[0], cancel=cancel)
    assert next(pieces) == "T"
    cancel.set()
    assert len(list(pieces)) <= 1


@pytest.mark.parametrize("adapter", [True, False])
def test_the_own_model_is_used_in_full(adapter: bool, own: Speaker, engine: TextEngine) -> None:
    options: dict[str, Any] = {"adapter": adapter, "max_new_tokens": 12, "temperature": 0.0}
    alone = [own.invoke(messages, **options) for messages in ASKED]
    model = HouseChatModel(engine=engine)
    assert alone == [str(model.invoke(messages, **options).content) for messages in ASKED]
    assert own.batch(ASKED, **options) == alone
    assert ["".join(own.stream(messages, **options)).strip() for messages in ASKED] == alone


def test_the_doubles_take_what_the_own_model_takes() -> None:
    scripted = ScriptedChatModel(replies=lambda shown: "two words here", scores=lambda shown, text: -float(len(text)))
    speaker = Speaker(scripted)
    assert speaker.invoke(ASKED[0], adapter=True, max_new_tokens=2) == "two words"
    assert speaker.batch(ASKED[:2], adapter=False, stop=["words"], forbid_first="x") == ["two", "two"]
    assert [call.adapter for call in scripted.calls] == [True, False, False]
    assert speaker.scored_replies(ASKED[:2], "abc", 4) == [ScoredReply(-3.0, "")] * 2
    assert Speaker(ScriptedChatModel(replies=[])).scored_replies(ASKED, "abc", 4) is None


def test_scored_replies_are_those_of_plain_transformers(own: Speaker, engine: TextEngine) -> None:
    import torch

    bare = TextEngine(load_base(engine.loaded.name, device="cpu", dtype="float32"))  # adapters are off when scored
    token = bare.tokenizer("unanswerable", add_special_tokens=False)["input_ids"][0]
    expected = []
    for messages in ASKED:
        prompt = render_prompt(bare.tokenizer, messages)
        inputs = bare.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            logits = bare.loaded.model(input_ids=inputs["input_ids"]).logits[0, -1]
        expected.append(float(logits.log_softmax(dim=-1)[token]))
    found = own.scored_replies(ASKED, "unanswerable", 6)
    assert found is not None
    assert [item.log_probability for item in found] == pytest.approx(expected, abs=1e-4)
    plain = own.batch(ASKED, max_new_tokens=6, temperature=0.0, forbid_first="unanswerable")
    assert [item.text for item in found] == plain
    assert own.scored_replies([], "unanswerable", 1) == []


@pytest.mark.parametrize("way", ["invoke", "batch", "stream"])
def test_a_forbidden_first_token_is_not_the_first(way: str, own: Speaker) -> None:
    options: dict[str, Any] = {"max_new_tokens": 8}
    questions = [ask(f"How long does lamp {number} burn?") for number in range(40)]
    # A random model often begins with half a letter, which no text can name.
    asked, free = next(
        (asked, free)
        for asked, free in zip(questions, own.batch(questions, **options), strict=True)
        if free[:1].isascii() and free[:1].isalpha()
    )
    options["forbid_first"] = free[:1]
    if way == "invoke":
        forced = own.invoke(asked, **options)
    elif way == "batch":
        forced = own.batch([asked, asked], **options)[1]
    else:
        forced = "".join(own.stream(asked, **options)).strip()
    assert forced
    assert not forced.startswith(free[:1])
    assert own.invoke(asked, max_new_tokens=8, forbid_first="\N{SNOWMAN}") == free


@pytest.mark.parametrize("stop", [None, [], ["END"], ["\n"], ["b", "END"], ["NDX", "DE"]])
@pytest.mark.parametrize("text", ["", "  \n", "a b END c", "\n\nEND", "aEND", "aEN", "b\nc", "  E EN END", "aNDE"])
def test_pieces_are_cut_as_the_whole_is(text: str, stop: list[str] | None) -> None:
    for size in (1, 2, 3, 100):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert "".join(cut_pieces(pieces, stop)) == cut(text, stop)
