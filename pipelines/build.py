"""The whole road: documents and example replies in, a measured bot folder out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.evaluating import EvaluateStep
from pipelines.ingest import IngestReport, IngestStep
from pipelines.parts import Parts
from pipelines.prefer import PreferStep
from pipelines.prepare import Prepared, PrepareStep
from pipelines.report import Evaluation
from pipelines.steps import do
from pipelines.tune import TuneResult, TuneStep
from toolkit.agent import check_agent
from toolkit.bot import Chatbot, told_of_voice, write_config, write_lock, write_parts, write_shown
from toolkit.config import load_config
from toolkit.progress import Note, Progress
from toolkit.seam import shown_replies

STEPS = ("ingest", "tune", "evaluate")


@dataclass
class BuildResult:
    """What a build did.

    Attributes:
        folder: The bot folder.
        ingest: What the ingest did, or None.
        tune: What the tune did, or None.
        prefer: What the tune on preferences did, or None.
        evaluation: What was measured, or None.
        seconds: Time of each step that was done, in seconds.
        opened: How often base, embedder, knowledge and each of the inputs were opened.
    """

    folder: Path
    ingest: IngestReport | None = None
    tune: TuneResult | None = None
    prefer: TuneResult | None = None
    evaluation: Evaluation | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)


def build_chatbot(path: Path | str, **options: Any) -> Chatbot:
    """Build the bot of a ``bot.yaml`` as far as anything changed, and open it.

    Args:
        path: The ``bot.yaml``, or its folder.
        **options: Passed on to :func:`build`.

    Raises:
        HousevoiceError: As :func:`build` and :meth:`toolkit.Chatbot.load`.
    """
    return Chatbot.load(build(path, **options).folder)


def build(
    path: Path | str,
    *,
    steps: Collection[str] = STEPS,
    method: str | None = None,
    accept: bool = False,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> BuildResult:
    """Build a bot; steps whose inputs did not change are not done again.

    Every input is checked before any model is loaded.

    Args:
        path: The ``bot.yaml``, or its folder.
        steps: Which of ``ingest``, ``tune`` and ``evaluate`` to do.
        method: Another way to tune the voice than that of ``bot.yaml``.
        accept: Whether a tune is taken whatever is measured of it.
        on_progress: Called with what is being done, done, total.
        on_note: Called with each automatic choice and its reason, and what was found.

    Raises:
        ConfigError: ``bot.yaml`` has faults.
        DataError: An input cannot be used.
        ModelError: A model cannot be loaded.
        StoreLocked: Another process is building the same bot.
        TuneRejected: What was measured of the tune speaks against it.
    """
    config, _ = load_config(path, method=method)
    with Parts(config, on_progress=on_progress, on_note=on_note) as parts:
        return build_from(parts, steps=steps, accept=accept)


def build_from(parts: Parts, *, steps: Collection[str] = STEPS, accept: bool = False) -> BuildResult:
    """Build a bot with parts that are opened as they are needed; otherwise as :func:`build`."""
    result = BuildResult(parts.folder.root)
    parts.check_inputs()
    check_agent(parts.config, None if parts.config.base.address else parts.tokenizer)
    tuning = parts.tunes and "tune" in steps
    if parts.config.voice and not parts.tunes and "tune" in steps:
        parts.note(told_of_voice(parts.config.base))
    if tuning:
        parts.check_method()
    if parts.config.knowledge and "ingest" in steps:
        result.ingest = do(IngestStep(), parts, result.seconds)
    prepared = do(PrepareStep(tuning=tuning), parts, result.seconds)
    if tuning:
        result.tune = do(TuneStep(prepared, accept=accept), parts, result.seconds)
    if prepared:
        # Only now, when all that can fail has been done: a build that fails leaves the bot that was there.
        _write(parts, prepared)
    if tuning and (parts.preferences() or parts.lock.inputs.prefer):
        # After the voice was written: whatever becomes of the preferences, it is not tuned again.
        result.prefer = do(PreferStep(accept=accept), parts, result.seconds)
        if result.prefer.done:
            write_config(parts.folder, parts.config)
            write_lock(parts.folder, parts.lock)
    if "evaluate" in steps:
        result.evaluation = do(EvaluateStep(), parts, result.seconds)
    result.opened = dict(parts.opened)
    return result


def _write(parts: Parts, prepared: Prepared) -> None:
    """Write the bot: its settings, what its chain serves with, and what it was built with."""
    parts.lock.template = parts.template()
    parts.lock.base = {"name": parts.config.base.model, "fingerprint": parts.fingerprint()}
    write_config(parts.folder, parts.config)
    write_parts(parts.folder, prepared.chain)
    elsewhere = parts.config.base.address is not None
    write_shown(parts.folder, shown_replies(prepared.rows, prepared.chain.lexicon) if elsewhere else ())
    write_lock(parts.folder, parts.lock)
