"""A second, short tune of an adapter that is there: towards replies that are wanted, away from those that are not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config import VoiceSettings
from toolkit.errors import DataError
from toolkit.models import LoadedModel
from toolkit.offline import call_nobody, load_bitsandbytes
from toolkit.progress import Progress
from toolkit.prompts import encode_pair
from toolkit.tuning.adapters import attach_adapter
from toolkit.tuning.arguments import is_first_process, reporters
from toolkit.tuning.checkpoints import clear_incomplete
from toolkit.tuning.preference_trainer import preference_trainer
from toolkit.tuning.stages import keep_small_steps
from toolkit.tuning.training import (
    clear_run,
    full_disk_named,
    keep_training_kernels,
    quick_attention,
    run,
    save_adapter,
)
from toolkit.tuning.watching import stop_requests, watcher

if TYPE_CHECKING:
    from toolkit.examples import Preference
    from toolkit.seam import PreferenceRow

PREFERRING = "Learning the preferences"


@dataclass
class PreferenceReport:
    """What a tune on preferences did.

    Attributes:
        loss: ``dpo`` or ``kto``.
        rows: Pairs for DPO, labelled replies for KTO.
        dropped: Rows that were longer than ``max_length`` and were left out.
        steps: Updates made.
        seconds: Time spent training, in seconds; of a run that was gone on with, the last part.
        losses: Pairs of step and training loss.
        margins: Pairs of step and the margin between the rewards of wanted and unwanted replies, as TRL logs it.
    """

    loss: str
    rows: int
    dropped: int
    steps: int
    seconds: float
    losses: list[tuple[int, float]] = field(default_factory=list)
    margins: list[tuple[int, float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)


@contextmanager
def _forward_kept(loaded: LoadedModel) -> Iterator[None]:
    """Take the head that TRL puts into the forward pass of a base off again: the base is lent."""
    try:
        yield
    finally:
        vars(loaded.model).pop("forward", None)


def choose_loss(preferences: Sequence[Preference], wanted: str) -> str:
    """Return the loss that preferences are learnt by: DPO where all are paired, KTO where any has a label alone.

    Args:
        preferences: The preferences.
        wanted: ``voice.preference_loss``.

    Raises:
        DataError: The preferences are not of the kind that the loss needs.
    """
    paired = all(item.paired for item in preferences)
    loss = wanted if wanted != "auto" else "dpo" if paired else "kto"
    if loss == "dpo" and not paired:
        raise DataError(
            "voice.preference_loss is dpo, which compares two replies, and some preferences have a label alone.",
            "Set voice.preference_loss to auto or kto.",
        )
    labels = {label for item in preferences for _, label in item.labelled()}
    if loss == "kto" and labels != {True, False}:
        kind = "wanted" if labels == {True} else "unwanted"
        raise DataError(
            f"All replies in voice.preferences are {kind}: KTO learns what tells the two kinds apart.",
            "Add rows of the other kind.",
        )
    return loss


def encode_preferences(
    rows: Sequence[PreferenceRow], loaded: LoadedModel, settings: VoiceSettings, loss: str
) -> tuple[list[dict[str, Any]], int]:
    """Tokenise preferences as TRL's collators take them, prompts as they are served.

    A pair of which a reply is over ``max_length`` is left out whole, as in the tune of the voice.

    Returns:
        For DPO rows of ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``; for KTO of ``prompt_ids``,
        ``completion_ids`` and ``label``, in an order drawn by the seed. And the number left out.

    Raises:
        DataError: No row is left, or none of one label.
    """
    encoded: list[dict[str, Any]] = []
    dropped = 0
    for row in rows:
        tokenised = []
        for reply, label in row.preference.labelled():
            ids, labels = encode_pair(loaded.tokenizer, row.messages, reply)
            start = labels.count(-100)
            tokenised.append((ids[:start], ids[start:], label))
        if any(len(prompt) + len(said) > settings.max_length for prompt, said, _ in tokenised):
            dropped += 1
        elif loss == "dpo":
            (prompt, chosen, _), (_, rejected, _) = tokenised
            encoded.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
        else:
            encoded += [
                {"prompt_ids": prompt, "completion_ids": said, "label": label} for prompt, said, label in tokenised
            ]
    if not encoded or (loss == "kto" and len({row["label"] for row in encoded}) < 2):
        raise DataError(
            f"Too few preferences are left: {dropped} are longer than voice.max_length ({settings.max_length} tokens).",
            "Raise voice.max_length or lower chain.evidence_sentences.",
        )
    random.Random(settings.seed).shuffle(encoded)
    return encoded, dropped


def prefer(
    rows: Sequence[PreferenceRow],
    loaded: LoadedModel,
    settings: VoiceSettings,
    adapter: Path,
    output: Path,
    *,
    work: Path,
    on_progress: Progress | None = None,
) -> PreferenceReport:
    """Train an adapter on preferences, with DPO (Rafailov et al. 2023) or KTO (Ethayarajh et al. 2024) of TRL.

    The reference is the adapter as it was: a second, frozen one in the same layers, so that the base is there once.
    A run that was stopped goes on from its last complete checkpoint, as in :func:`toolkit.tuning.train_adapter`.

    Args:
        rows: Preferences with what the bot shows the model for each.
        loaded: The base, quantised or not as the voice was tuned on it.
        settings: The ``voice`` section of ``bot.yaml``.
        adapter: The adapter to begin with; it is not changed.
        output: The adapter folder that is written; replaced as a whole at the end.
        work: Folder for checkpoints of this very run.
        on_progress: Called after each step; the figures follow the name of the work after a colon.

    Raises:
        DataError: The preferences do not go with the loss, none fits, or there is no adapter.
        StoreFull: The disk is full.
        TuneDiverged: The loss or the adapter is no number any more.
        Interrupted: Ctrl-C, or the system ends the process; the step was finished and a checkpoint kept.
        MissingExtra: What ``voice.report_to`` asks for is not installed.
    """
    call_nobody()
    load_bitsandbytes()
    from transformers import PrinterCallback, set_seed

    loss = choose_loss([row.preference for row in rows], settings.preference_loss)
    set_seed(settings.seed)
    encoded, dropped = encode_preferences(rows, loaded, settings, loss)
    if is_first_process():
        clear_incomplete(work)
    with stop_requests() as request, full_disk_named(work, output), quick_attention(loaded), _forward_kept(loaded):
        model = attach_adapter(loaded.model, adapter, trainable=True)
        keep_training_kernels(loaded.model)
        trainer = preference_trainer(loss, model, encoded, loaded, settings, work)
        for callback in [
            watcher(on_progress, request, what=PREFERRING),
            *reporters(settings, output.with_name("tensorboard") / work.name),
        ]:
            trainer.add_callback(callback)
        trainer.remove_callback(PrinterCallback)
        if settings.method != "qlora":
            keep_small_steps(trainer.model)
        seconds = run(trainer, work, request)
        if is_first_process():
            save_adapter(trainer.model, loaded, output, selected_adapters=["default"])
    log = trainer.state.log_history
    report = PreferenceReport(
        loss=loss,
        rows=len(encoded),
        dropped=dropped,
        steps=trainer.state.global_step,
        seconds=seconds,
        losses=[(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry],
        margins=[(int(entry["step"]), entry["rewards/margins"]) for entry in log if "rewards/margins" in entry],
    )
    clear_run(trainer, work)
    return report
