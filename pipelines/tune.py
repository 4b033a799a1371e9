"""Example replies into a voice: trained on the rows that were woven, and bound to the base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.parts import Parts
from pipelines.prepare import Prepared
from pipelines.steps import Step
from toolkit.config import BotConfig
from toolkit.errors import Interrupted
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


class TuneStep(Step[TuneResult]):
    """Trains the adapter.

    Args:
        prepared: The rows; None where those that the adapter was trained on are still the same.
    """

    name = "tune"

    def __init__(self, prepared: Prepared | None) -> None:
        self._rows = None if prepared is None else [row for row in prepared.rows if row.trains]

    def made_from(self, parts: Parts) -> str:
        """Name the rows, the settings of the voice and the base."""
        if self._rows is None:
            return parts.lock.inputs.tune
        return tune_digest(self._rows, parts.config, parts.fingerprint())

    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether the adapter that is there was trained on the very same."""
        return parts.is_tuned() and self.made_from(parts) == parts.lock.inputs.tune

    def kept(self, parts: Parts) -> TuneResult:
        """Return what was done when the adapter was made."""
        return TuneResult(False, json.loads(parts.folder.tune_report.read_text(encoding="utf-8")))

    def run(self, parts: Parts) -> TuneResult:
        """Train; see :func:`tune`."""
        from toolkit.models import release_memory

        assert self._rows is not None, "an adapter that is not there is not fresh, and its rows are woven"
        report = tune(parts, self._rows)
        release_memory()  # the base of a QLoRA tune, and the optimizer, before the bot is measured
        # Named anew: a base of the hub has its name only once it was fetched.
        parts.lock.inputs.tune = self.made_from(parts)
        return TuneResult(True, report)

    def remarks(self, result: TuneResult, seconds: float) -> Iterator[str]:
        """Yield what was tuned on."""
        if not result.done:
            yield "The voice is up to date."
            return
        rows = result.report["rows"]
        yield (
            f"Tuned on {rows['passages']} replies with their passages, {rows['decline']} that decline and "
            f"{rows['alone']} without passages, in {seconds:.0f} s."
        )


def tune(parts: Parts, rows: Sequence[SeamRow]) -> dict[str, Any]:
    """Train the adapter of a bot and put it into the bot folder, with a report beside it.

    Args:
        parts: What the build works with.
        rows: What :func:`toolkit.seam.weave` made of the examples.

    Returns:
        The report of the training.

    Raises:
        ModelError: The base cannot be loaded.
        DataError: No row fits ``voice.max_length``.
        StoreFull: The disk is full.
        Interrupted: Ctrl-C; the same call goes on from the last checkpoint.
    """
    from toolkit.tuning import train_adapter

    assert parts.config.voice is not None
    with parts.base_for_tuning() as loaded:
        parts.note(f"Tuning on {loaded.device}, {loaded.dtype}; weights: {loaded.quantization}.")
        work = parts.folder.work / f"tune-{tune_digest(rows, parts.config, loaded.fingerprint)}"
        try:
            trained = train_adapter(
                rows, loaded, parts.config.voice, parts.folder.adapter, work=work, on_progress=parts.on_progress
            )
        except KeyboardInterrupt:
            raise Interrupted(
                "The tune was stopped.", "Run the same command again: it goes on from the last checkpoint."
            ) from None
    report = trained.to_dict()
    parts.folder.tune_report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def tune_digest(rows: Sequence[SeamRow], config: BotConfig, fingerprint: str) -> str:
    """Name everything that an adapter depends on: the rendered rows, the settings and the base."""
    assert config.voice is not None
    settings = config.voice.model_dump(mode="json", exclude={"examples", "min_examples", "held_out"})
    content = [fingerprint, settings, [[row.messages, row.example.reply] for row in rows]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
