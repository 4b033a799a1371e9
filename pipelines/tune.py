"""Example replies into a voice: woven with their passages, trained, and bound to the base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.bot import BotFolder
from toolkit.config import BotConfig, VoiceSettings
from toolkit.errors import Interrupted
from toolkit.examples import Example, read_examples, split_examples
from toolkit.progress import Note, Progress
from toolkit.seam import SeamRow


@dataclass(frozen=True)
class TuneResult:
    """What a tune did.

    Attributes:
        done: False where nothing had changed and the adapter was kept.
        report: What the training did; that of the run that made the adapter.
    """

    done: bool
    report: dict[str, Any]


def read_voice(settings: VoiceSettings) -> tuple[list[Example], list[Example]]:
    """Read and split the example replies.

    Returns:
        Examples to train on and examples to measure on.

    Raises:
        DataError: The file is missing, malformed (each bad line numbered) or too short.
    """
    examples = read_examples(settings.examples, min_examples=settings.min_examples)
    return split_examples(examples, settings.held_out, settings.seed)


def tune_digest(rows: Sequence[SeamRow], config: BotConfig, fingerprint: str) -> str:
    """Name everything that an adapter depends on: the rendered rows, the settings and the base."""
    assert config.voice is not None
    settings = config.voice.model_dump(mode="json", exclude={"examples", "min_examples", "held_out"})
    content = [fingerprint, settings, [[row.messages, row.example.reply] for row in rows]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def tune(
    config: BotConfig,
    folder: BotFolder,
    rows: Sequence[SeamRow],
    *,
    known_digest: str | None,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> tuple[TuneResult, str]:
    """Train the adapter of a bot, unless one was made of the same rows, settings and base.

    Args:
        config: The bot's settings.
        folder: The bot folder.
        rows: What :func:`toolkit.seam.weave` made of the examples.
        known_digest: The digest of the adapter that is there.
        on_progress: Called after each step.
        on_note: Called with each automatic choice and its reason.

    Returns:
        What was done, and the digest of the adapter that is there now.

    Raises:
        ModelError: The base cannot be loaded.
        DataError: No row fits ``voice.max_length``.
        StoreFull: The disk is full.
        Interrupted: Ctrl-C; the same call goes on from the last checkpoint.
    """
    from toolkit.models import fingerprint, load_base, locate_base, release_memory
    from toolkit.tuning import train_adapter

    assert config.voice is not None
    report_file = report_of(folder)
    path = locate_base(config.base.model, on_progress=on_progress)
    digest = tune_digest(rows, config, fingerprint(path, config.base.revision))
    if digest == known_digest and folder.has_adapter() and report_file.is_file():
        return kept(folder), digest
    loaded = load_base(
        config.base.model,
        revision=config.base.revision,
        device=config.base.device,
        dtype=config.base.dtype,
        quantization=config.voice.quantization,
        on_progress=on_progress,
    )
    digest = tune_digest(rows, config, loaded.fingerprint)
    if on_note:
        on_note(f"Tuning on {loaded.device}, {loaded.dtype}; weights: {loaded.quantization}.")
    work = folder.work / f"tune-{digest}"
    try:
        report = train_adapter(
            rows, loaded, config.voice, folder.adapter, work=work, on_progress=on_progress
        ).to_dict()
    except KeyboardInterrupt:
        raise Interrupted(
            "The tune was stopped.", "Run the same command again: it goes on from the last checkpoint."
        ) from None
    report_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    del loaded
    release_memory()
    return TuneResult(True, report), digest


def report_of(folder: BotFolder) -> Path:
    """Return the file in which a tune says what it did."""
    return folder.adapter / "tune.json"


def kept(folder: BotFolder) -> TuneResult:
    """Return the result of a tune that had nothing to do."""
    return TuneResult(False, json.loads(report_of(folder).read_text(encoding="utf-8")))


def needs_rewriting(examples: Sequence[Example], config: BotConfig) -> bool:
    """Tell whether a model is needed to weave: only follow-ups are rewritten."""
    return config.chain.rewrite != "never" and any(example.history for example in examples)
