"""TRL's trainers of preferences, wired to rows that are tokenised already and made safe to stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.config import VoiceSettings
from toolkit.models import LoadedModel
from toolkit.tuning.arguments import steps_of, steps_to_a_checkpoint
from toolkit.tuning.trainer import safe_to_stop

# KTO estimates how far the adapter has gone from its reference on replies to other prompts of the same batch.
_FEWEST_LABELLED = 2


def preference_trainer(
    loss: str, model: Any, encoded: Sequence[dict[str, Any]], loaded: LoadedModel, settings: VoiceSettings, work: Path
) -> Any:
    """Return TRL's trainer for a loss.

    Args:
        loss: ``dpo`` or ``kto``.
        model: A ``PeftModel`` with its adapter trainable; TRL puts a frozen copy of the adapter beside it.
        encoded: Rows as :func:`toolkit.tuning.preferences.encode_preferences` gives them.
        loaded: The base under the adapter.
        settings: The ``voice`` section of ``bot.yaml``.
        work: Folder for checkpoints.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    kind: Any = DPOTrainer if loss == "dpo" else KTOTrainer
    made: Any = DPOConfig if loss == "dpo" else KTOConfig
    arguments: dict[str, Any]
    passes: dict[str, Any]

    class TokenisedRows(kind):
        def _prepare_dataset(self, dataset: Any, *arguments: Any) -> Any:
            # TRL would render the prompts by itself: these are what serving renders.
            return dataset

    batch = settings.per_device_train_batch_size
    if loss == "dpo":  # a pair is two rows in memory
        batch, arguments = max(1, batch // 2), {}
    else:
        batch = max(_FEWEST_LABELLED, batch)
        encoded, arguments = _with_mismatched(encoded, batch), _weights(encoded)
    passes = {"per_device_train_batch_size": batch, "num_train_epochs": settings.preference_epochs}
    steps = steps_of(settings.model_copy(update=passes), len(encoded))
    device = loaded.device.value
    config = made(
        output_dir=str(work),
        beta=settings.preference_beta,
        learning_rate=settings.preference_learning_rate,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        gradient_checkpointing=settings.gradient_checkpointing,
        # The batches of KTO stay together, see _with_mismatched.
        train_sampling_strategy="random" if loss == "dpo" else "sequential",
        lr_scheduler_type="cosine",
        warmup_steps=0.1,  # below 1: a share of the steps
        max_length=None,  # rows over the limit were left out before
        seed=settings.seed,
        bf16=False,
        fp16=device == "cuda" and loaded.dtype.value == "float16",
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        logging_steps=max(1, steps // 50),
        include_num_input_tokens_seen="non_padding",
        save_strategy="steps",
        save_steps=steps_to_a_checkpoint(steps),
        save_total_limit=2,
        max_grad_norm=1.0,
        report_to="none",  # see reporters
        disable_tqdm=True,
        **passes,
        **arguments,
    )
    return safe_to_stop(TokenisedRows)(
        model=model, args=config, train_dataset=Dataset.from_list(list(encoded)), processing_class=loaded.tokenizer
    )


def _with_mismatched(encoded: Sequence[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
    """Give each labelled row the reply of the row before it in its batch, as TRL's own preparation does.

    A last batch of one row would compare it with itself: that row takes the reply of the one before.
    """
    rows = []
    for start in range(0, len(encoded), batch):
        together = encoded[start : start + batch]
        before = together[-1] if len(together) > 1 else encoded[start - 1]
        for row in together:
            rows.append(row | {"KL_completion_ids": before["completion_ids"]})
            before = row
    return rows


def _weights(encoded: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return weights with which both labels count as much, however many rows each has (eq. 8 of the paper)."""
    wanted = sum(row["label"] for row in encoded)
    unwanted = len(encoded) - wanted
    return {
        "desirable_weight": max(1.0, unwanted / wanted),
        "undesirable_weight": max(1.0, wanted / unwanted),
    }
