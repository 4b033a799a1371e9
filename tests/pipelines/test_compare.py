"""Ways to tune side by side: each trained once, in a process of its own, and laid out for people."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.build import build
from pipelines.comparing import compare, install
from pipelines.comparing.page import pareto_front
from pipelines.comparing.trial import RESULT, Work, passes_of, trial
from tests.conftest import Sources
from toolkit.bot import BotFolder, read_config
from toolkit.config import VoiceSettings, load_config
from toolkit.errors import ConfigError, DataError
from toolkit.testing import HashEmbedder


@pytest.fixture
def sources(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> Sources:
    """Sources with both halves and a question to measure on."""
    made = make_sources(tiny_base)
    asked = {"question": "What does the Ember lamp cost?", "facts": [["40"]], "sources": ["lamp.md"]}
    (made.folder / "questions.jsonl").write_text(json.dumps(asked) + "\n")
    made.change(evaluation={"questions": "questions.jsonl"})
    return made


def test_methods_are_compared_once_and_a_finished_one_is_installed(sources: Sources) -> None:
    notes: list[str] = []
    with pytest.raises(DataError, match="not tuned yet"):
        install(sources.config, "lora")
    # loftq goes with a base that is served in 4 bits alone: a row with its reason, and the next one goes on.
    found = compare(sources.config, methods=["loftq", "lora"], on_note=notes.append)
    plain, loftq, lora = found.trials
    assert [trial["method"] for trial in found.trials] == ["none", "loftq", "lora"]
    assert notes[-1] == "lora (2 of 2): measured"
    assert "voice" in plain and "trainable" not in plain
    assert lora["trainable"] > 0 and lora["peak_bytes"] > 1e7 and lora["adapter_bytes"] > 1000
    assert lora["served_tokens_a_second"] > 0 and lora["facts"][1] <= lora["facts"][0] <= lora["facts"][2]
    before, after = lora["acceptance"]["held_out"]
    assert before == pytest.approx(plain["held_out_loss"][0], rel=1e-3)
    assert after == pytest.approx(lora["held_out_loss"][0]) and after != before
    assert "load_in_4bit" in loftq["failed"]
    for name in ("compare.json", "compare.md", "compare.png", "compare.html"):
        assert (found.folder / name).stat().st_size > 200
    table = (found.folder / "compare.md").read_text()
    assert "| lora |" in table and "- loftq: " in table
    page = (found.folder / "compare.html").read_text()
    assert "data:image/png;base64," in page and "<script" not in page and "http" not in page

    weights = sources.output / "compare" / "lora" / "adapter" / "adapter_model.safetensors"
    trained = weights.stat().st_mtime_ns
    again = compare(sources.config, methods=["lora"])
    assert again.trials[1] == lora
    assert weights.stat().st_mtime_ns == trained

    with pytest.raises(DataError, match="not a built bot"):
        install(sources.config, "lora")
    build(sources.config)
    place = BotFolder(sources.output)
    assert install(sources.config, "lora") == place.adapter
    assert (place.adapter / weights.name).read_bytes() == weights.read_bytes()
    assert read_config(place).voice.method == "lora"
    # Neither the bot.yaml as it is trains it again, nor the one that names the method; the bot is measured anew.
    for changed in ({}, {"method": "lora"}):
        sources.change(voice=changed)
        result = build(sources.config)
        assert result.tune is not None and not result.tune.done
        assert result.evaluation is not None


def test_an_unknown_method_and_a_bot_without_a_voice_are_refused(sources: Sources) -> None:
    with pytest.raises(ConfigError, match="no method is called"):
        compare(sources.config, methods=["magic"])
    sources.change(voice=None)
    with pytest.raises(ConfigError, match="no voice"):
        compare(sources.config)


def test_what_a_library_raises_is_written_down(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("no such layer")

    monkeypatch.setattr("pipelines.comparing.trial.signal.signal", lambda *_: None)
    monkeypatch.setattr("pipelines.comparing.trial._train", fail)
    config, _ = load_config(sources.config, method="ia3")
    trial(config, "ia3", Work([], [], []), tmp_path, "a digest")
    written = json.loads((tmp_path / RESULT).read_text())
    assert written == {"method": "ia3", "made_from": "a digest", "failed": "KeyError: 'no such layer'"}


def test_settings_that_a_method_does_not_go_with_are_its_reason(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("pipelines.comparing.compare")  # the package calls a function by this name
    monkeypatch.setattr(module, "_tried", lambda name, *_: {"method": name, "failed": "a double"})
    sources.change(voice={"gradient_checkpointing": True})
    found = compare(sources.config, methods=["lora", "prefix"], limit_rows=5)
    assert found.rows == 5
    assert found.trials[1]["failed"] == "a double"
    assert "gradient_checkpointing" in found.trials[2]["failed"]


@pytest.mark.parametrize("steps", [1, 3, 50])
@pytest.mark.parametrize(("rows", "batch", "added_up"), [(1, 4, 1), (9, 4, 1), (13, 2, 3), (700, 4, 2)])
def test_passes_make_as_many_updates_as_are_wanted(steps: int, rows: int, batch: int, added_up: int) -> None:
    settings = VoiceSettings(per_device_train_batch_size=batch, gradient_accumulation_steps=added_up)
    a_pass = math.ceil(math.ceil(rows / batch) / added_up)
    assert math.ceil(passes_of(steps, rows, settings) * a_pass) == steps


def test_the_front_is_what_no_other_beats() -> None:
    assert pareto_front([]) == []
    assert pareto_front([(2.0, 0.9), (1.0, 0.5), (1.0, 0.6), (3.0, 0.9)]) == [2, 0]
