"""llama.cpp in this process: the words of the reference, the voice on and off, replies that wait and that stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.engines import Decoding, TextEngine, llama_model
from toolkit.engines.llama_engine import LlamaEngine
from toolkit.engines.llama_model import LlamaModel
from toolkit.errors import ModelError
from toolkit.exporting import merged_into, write_model
from toolkit.models import load_base
from toolkit.prompts import Message, render_prompt

pytest.importorskip("xllamacpp")

SHORT = Decoding(max_new_tokens=8)
LONG = Decoding(max_new_tokens=400, temperature=1.0)
HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


ASKED = [ask("How long does the lamp burn?"), ask("Hi"), ask("What does it cost? " * 12), ask("Who? " * 3)]


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter of the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("voice")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        settings = LoraConfig(r=4, task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False)
        model = get_peft_model(load_base(str(tiny_base), device="cpu", dtype="float32").model, settings)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def files(tiny_base: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny model in 16 bits, without and with its voice."""
    folder = tmp_path_factory.mktemp("gguf")
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    write_model(folder / "plain.gguf", loaded.model, loaded.tokenizer, "f16", name="tiny")
    merged = merged_into(loaded.model, adapter, "lora")
    write_model(folder / "voiced.gguf", merged, loaded.tokenizer, "f16", name="tiny")
    return folder / "plain.gguf", folder / "voiced.gguf"


@pytest.fixture(scope="module")
def reference(tiny_base: Path, adapter: Path) -> TextEngine:
    return TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"), adapter)


@pytest.fixture(scope="module")
def engine(files: tuple[Path, Path], reference: TextEngine) -> LlamaEngine:
    plain, voiced = (LlamaModel(file, 1024) for file in files)
    return LlamaEngine(reference.tokenizer, plain, voiced)


def alike(one: str, other: str) -> bool:
    """Tell whether two replies are the same; half a letter at their ends is written by one of the engines alone."""
    return one.rstrip(HALF_A_LETTER).strip() == other.rstrip(HALF_A_LETTER).strip()


def test_on_off_on_agrees_with_the_reference(engine: LlamaEngine, reference: TextEngine) -> None:
    said: dict[bool, list[str]] = {}
    for voice in (True, False, True, False):
        replies = [engine.generate([asked], adapter=voice, decoding=SHORT)[0] for asked in ASKED]
        expected = [reference.generate([asked], adapter=voice, decoding=SHORT)[0] for asked in ASKED]
        assert all(map(alike, replies, expected)), (voice, replies, expected)
        assert said.setdefault(voice, replies) == replies
    assert said[True] != said[False]


def test_a_stream_writes_what_generate_writes(engine: LlamaEngine) -> None:
    for asked in ASKED:
        (whole,) = engine.generate([asked], adapter=True, decoding=SHORT)
        assert "".join(engine.stream(asked, adapter=True, decoding=SHORT)).strip() == whole


def test_many_are_answered_in_their_order_and_counted(engine: LlamaEngine) -> None:
    counted: list[int] = []
    replies = engine.generate(
        ASKED * 5, adapter=False, decoding=Decoding(2), on_progress=lambda _, done, total: counted.append(done)
    )
    alone = [engine.generate([asked], adapter=False, decoding=Decoding(2))[0] for asked in ASKED]
    assert replies == alone * 5
    assert counted == list(range(1, 21))


def test_scores_are_those_of_the_reference(engine: LlamaEngine, reference: TextEngine) -> None:
    for text in ("unanswerable", "the", "Yo"):
        ours = engine.scored_replies(ASKED, text, 8)
        for one, other in zip(ours, reference.scored_replies(ASKED, text, 8), strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=0.02)
            assert alike(one.text, other.text)
        assert all(len(item.text) <= 4 for item in engine.scored_replies(ASKED, text, 1))
    with pytest.raises(ModelError, match="does not tell how likely"):
        engine.scored_replies(ASKED[:1], "\N{SNOWMAN}", 8)


def test_a_forbidden_beginning_is_forbidden_at_the_beginning_alone(engine: LlamaEngine, reference: TextEngine) -> None:
    for asked in [ask(f"What is {word}?") for word in ("lamp", "kite", "shop", "glass", "silk", "noon", "tail")]:
        (usual,) = reference.generate([asked], adapter=True, decoding=Decoding(1))
        forbidding = Decoding(8, forbid_first=usual)
        (ours,) = engine.generate([asked], adapter=True, decoding=forbidding)
        (expected,) = reference.generate([asked], adapter=True, decoding=forbidding)
        assert alike(ours, expected)
        assert not ours.startswith(usual)
        drawn = Decoding(8, temperature=1.0, seed=3, forbid_first=usual)
        assert not engine.generate([asked], adapter=True, decoding=drawn)[0].startswith(usual)


def test_a_prompt_that_is_rendered_already_is_gone_on_from(engine: LlamaEngine) -> None:
    tokenizer = engine.tokenizer
    for asked in ASKED:
        prompt = render_prompt(tokenizer, asked)
        tokens = engine.complete(prompt, adapter=True, decoding=SHORT)
        (reply,) = engine.generate([asked], adapter=True, decoding=SHORT)
        assert str(tokenizer.decode(tokens, skip_special_tokens=True)).strip() == reply
        assert engine.count_tokens(asked, reply).prompt == len(engine.encoded(prompt))


def test_draws_are_seeded(engine: LlamaEngine) -> None:
    def draw(seed: int) -> str:
        return engine.generate(ASKED[:1], adapter=False, decoding=Decoding(8, temperature=1.0, seed=seed))[0]

    assert draw(1) == draw(1) != draw(2)


def test_cancel_stops_a_reply_and_frees_its_place(engine: LlamaEngine) -> None:
    for leave in (True, False):
        cancel = threading.Event()
        pieces = engine.stream(ASKED[0], adapter=False, decoding=LONG, cancel=cancel)
        next(pieces)
        started = time.monotonic()
        if leave:
            pieces.close()
        else:
            cancel.set()
            list(pieces)
        assert time.monotonic() - started < 1.0
    assert engine.generate(ASKED[:1], adapter=False, decoding=SHORT)


def test_cancel_stops_the_reading_of_a_prompt_and_the_wait_for_a_place(engine: LlamaEngine) -> None:
    model = engine._plain
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    said: list[str] = []
    model.write([5] * 900, 8, said.append, stopped=stopped)
    assert said == []
    assert asked == 3  # of eight chunks
    for place in model._places:
        place.taken = 1
    model.write([5] * 9, 8, said.append, stopped=lambda: True)
    assert said == []
    for place in model._places:
        place.taken = 0
    model.write([5] * 9, 8, said.append, stopped=lambda: False)
    assert said


def full() -> None:
    raise ModelError("There is no memory.")


def test_room_is_made_for_a_long_prompt(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_model, "_FIRST_CONTEXT", 256)
    model = LlamaModel(files[0], 1024)
    said: list[str] = []
    for length in (100, 700, 100):
        model.write([5] * length, 4, said.append, stopped=lambda: False)
        assert said
        said.clear()
    model, opened = LlamaModel(files[0], 1024), llama_model.start_server
    monkeypatch.setattr(llama_model, "start_server", lambda asked: opened(asked) if asked.n_ctx < 512 else full())
    with pytest.raises(ModelError, match="no memory"):
        model.write([5] * 700, 4, said.append, stopped=lambda: False)
    model.write([5] * 100, 4, said.append, stopped=lambda: False)
    assert said
    with pytest.raises(ModelError, match="longer than this base reads: 1024"):
        model.write([5] * 1022, 4, said.append, stopped=lambda: False)


def test_what_was_read_before_makes_way(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_model, "_FIRST_CONTEXT", 512)
    model = LlamaModel(files[0], 512)

    def write(token: int, length: int) -> str:
        said: list[str] = []
        model.write([token] * length, 4, said.append, stopped=lambda: False)
        return "".join(said)

    alone = {(token, length): write(token, length) for token in range(3, 11) for length in (60, 100, 400)}
    # Several at once, on places that hold what filled them before.
    for length in (100, 60, 100, 400):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(write, range(3, 11), [length] * 8))
        assert [text[:1] for text in found] == [alone[token, length][:1] for token in range(3, 11)]


def test_the_next_turn_goes_on_from_the_last_and_all_else_is_read_anew(files: tuple[Path, Path]) -> None:
    model = LlamaModel(files[0], 1024)
    cached: list[int] = []
    handle = model._server.handle_completions

    def told(request: dict[str, Any], heard: Any) -> None:
        def both(chunk: dict[str, Any]) -> bool:
            cached.extend([chunk["timings"]["cache_n"]] if "timings" in chunk and "usage" in chunk else [])
            return bool(heard(chunk))

        handle(request, both)

    model._server = SimpleNamespace(handle_completions=told)
    prompts = [[token] * 100 for token in (3, 4)]
    said: list[list[str]] = []
    for prompt in [*prompts, *prompts, [*prompts[0], 7, 8], [*prompts[0], 7, 9], [*prompts[1], 5]]:
        said.append([])
        model.write(prompt, 4, said[-1].append, stopped=lambda: False)
    assert said[:2] == said[2:4]
    assert [number >= 100 for number in cached] == [False] * 4 + [True, True, True]
    assert cached[:4] == [0] * 4


def test_a_failure_reaches_the_reader(engine: LlamaEngine) -> None:
    with pytest.raises(ModelError, match="longer than this base reads"):
        list(engine.stream(ask("word " * 2000), adapter=False))
    with pytest.raises(ModelError, match="longer than this base reads"):
        engine.generate([ASKED[0], ask("word " * 2000)], adapter=False, decoding=SHORT)


def test_calls_from_several_threads_do_not_mix(engine: LlamaEngine) -> None:
    decoding = Decoding(2)  # of a random model in company, a later word may be a tie that falls otherwise
    expected = {
        (voice, number): engine.generate([asked], adapter=voice, decoding=decoding)[0]
        for voice in (True, False)
        for number, asked in enumerate(ASKED)
    }
    found: list[tuple[bool, int, str]] = []

    def ask_for(voice: bool, number: int) -> None:
        pieces = engine.stream(ASKED[number], adapter=voice, decoding=decoding)
        found.append((voice, number, "".join(pieces).strip()))

    threads = [threading.Thread(target=ask_for, args=key) for key in expected for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    assert all(expected[voice, number] == text for voice, number, text in found)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere it listens on loopback, behind a key")
def test_there_is_no_port(engine: LlamaEngine) -> None:
    address = engine._plain._server.listening_address
    assert address.startswith("unix://")
    assert not Path(address.removeprefix("unix://")).exists()


def test_ctrl_c_stays_with_python(engine: LlamaEngine) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert engine.generate(ASKED[:1], adapter=False, decoding=SHORT)
