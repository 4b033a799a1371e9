"""Which engine a bot runs on and why, and the files that llama.cpp loads: written once, whole, into the cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, PreTrainedTokenizerBase

from toolkit.bot import BotFolder
from toolkit.config import BaseSettings
from toolkit.engines import TextEngine, llama_files
from toolkit.engines.llama_engine import LlamaEngine
from toolkit.engines.llama_files import Base, Voice, gguf_files
from toolkit.engines.opening import choose_engine, open_engine
from toolkit.errors import MissingExtra, ModelError
from toolkit.exporting import llama_cpp
from toolkit.models import fingerprint, load_tokenizer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOUSEVOICE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def base(tiny_base: Path) -> Base:
    tokenizer = load_tokenizer("tiny", str(tiny_base))
    return Base(str(tiny_base), None, fingerprint(str(tiny_base)), tokenizer)


@pytest.fixture
def voice(small_bot: Path, tmp_path: Path) -> Voice:
    return Voice(Path(shutil.copytree(BotFolder(small_bot).adapter, tmp_path / "adapter")), "lora")


def chosen(tiny_base: Path, method: str | None = "lora", kind: str = "llama", **settings: Any) -> str:
    def read() -> tuple[Any, PreTrainedTokenizerBase]:
        config = AutoConfig.from_pretrained(tiny_base)
        config.model_type = kind
        return config, load_tokenizer("tiny", str(tiny_base))

    return str(choose_engine(BaseSettings(model=str(tiny_base), **settings), method, read))


def test_the_choice_tells_its_reason(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "is_installed", lambda: True)
    on_cpu: dict[str, Any] = {"device": "cpu", "engine": "auto"}
    assert chosen(tiny_base, **on_cpu) == "llamacpp (on a CPU it writes several times as fast)"
    assert chosen(tiny_base, None, **on_cpu | {"engine": "llamacpp"}) == "llamacpp (set in bot.yaml)"
    assert chosen(tiny_base, engine="transformers") == "transformers (set in bot.yaml)"
    refused = {
        "prefix": chosen(tiny_base, "prefix", **on_cpu),
        "base.dtype": chosen(tiny_base, dtype="float32", **on_cpu),
        "load_in_4bit": chosen(tiny_base, load_in_4bit=True, **on_cpu),
        "'gpt2' model": chosen(tiny_base, kind="gpt2", **on_cpu),
    }
    for why, said in refused.items():
        assert said.startswith("transformers (not llama.cpp: ")
        assert why in said
    with pytest.raises(ModelError, match="prefix"):
        chosen(tiny_base, "prefix", **on_cpu | {"engine": "llamacpp"})
    monkeypatch.setattr(llama_cpp, "is_installed", lambda: False)
    assert chosen(tiny_base) == "transformers (set in bot.yaml)"
    assert chosen(tiny_base, engine="auto") == "transformers (not llama.cpp: llama.cpp is not installed)"
    with pytest.raises(MissingExtra):
        chosen(tiny_base, engine="llamacpp")


def test_files_are_written_once_and_a_new_voice_takes_the_place_of_the_old(
    base: Base, voice: Voice, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    plain, voiced = gguf_files(base, voice, lambda what, done, total: steps.append(what))
    assert voiced is not None
    assert "Writing the GGUF" in steps
    assert plain.parent == voiced.parent == cache
    written = {file: file.stat().st_mtime_ns for file in (plain, voiced)}
    with monkeypatch.context() as patch:
        patch.setattr(llama_files, "load_base", lambda *args, **more: pytest.fail("loaded for nothing"))
        assert gguf_files(base, voice) == (plain, voiced)
        assert gguf_files(base, None) == (plain, None)
    config = voice.adapter / "adapter_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"lora_alpha": ', '"lora_alpha": 1'), encoding="utf-8")
    _, retuned = gguf_files(base, voice)
    assert retuned not in written
    assert sorted(cache.glob("*.gguf")) == sorted(file for file in (plain, retuned) if file)
    assert plain.stat().st_mtime_ns == written[plain]


def test_a_file_that_could_not_be_written_is_not_there(
    base: Base, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: Path, *args: Any, **more: Any) -> None:
        file.write_bytes(b"half of it")
        raise OSError("the disk is full")

    monkeypatch.setattr(llama_files, "write_model", write)
    with pytest.raises(ModelError, match="the disk is full") as caught:
        gguf_files(base, None)
    assert "HOUSEVOICE_CACHE" in str(caught.value.hint)
    assert [file.name for file in cache.iterdir() if file.suffix != ".lock"] == []


def test_a_bot_is_opened_on_either_engine(
    tiny_base: Path, voice: Voice, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    seen: list[str] = []

    def opened(engine: str) -> Any:
        settings = BaseSettings.model_validate({"model": str(tiny_base), "device": "cpu", "engine": engine})
        return open_engine(settings, voice, lambda found, tokenizer: seen.append(found))

    fast = opened("auto")
    assert isinstance(fast, LlamaEngine)
    assert isinstance(opened("transformers"), TextEngine)
    assert seen == [fingerprint(str(tiny_base))] * 2
    asked = [[{"role": "user", "content": "Hello!"}]]
    assert fast.generate(asked, adapter=True) != fast.generate(asked, adapter=False)
    # Where the files cannot be written, the reference does as well, unless it was told not to be used.
    monkeypatch.setenv("HOUSEVOICE_CACHE", os.devnull)
    assert isinstance(opened("auto"), TextEngine)
    with pytest.raises(ModelError, match="could not be written for llama.cpp"):
        opened("llamacpp")
