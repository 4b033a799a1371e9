"""TRL's settings for a run: how long it is, when it is saved and measured, and where its figures go."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from toolkit.config import VoiceSettings
from toolkit.errors import MissingExtra
from toolkit.models import LoadedModel
from toolkit.tuning.compiled import COMPILED_TOKENS, compiles

T = TypeVar("T")

_PADDED_TOKENS = 16  # batches are filled up to whole multiples of this, so that few shapes occur
_CHECKPOINTS_A_RUN = 4
# The held-out loss is measured at each checkpoint, on as many rows as take up this share of the run. An update passes
# through the base about twice as long as a measurement: forth and back, and nothing is worked out for frozen weights.
_MEASURED_SHARE = 0.05
_PASSES_AN_UPDATE = 2
# A mean over fewer rows than this moves more from row to row than from checkpoint to checkpoint.
FEWEST_HELD_ROWS = 8


def process_count() -> int:
    """Return how many processes share a step: more than one under ``accelerate launch`` and ``torchrun``."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Tell whether this is the one of several processes that writes what they made together."""
    return int(os.environ.get("RANK", "0")) == 0


def steps_of(settings: VoiceSettings, rows: int) -> int:
    """Return the number of updates that a run over so many rows makes."""
    batch = settings.per_device_train_batch_size * settings.gradient_accumulation_steps * process_count()
    return max(1, round(rows / batch * settings.num_train_epochs))


def measured_rows(held: Sequence[T], settings: VoiceSettings, rows: int) -> list[T]:
    """Return the held-out rows to measure the loss on during a run; none where there are too few, or none are wanted.

    Args:
        held: Held-out rows.
        settings: The ``voice`` section of ``bot.yaml``.
        rows: Number of rows that are trained on.
    """
    steps = steps_of(settings, rows)
    measurements = math.ceil(steps / steps_to_a_checkpoint(steps))
    most = int(_MEASURED_SHARE * _PASSES_AN_UPDATE * rows * settings.num_train_epochs / measurements)
    if not settings.early_stopping_patience or min(most, len(held)) < FEWEST_HELD_ROWS:
        return []
    return list(held[:: math.ceil(len(held) / most)])


def steps_to_a_checkpoint(steps: int) -> int:
    """Return after how many updates of a run each checkpoint is kept."""
    return math.ceil(steps / _CHECKPOINTS_A_RUN)


def training_arguments(
    settings: VoiceSettings, loaded: LoadedModel, encoded: Sequence[dict[str, Any]], work: Path, *, measured: bool
) -> Any:
    """Return TRL's settings for a run.

    Args:
        settings: The ``voice`` section of ``bot.yaml``.
        loaded: The base.
        encoded: The rows that are trained on, as ids.
        work: Folder for checkpoints.
        measured: Whether the loss on held-out rows is measured at each checkpoint, and the best one taken at the end.
    """
    from trl import SFTConfig

    device = loaded.device.value
    steps = steps_of(settings, len(encoded))
    each = steps_to_a_checkpoint(steps)
    return SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=settings.per_device_train_batch_size,
        per_device_eval_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        gradient_checkpointing=settings.gradient_checkpointing,
        num_train_epochs=settings.num_train_epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,  # below 1: a share of the steps
        pad_to_multiple_of=COMPILED_TOKENS if compiles(settings, loaded, encoded, steps) else _PADDED_TOKENS,
        max_length=None,  # rows over the limit are left out before, see encode_rows
        seed=settings.seed,
        # 16-bit base weights are already in their format; autocast on top would only cast again.
        bf16=False,
        fp16=device == "cuda" and loaded.dtype.value == "float16",
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        train_sampling_strategy="group_by_length",
        logging_steps=max(1, steps // 50),
        include_num_input_tokens_seen="non_padding",
        save_strategy="steps",
        save_steps=each,
        save_total_limit=2,
        eval_strategy="steps" if measured else "no",
        eval_steps=each,
        load_best_model_at_end=measured,
        metric_for_best_model="loss" if measured else None,
        greater_is_better=False if measured else None,
        restore_callback_states_from_checkpoint=True,  # how often in a row the loss was no better
        max_grad_norm=1.0,
        report_to="none",  # see reporters
        disable_tqdm=True,
    )


def reporters(settings: VoiceSettings, folder: Path) -> list[Any]:
    """Return the trainer callbacks that tell others the figures of a run.

    Args:
        settings: The ``voice`` section of ``bot.yaml``.
        folder: Where TensorBoard's files go; the same for a run that is gone on with.

    Raises:
        MissingExtra: What was asked for is not installed.
    """
    if settings.report_to == "none":
        return []
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtra(
            "voice.report_to is tensorboard, which is not installed.",
            "pip install tensorboard, or set voice.report_to to none.",
        )
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    return [TensorBoardCallback(SummaryWriter(str(folder)))]
