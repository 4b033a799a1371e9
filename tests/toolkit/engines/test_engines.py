"""Generation: the adapter on or off per call, batches that change nothing, streams that stop."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from toolkit.bot import BotFolder
from toolkit.engines import Decoding, HouseChatModel, TextEngine
from toolkit.engines.text_engine import BATCH_ROWS
from toolkit.models import load_base
from toolkit.prompts import Message, render_prompt

SHORT = Decoding(max_new_tokens=16)


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


ASKED = [ask("How long does the lamp burn?"), ask("Hi"), ask("What does it cost? " * 12), ask("Who? " * 3)]


@pytest.fixture(scope="module")
def engine(small_bot: Path, tiny_base: Path) -> TextEngine:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    return TextEngine(loaded, BotFolder(small_bot).adapter)


@pytest.fixture(scope="module")
def bare(tiny_base: Path) -> TextEngine:
    return TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))


def test_the_adapter_changes_what_is_written_and_can_be_switched_per_call(engine: TextEngine, bare: TextEngine) -> None:
    off = engine.generate(ASKED, adapter=False, decoding=SHORT)
    on = engine.generate(ASKED, adapter=True, decoding=SHORT)
    assert on != off
    assert (
        engine.generate(ASKED, adapter=False, decoding=SHORT)
        == off
        == bare.generate(ASKED, adapter=True, decoding=SHORT)
    )
    assert engine.generate(ASKED, adapter=True, decoding=SHORT) == on


@pytest.mark.parametrize("adapter", [True, False])
def test_a_batch_writes_what_one_by_one_writes(adapter: bool, engine: TextEngine) -> None:
    alone = [engine.generate([messages], adapter=adapter, decoding=SHORT)[0] for messages in ASKED]
    assert engine.generate(ASKED, adapter=adapter, decoding=SHORT) == alone
    assert any(alone)


@pytest.mark.parametrize("adapter", [True, False])
def test_a_stream_writes_what_generate_writes(adapter: bool, engine: TextEngine) -> None:
    for messages in ASKED:
        whole = engine.generate([messages], adapter=adapter, decoding=SHORT)[0]
        assert "".join(engine.stream(messages, adapter=adapter, decoding=SHORT)).strip() == whole


def test_greedy_decoding_agrees_with_plain_transformers(bare: TextEngine) -> None:
    import torch

    inputs = bare.tokenizer(render_prompt(bare.tokenizer, ASKED[0]), return_tensors="pt", add_special_tokens=False)
    ids = inputs["input_ids"]
    model = bare.loaded.model
    with torch.no_grad():
        for _ in range(SHORT.max_new_tokens):
            following = model(input_ids=ids).logits[0, -1].argmax()
            ids = torch.cat([ids, following.view(1, 1)], dim=1)
            if following == bare.tokenizer.eos_token_id:
                break
    expected = bare.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert bare.generate([ASKED[0]], adapter=False, decoding=SHORT) == [expected]


def test_many_keep_their_order_and_are_counted(bare: TextEngine) -> None:
    told: list[tuple[str, int, int]] = []
    many = [ask("x " * (number % 7) + str(number)) for number in range(BATCH_ROWS + 3)]
    replies = bare.generate(many, adapter=False, decoding=SHORT, on_progress=lambda *args: told.append(args))
    assert replies[5] == bare.generate([many[5]], adapter=False, decoding=SHORT)[0]
    assert [entry[1:] for entry in told] == [(BATCH_ROWS, BATCH_ROWS + 3), (BATCH_ROWS + 3, BATCH_ROWS + 3)]
    assert bare.generate([], adapter=False) == []


def test_length_is_kept_and_draws_are_seeded(bare: TextEngine) -> None:
    few = bare.generate([ASKED[0]], adapter=False, decoding=Decoding(max_new_tokens=2))[0]
    assert len(bare.tokenizer(few)["input_ids"]) <= 4
    hot = [Decoding(16, 1.5, seed) for seed in (1, 1, 2)]
    first, again, other = (bare.generate([ASKED[0]], adapter=False, decoding=draw)[0] for draw in hot)
    assert first == again != other


def test_cancel_stops_the_model(bare: TextEngine) -> None:
    cancel = threading.Event()
    pieces = bare.stream(ASKED[0], adapter=False, decoding=Decoding(max_new_tokens=1500), cancel=cancel)
    next(pieces)
    cancel.set()
    started = time.perf_counter()
    rest = list(pieces)
    assert time.perf_counter() - started < 3
    assert len(rest) < 1000
    assert not any(thread.name == "housevoice-generate" for thread in threading.enumerate())


def test_leaving_a_stream_stops_the_model(bare: TextEngine) -> None:
    pieces = bare.stream(ASKED[0], adapter=False, decoding=Decoding(max_new_tokens=1500))
    next(pieces)
    started = time.perf_counter()
    pieces.close()  # type: ignore[attr-defined]
    assert time.perf_counter() - started < 3
    assert not any(thread.name == "housevoice-generate" for thread in threading.enumerate())
    assert bare.generate([ASKED[0]], adapter=False, decoding=SHORT)  # the lock is free again


def test_a_failure_in_the_writing_thread_reaches_the_reader(bare: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**arguments: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(bare._model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        list(bare.stream(ASKED[0], adapter=False))


def test_calls_from_several_threads_do_not_mix(engine: TextEngine) -> None:
    expected = {on: engine.generate([ASKED[0]], adapter=on, decoding=SHORT)[0] for on in (True, False)}
    found: dict[int, str] = {}

    def work(number: int) -> None:
        found[number] = "".join(engine.stream(ASKED[0], adapter=number % 2 == 0, decoding=SHORT)).strip()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: expected[number % 2 == 0] for number in range(6)}


def test_the_chat_model_invokes_streams_and_batches_the_same(engine: TextEngine) -> None:
    model = HouseChatModel(engine=engine)
    for adapter in (True, False):
        expected = engine.generate([ASKED[0]], adapter=adapter, decoding=SHORT)[0]
        options = {"adapter": adapter, "max_new_tokens": 16}
        question = [HumanMessage(ASKED[0][0]["content"])]
        assert model.invoke(question, **options).content == expected
        assert "".join(str(chunk.content) for chunk in model.stream(question, **options)).strip() == expected
        assert [reply.content for reply in model.batch([question, question], **options)] == [expected] * 2


def test_a_stop_mark_ends_the_reply(engine: TextEngine) -> None:
    model = HouseChatModel(engine=engine)
    whole = str(model.invoke("Hi", adapter=False, max_new_tokens=24).content)
    mark = whole[5:7]
    cut = str(model.invoke("Hi", adapter=False, max_new_tokens=24, stop=[mark]).content)
    assert cut == whole[: whole.index(mark, 1)].strip()


def test_an_empty_reply_is_a_reply(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HouseChatModel(engine=engine)
    monkeypatch.setattr(engine, "stream", lambda *args, **options: iter(["", ""]))
    assert model.invoke("Hi").content == ""
    assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == ""


def test_a_reply_that_is_cancelled_before_it_starts_is_empty(engine: TextEngine) -> None:
    model = HouseChatModel(engine=engine)
    cancel = threading.Event()
    cancel.set()
    said = "".join(str(chunk.content) for chunk in model.stream("Hi", cancel=cancel, max_new_tokens=16))
    assert len(said) < 20


def test_a_batch_heeds_stop_marks_as_invoke_does(engine: TextEngine) -> None:
    model = HouseChatModel(engine=engine)
    whole = [str(model.invoke(messages, adapter=False, max_new_tokens=24).content) for messages in ASKED]
    stop = [whole[0][5:7], whole[2][6:8]]
    options = {"adapter": False, "max_new_tokens": 24, "stop": stop}
    alone = [model.invoke(messages, **options).content for messages in ASKED]
    assert alone != whole
    assert [reply.content for reply in model.batch(ASKED, **options)] == alone


class Recorder(BaseCallbackHandler):
    """Notes what a call tells its callbacks."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.failed: list[BaseException] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **about: Any) -> None:
        self.started.append({"said": messages[0][-1].content, "tags": about["tags"], "name": about["name"]})

    def on_llm_end(self, response: Any, **about: Any) -> None:
        self.ended.append(response.generations[0][0].text)

    def on_llm_error(self, error: BaseException, **about: Any) -> None:
        self.failed.append(error)


def test_a_batch_tells_the_callbacks_of_its_config(engine: TextEngine) -> None:
    model, recorder = HouseChatModel(engine=engine), Recorder()
    configs: list[RunnableConfig] = [
        {"callbacks": [recorder], "tags": [str(number)], "run_name": f"run {number}"} for number in range(len(ASKED))
    ]
    replies = model.batch(ASKED, configs, max_new_tokens=4)
    assert [entry["said"] for entry in recorder.started] == [messages[0]["content"] for messages in ASKED]
    assert [entry["tags"] for entry in recorder.started] == [["0"], ["1"], ["2"], ["3"]]
    assert [entry["name"] for entry in recorder.started] == ["run 0", "run 1", "run 2", "run 3"]
    assert recorder.ended == [reply.content for reply in replies]


def test_a_batch_holds_to_its_greatest_concurrency(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = HouseChatModel(engine=engine), []
    real = engine.generate

    def counting(conversations: Any, **options: Any) -> list[str]:
        sizes.append(len(conversations))
        return real(conversations, **options)

    alone = model.batch(ASKED, max_new_tokens=4)
    monkeypatch.setattr(engine, "generate", counting)
    found = model.batch(ASKED, {"max_concurrency": 3}, max_new_tokens=4)
    assert [reply.content for reply in found] == [reply.content for reply in alone]
    assert sizes == [3, 1]


def test_a_batch_that_fails_tells_so_or_returns_what_failed(
    engine: TextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> list[str]:
        raise RuntimeError("out of luck")

    model, recorder = HouseChatModel(engine=engine), Recorder()
    monkeypatch.setattr(engine, "generate", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        model.batch(ASKED[:2], {"callbacks": [recorder]})
    assert len(recorder.failed) == 2
    found: list[Any] = list(model.batch(ASKED[:2], return_exceptions=True))
    assert [str(error) for error in found] == ["out of luck"] * 2
