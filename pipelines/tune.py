"""Example replies into a voice: trained on the rows that were woven, and bound to the base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.parts import Parts
from pipelines.prepare import Prepared
from pipelines.steps import Step
from toolkit.config import PREFERENCE_KEYS, BotConfig
from toolkit.errors import Interrupted, TuneRejected
from toolkit.files import read_json, replace_folder, write_text
from toolkit.prompts import answer_messages
from toolkit.seam import SeamRow

if TYPE_CHECKING:
    from toolkit.examples import Example
    from toolkit.prompts import Message
    from toolkit.tuning import Acceptance


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
        accept: Whether the adapter is taken whatever is measured of it.
    """

    name = "tune"

    def __init__(self, prepared: Prepared | None, *, accept: bool = False) -> None:
        self._accept, self._held = accept, prepared.held if prepared else []
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
        report = tune(parts, self._rows, self._held, accept=self._accept)
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
        yield told_of(result.report["acceptance"])


def tune(
    parts: Parts, rows: Sequence[SeamRow], held: Sequence[SeamRow] = (), *, accept: bool = False
) -> dict[str, Any]:
    """Train the adapter of a bot, measure it, and put it into the bot folder with a report beside it.

    One that does not pass stays beside the bot's as ``adapter.rejected``; asked again with ``accept`` it is taken as it
    is, without training it anew.

    Args:
        parts: What the build works with.
        rows: What :func:`toolkit.seam.weave` made of the examples.
        held: What it made of those held out, where the tune is to stop by them.
        accept: Whether the adapter is taken whatever is measured of it.

    Returns:
        The report of the training.

    Raises:
        ModelError: The base cannot be loaded.
        DataError: No row fits ``voice.max_length``.
        StoreFull: The disk is full.
        Interrupted: Ctrl-C; the same call goes on from the last checkpoint.
        TuneRejected: What was measured speaks against the adapter.
    """

    def make(output: Path) -> dict[str, Any]:
        report = _train(parts, rows, held, output)
        return report | {"acceptance": measure(parts, rows, output).to_dict()}

    return take_measured(parts, tune_digest(rows, parts.config, parts.fingerprint()), make, accept=accept)


def take_measured(
    parts: Parts, made_from: str, make: Callable[[Path], dict[str, Any]], *, accept: bool
) -> dict[str, Any]:
    """Make an adapter and put it into the bot folder, unless what was measured speaks against it.

    Args:
        parts: What the build works with.
        made_from: Names what it is made from: one that was made of the very same and rejected is not made anew.
        make: Writes it into a folder and returns its report, with what was measured as ``acceptance``.
        accept: Whether it is taken whatever was measured of it.

    Raises:
        TuneRejected: What was measured speaks against it.
    """
    rejected, report_name = parts.folder.rejected, parts.folder.tune_report.name
    report = read_json(rejected / report_name) or {}
    if report.get("made_from") != made_from:
        report = make(parts.folder.tuned) | {"made_from": made_from}
        write_text(parts.folder.tuned / report_name, json.dumps(report, indent=2) + "\n")
        replace_folder(parts.folder.tuned, rejected)
    faults = report["acceptance"]["faults"]
    if faults and not accept:
        raise TuneRejected(
            f"The tune did not pass: {' '.join(faults)} It is kept in {rejected}.",
            "Take another method, rate or more examples; --accept takes it as it is.",
        )
    replace_folder(rejected, parts.folder.adapter)
    return report


def _train(parts: Parts, rows: Sequence[SeamRow], held: Sequence[SeamRow], output: Path) -> dict[str, Any]:
    from toolkit.tuning import train_adapter

    assert parts.config.voice is not None
    with parts.base_for_tuning() as loaded:
        parts.note(f"Tuning on {loaded.device}, {loaded.dtype}; weights: {loaded.quantization}.")
        work = parts.folder.work / f"tune-{tune_digest(rows, parts.config, loaded.fingerprint)}"
        with stopped_tune_named():
            trained = train_adapter(
                rows, loaded, parts.config.voice, output, work=work, held=held, on_progress=parts.on_progress
            )
    return trained.to_dict()


@contextmanager
def stopped_tune_named() -> Iterator[None]:
    """Turn Ctrl-C while a tune is set up or saved into an error that says how to go on.

    Raises:
        Interrupted: It was pressed.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "The tune was stopped.", "Run the same command again: it goes on from the last checkpoint."
        ) from None


def measure(parts: Parts, rows: Sequence[SeamRow], adapter: Path) -> Acceptance:
    """Measure an adapter that was just tuned, on the weights that the bot answers with.

    Args:
        parts: What the build works with.
        rows: What it was trained on.
        adapter: The folder.
    """
    from toolkit.tuning import attach_adapter, lent_for_tuning, measure_tune

    assert parts.config.voice is not None
    loaded = parts.base()
    if parts.on_progress:
        parts.on_progress("Measuring the tune", 0, 1)
    with lent_for_tuning(loaded.model):
        measured = measure_tune(
            attach_adapter(loaded.model, adapter),
            loaded.tokenizer,
            without_notes(parts.config, parts.examples()[1]),
            without_notes(parts.config, told_from_notes(rows)),
            max_length=parts.config.voice.max_length,
        )
    if parts.on_progress:
        parts.on_progress("Measuring the tune", 1, 1)
    return measured


def told_from_notes(rows: Sequence[SeamRow]) -> list[Example]:
    """Return the examples whose facts stand in the notes that they are trained with."""
    return [row.example for row in rows if row.kind == "passages"]


def without_notes(config: BotConfig, examples: Sequence[Example]) -> list[tuple[list[Message], str]]:
    """Return examples as the bot would be asked for them if it had found nothing: messages and reply."""
    return [(answer_messages(config.chain.system, item.question), item.reply) for item in examples]


def told_of(acceptance: dict[str, Any]) -> str:
    """Tell what was measured of a tune, in a sentence."""
    told = []
    if acceptance["held_out"]:
        told.append("held-out replies {:.2f} nats per token, {:.2f} without it".format(*acceptance["held_out"][::-1]))
    told.append("general chat {:.2f}, {:.2f} without it".format(*acceptance["general"][::-1]))
    if acceptance["recited"]:
        told.append("{:.0%} of the numbers known by heart, {:.0%} without it".format(*acceptance["recited"][::-1]))
    faults = acceptance["faults"]
    return f"Measured: {'; '.join(told)}. {'Taken although: ' + ' '.join(faults) if faults else 'Accepted.'}"


def tune_digest(rows: Sequence[SeamRow], config: BotConfig, fingerprint: str) -> str:
    """Name everything that an adapter depends on: the rendered rows, the settings and the base."""
    assert config.voice is not None
    apart = {"examples", "min_examples", "held_out", "torch_compile", *PREFERENCE_KEYS}  # they leave the numbers alone
    settings = config.voice.model_dump(mode="json", exclude=apart)
    content = [fingerprint, settings, [[row.messages, row.example.reply] for row in rows]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
