"""Preferences in a build: after the voice, from its adapter, done again where they changed and the voice not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.preferences import preferred_share, split_pairs, without_last_sentence
from pipelines.build import build
from pipelines.parts import Parts
from pipelines.prepare import unfitted_planner
from tests.conftest import REPLIES, Sources
from toolkit.bot import BotFolder, Chatbot
from toolkit.config import load_config
from toolkit.errors import DataError, HousevoiceError
from toolkit.examples import Example
from toolkit.seam import serve_preferences
from toolkit.testing import HashEmbedder

PAIRS = [{"prompt": asked, "chosen": said.rpartition(" ")[0], "rejected": said} for asked, said in REPLIES]


def write_rows(sources: Sources, rows: list[dict[str, Any]]) -> None:
    (sources.folder / "preferences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def weights(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.fixture
def sources(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> Sources:
    """Sources of a bot with a voice and preferences."""
    made = make_sources(tiny_base)
    write_rows(made, PAIRS)
    made.change(voice={"preferences": "preferences.jsonl", "preference_learning_rate": 1e-3})
    return made


def refuse(*args: Any, **options: Any) -> Any:
    raise AssertionError("the voice is tuned again")


def test_preferences_come_after_the_voice_and_do_not_tune_it_again(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    result = build(sources.config, steps=("ingest", "tune"), on_note=notes.append)
    place = BotFolder(result.folder)
    assert result.prefer is not None
    assert result.prefer.report["preferences"]["loss"] == "dpo"
    assert any(note.startswith(f"Learnt {len(PAIRS)} pairs by DPO") for note in notes)
    voice, first = weights(place.voice), weights(place.adapter)
    assert voice != first
    monkeypatch.setattr("toolkit.tuning.train_adapter", refuse)
    again = build(sources.config, steps=("tune",))
    assert again.prefer is not None
    assert not again.prefer.done
    assert weights(place.adapter) == first
    # Other preferences begin with the voice, not with what others made of it.
    write_rows(
        sources,
        [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in PAIRS[:6]]
        + [{"prompt": row["prompt"], "completion": row["rejected"], "label": False} for row in PAIRS[6:]],
    )
    notes.clear()
    other = build(sources.config, steps=("tune",), on_note=notes.append)
    assert other.prefer is not None
    assert other.prefer.report["preferences"]["loss"] == "kto"
    assert weights(place.voice) == voice
    assert weights(place.adapter) not in (voice, first)
    bot = Chatbot.load(result.folder)
    assert bot.ask("Hello!").adapter
    bot.close()
    sources.change(voice={"preferences": None})
    assert build(sources.config, steps=("tune",)).prefer is not None
    assert weights(place.adapter) == voice
    assert build(sources.config, steps=("tune",)).prefer is None


def test_a_stage_that_was_left_does_not_cost_the_voice(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("toolkit.tuning.prefer", leave)
        with pytest.raises(HousevoiceError, match="stopped"):
            build(sources.config, steps=("ingest", "tune"))
    monkeypatch.setattr("toolkit.tuning.train_adapter", refuse)
    result = build(sources.config, steps=("tune",))
    assert result.prefer is not None
    assert result.prefer.done


def test_prompts_are_those_of_the_bot(sources: Sources) -> None:
    build(sources.config, steps=("ingest", "tune"))
    config, _ = load_config(sources.config)
    with Parts(config) as parts:
        rows = serve_preferences(parts.preferences(), unfitted_planner(parts))
        bot = Chatbot.load(parts.folder.root)
        for row in rows:
            route = bot.chain.planner.plan(row.preference.question)
            if route.kind == "question":
                assert row.messages == route.messages
        assert any(row.route.evidence for row in rows)
        bot.close()


def test_what_is_wrong_with_the_file_shows_before_the_work(sources: Sources) -> None:
    (sources.folder / "preferences.jsonl").unlink()
    with pytest.raises(DataError, match="preferences.jsonl"):
        build(sources.config)
    write_rows(sources, [{"prompt": "Do you deliver?", "completion": "Yes.", "label": True}])
    with pytest.raises(DataError, match="are wanted"):
        build(sources.config)


def test_the_benchmark_holds_out_what_was_not_learnt(sources: Sources) -> None:
    replies = [
        Example(f"Question {number}?", f"Ahoy there. It costs {number} euros. The lamp stays lit.", (), number, number)
        for number in range(80)
    ]
    assert without_last_sentence(replies[3]) == "Ahoy there. It costs 3 euros."
    learnt, held = split_pairs(replies[:70], replies[70:], seed=0)
    assert (len(learnt), len(held)) == (50, 30)
    assert not {pair.line for pair in learnt} & {pair.line for pair in held}
    result = build(sources.config, steps=("ingest", "tune"))
    copied = sources.folder / "copied"
    shutil.copytree(result.folder / "adapter", copied)
    config, _ = load_config(sources.config)
    with Parts(config) as parts:
        pairs = parts.preferences()
        turned = [replace(pair, chosen=pair.rejected, rejected=pair.chosen) for pair in pairs]
        # the tiny base expects whatever is short; turned around, each pair counts on the other side
        assert preferred_share(parts, pairs, copied) > 0.5
        assert preferred_share(parts, turned, copied) == 1 - preferred_share(parts, pairs, copied)
