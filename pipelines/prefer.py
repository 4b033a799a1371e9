"""Preferences into the adapter: a short tune after that of the voice, from its adapter, and measured like it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.parts import Parts
from pipelines.prepare import code_hash, held_sources, unfitted_planner
from pipelines.steps import Step, digest
from pipelines.tune import TuneResult, measure, stopped_tune_named, take_measured, told_of
from toolkit.config import PREFERENCE_KEYS
from toolkit.examples import Example
from toolkit.files import read_json, replace_folder
from toolkit.seam import PreferenceRow, SeamRow, serve_preferences


class PreferStep(Step[TuneResult]):
    """Trains the adapter on preferences; where there are none, brings the voice back as it was without any.

    Args:
        accept: Whether the adapter is taken whatever is measured of it.
    """

    name = "prefer"

    def __init__(self, *, accept: bool = False) -> None:
        self._accept = accept

    def made_from(self, parts: Parts) -> str:
        """Name the voice, the preferences, their settings, and what their prompts are laid out with."""
        assert parts.config.voice is not None
        if not parts.preferences():
            return ""
        voice = parts.config.voice.model_dump(mode="json", include=set(PREFERENCE_KEYS) - {"preferences"})
        chain = parts.config.chain.model_dump(mode="json")
        held = held_sources(parts.folder.knowledge) if parts.config.knowledge else None
        return digest(parts.lock.inputs.tune, parts.preference_hash(), voice, chain, held, code_hash())

    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether the adapter that is there has learnt the very same."""
        learnt = "preferences" in (read_json(parts.folder.tune_report) or {})
        made_from = self.made_from(parts)
        return learnt == bool(made_from) and parts.lock.inputs.prefer == made_from

    def kept(self, parts: Parts) -> TuneResult:
        """Return what was done when the adapter was made."""
        return TuneResult(False, json.loads(parts.folder.tune_report.read_text(encoding="utf-8")))

    def run(self, parts: Parts) -> TuneResult:
        """Train from the adapter of the voice; see :func:`toolkit.tuning.prefer`.

        Raises:
            DataError: The preferences do not go with the loss, or none fits ``voice.max_length``.
            Interrupted: Ctrl-C; the same call goes on from the last checkpoint.
            TuneRejected: What was measured speaks against the adapter.
        """
        from toolkit.models import release_memory

        made_from = self.made_from(parts)
        _keep_voice(parts)
        if made_from:
            report = _prefer(parts, made_from, accept=self._accept)
            release_memory()
        else:
            replace_folder(parts.folder.voice, parts.folder.adapter)
            report = read_json(parts.folder.tune_report)
        parts.lock.inputs.prefer = made_from
        return TuneResult(True, report)

    def remarks(self, result: TuneResult, seconds: float) -> Iterator[str]:
        """Yield what was learnt."""
        learnt = result.report.get("preferences")
        if not learnt:
            if result.done:
                yield "No preferences any more: the voice is as the example replies made it."
        elif not result.done:
            yield "The preferences are learnt."
        else:
            kind = "pairs" if learnt["loss"] == "dpo" else "labelled replies"
            yield f"Learnt {learnt['rows']} {kind} by {learnt['loss'].upper()}, in {seconds:.0f} s."
            yield told_of(result.report["acceptance"])


def _keep_voice(parts: Parts) -> None:
    """Keep the adapter of the voice beside the bot's: preferences that change later begin with it again."""
    if "preferences" in (read_json(parts.folder.tune_report) or {}):
        return  # it was kept when these were learnt
    fresh = parts.folder.voice.with_name(f".{parts.folder.voice.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(parts.folder.adapter, fresh)
    replace_folder(fresh, parts.folder.voice)


def _prefer(parts: Parts, made_from: str, *, accept: bool) -> dict[str, Any]:
    """Train, measure and put into its place."""

    def make(output: Path) -> dict[str, Any]:
        rows = serve_preferences(parts.preferences(), unfitted_planner(parts), on_progress=parts.on_progress)
        learnt = _train(parts, rows, output, made_from)
        voice = read_json(parts.folder.voice / parts.folder.tune_report.name)
        return voice | {"preferences": learnt, "acceptance": measure(parts, _told(rows), output).to_dict()}

    return take_measured(parts, made_from, make, accept=accept)


def _train(parts: Parts, rows: Sequence[PreferenceRow], output: Path, made_from: str) -> dict[str, Any]:
    from toolkit.tuning import prefer

    assert parts.config.voice is not None
    with parts.base_for_tuning() as loaded:
        parts.note(f"Learning preferences on {loaded.device}, {loaded.dtype}; weights: {loaded.quantization}.")
        with stopped_tune_named():
            learnt = prefer(
                rows, loaded, parts.config.voice, parts.folder.voice, output,
                work=parts.folder.work / f"prefer-{made_from}", on_progress=parts.on_progress,
            )  # fmt: skip
    return learnt.to_dict()


def _told(rows: Sequence[PreferenceRow]) -> list[SeamRow]:
    """Return the wanted replies as rows: what the adapter may have learnt by heart."""
    found = []
    for row in rows:
        item = row.preference
        if item.chosen is not None:
            example = Example(item.question, item.chosen, item.history, item.conversation, item.line)
            found.append(SeamRow(example, "passages" if row.route.evidence else "alone", row.route))
    return found
