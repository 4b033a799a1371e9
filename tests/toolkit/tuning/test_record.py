"""The record beside an adapter: files that were damaged or exchanged, and pickles, are refused before a model loads."""

from __future__ import annotations

import json
import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from toolkit.bot import BotFolder, Chatbot
from toolkit.errors import AdapterMismatch, DataError
from toolkit.tuning import check_base
from toolkit.tuning.record import BASE_RECORD, check_files, record_base, sha256_of

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def adapter(bot_copy: Path) -> Path:
    return BotFolder(bot_copy).adapter


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing load a base or an embedder."""
    import toolkit.bot.chatbot
    import toolkit.models

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(toolkit.models, "load_base", refuse)
    monkeypatch.setattr(toolkit.bot.chatbot, "open_knowledge", refuse)


def refused(bot: Path, kind: type[Exception], match: str) -> None:
    started = time.perf_counter()
    with pytest.raises(kind, match=match):
        Chatbot.load(bot)
    assert time.perf_counter() - started < 1


def test_the_record_holds_what_the_files_hold(adapter: Path) -> None:
    record = json.loads((adapter / BASE_RECORD).read_text())
    assert record["sha256"] == {name: sha256_of(adapter / name) for name in ("adapter_config.json", WEIGHTS)}
    check_files(adapter)


@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_flipped_bits_are_refused(at: float, bot_copy: Path, adapter: Path, no_models: None) -> None:
    content = bytearray((adapter / WEIGHTS).read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    (adapter / WEIGHTS).write_bytes(content)
    refused(bot_copy, DataError, f"{WEIGHTS} is not what the tune wrote")


def test_other_settings_beside_the_weights_are_refused(bot_copy: Path, adapter: Path, no_models: None) -> None:
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 400}))
    refused(bot_copy, DataError, "adapter_config.json is not what the tune wrote")


def test_a_foreign_adapter_of_the_same_shape_is_refused(bot_copy: Path, adapter: Path, no_models: None) -> None:
    from safetensors.torch import load_file, save_file

    other = {name: weights.flip(0).contiguous() for name, weights in load_file(adapter / WEIGHTS).items()}
    save_file(other, adapter / WEIGHTS)
    refused(bot_copy, DataError, "damaged or exchanged")


def test_an_adapter_of_another_base_is_refused(
    bot_copy: Path, adapter: Path, no_models: None, other_tiny_base: Path
) -> None:
    from toolkit.models import fingerprint

    foreign = fingerprint(str(other_tiny_base))
    record_base(adapter, name="other", fingerprint=foreign, template="t")
    refused(bot_copy, AdapterMismatch, f"trained on 'other' \\({foreign}\\)")


@pytest.mark.parametrize("beside_safetensors", [True, False])
def test_a_pickle_is_refused_unopened(
    beside_safetensors: bool, bot_copy: Path, adapter: Path, no_models: None, tmp_path: Path
) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.mkdir, (tmp_path / "run",)

    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Evil()))
    if not beside_safetensors:
        (adapter / WEIGHTS).unlink()
    refused(bot_copy, DataError, "a pickle can run any code")
    assert not (tmp_path / "run").exists()


def test_weights_that_are_missing_are_named(bot_copy: Path, adapter: Path, no_models: None) -> None:
    (adapter / WEIGHTS).unlink()
    refused(bot_copy, DataError, f"not whole: {WEIGHTS} is missing")


DAMAGED = ('{"base"', "[]", '{"base": "x"}', '{"base": "x", "fingerprint": "y", "sha256": 1}')


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_is_named(content: str, adapter: Path) -> None:
    (adapter / BASE_RECORD).write_text(content)
    with pytest.raises(DataError, match="is damaged"):
        check_base(adapter, name="x", fingerprint="y")


def test_an_adapter_of_an_older_version_is_taken(adapter: Path) -> None:
    record = json.loads((adapter / BASE_RECORD).read_text())
    del record["sha256"]
    (adapter / BASE_RECORD).write_text(json.dumps(record))
    check_base(adapter, name="x", fingerprint=record["fingerprint"])


def test_an_untouched_bot_opens(bot_copy: Path, embedder: object, tmp_path: Path) -> None:
    Chatbot.load(bot_copy).close()
    moved = shutil.copytree(bot_copy, tmp_path / "moved")
    Chatbot.load(moved).close()
