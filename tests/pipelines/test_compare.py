"""Ways to tune side by side: each trained once, in a process of its own, and laid out for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.build import build
from pipelines.comparing import compare, install
from pipelines.comparing.compare import mean_between
from pipelines.comparing.page import pareto_front
from tests.conftest import Sources
from toolkit.bot import BotFolder
from toolkit.errors import ConfigError, DataError
from toolkit.testing import HashEmbedder


@pytest.fixture
def sources(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> Sources:
    """Sources with both halves and a question to measure on."""
    made = make_sources(tiny_base)
    asked = {"question": "What does the Ember lamp cost?", "facts": [["40"]], "sources": ["lamp.md"]}
    (made.folder / "questions.jsonl").write_text(json.dumps(asked) + "\n")
    return made


def test_methods_are_compared_once_and_laid_out(sources: Sources) -> None:
    notes: list[str] = []
    found = compare(sources.config, methods=["lora", "oft"], epochs=1, on_note=notes.append)
    assert [trial["method"] for trial in found.trials] == ["none", "lora", "oft"]
    plain, lora, oft = found.trials
    assert "voice" in plain and "trainable" not in plain
    assert lora["trainable"] > 0 and lora["peak_bytes"] > 1e7 and lora["adapter_bytes"] > 1000
    assert lora["acceptance"]["held_out"][0] != lora["acceptance"]["held_out"][1]
    # No block of this size fits into the tiny base: a method that fails is a row with its reason.
    assert oft.get("failed") or oft["trainable"] > 0
    for name in ("compare.json", "compare.md", "compare.png", "compare.html"):
        assert (found.folder / name).stat().st_size > 200
    assert "| lora |" in (found.folder / "compare.md").read_text()
    page = (found.folder / "compare.html").read_text()
    assert "data:image/png;base64," in page and "<script" not in page and "http" not in page

    trained = (sources.output / "compare" / "lora" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    again = compare(sources.config, methods=["lora"], epochs=1)
    assert again.trials[1] == lora
    kept = (sources.output / "compare" / "lora" / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    assert kept == trained


def test_a_finished_method_is_installed(sources: Sources) -> None:
    with pytest.raises(DataError, match="not tuned yet"):
        install(sources.config, "lora")
    compare(sources.config, methods=["lora"], epochs=1)
    with pytest.raises(DataError, match="not a built bot"):
        install(sources.config, "lora")
    build(sources.config)
    place = BotFolder(sources.output)
    before = (place.adapter / "adapter_model.safetensors").read_bytes()
    assert install(sources.config, "lora") == place.adapter
    assert (place.adapter / "adapter_model.safetensors").read_bytes() != before


def test_an_unknown_method_and_a_bot_without_a_voice_are_refused(sources: Sources) -> None:
    with pytest.raises(ConfigError, match="no method is called"):
        compare(sources.config, methods=["magic"])
    sources.change(voice=None)
    with pytest.raises(ConfigError, match="no voice"):
        compare(sources.config)


def test_the_front_is_what_no_other_beats() -> None:
    assert pareto_front([]) == []
    assert pareto_front([(2.0, 0.9), (1.0, 0.5), (1.0, 0.6), (3.0, 0.9)]) == [2, 0]


def test_an_interval_holds_its_mean_and_narrows_with_more() -> None:
    few, many = mean_between([True, False] * 5), mean_between([True, False] * 200)
    assert few[0] == many[0] == 0.5
    assert few[1] < many[1] < 0.5 < many[2] < few[2]
