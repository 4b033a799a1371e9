"""TRL's trainer made safe to stop: whole checkpoints, rows in an order that is repeated, no training on NaN."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import TuneDiverged
from toolkit.tuning.checkpoints import UNFINISHED, finish_checkpoint

if TYPE_CHECKING:
    from trl import SFTTrainer


def safe_to_stop(kind: type[SFTTrainer]) -> type[SFTTrainer]:
    """Return a kind of trainer whose runs can be killed at any moment and gone on with as if nothing had been.

    Three things that transformers leaves open: it writes checkpoints under their name from the start, so that a torn
    one looks like a whole one; it draws the order of the rows from the global generator, so that a run resumed in
    the middle of a later pass sees some rows twice and others never; and it trains on when the loss is no number.

    Args:
        kind: TRL's trainer, or a kind of it.
    """
    from transformers.trainer import TRAINER_STATE_NAME
    from transformers.trainer_utils import rotate_checkpoints

    class SafeTrainer(kind):  # type: ignore[misc, valid-type]
        _aside: Path | None = None

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return sampler_by_epoch(super()._get_train_sampler(train_dataset), self)

        def training_step(self, *arguments: Any, **options: Any) -> Any:
            loss = super().training_step(*arguments, **options)
            if not loss.isfinite().all():
                raise diverged(f"The loss is {loss.item()} at step {self.state.global_step + 1}.", self.args)
            return loss

        def _get_output_dir(self, trial: Any) -> str:
            return str(self._aside or super()._get_output_dir(trial))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            work, step = Path(self.args.output_dir), self.state.global_step
            if not has_finite_weights(self.model):
                raise diverged(f"The adapter holds values that are no numbers at step {step}.", self.args)
            name, self._aside = f"checkpoint-{step}", work / UNFINISHED
            try:
                if self.args.should_save:
                    shutil.rmtree(self._aside, ignore_errors=True)
                self.accelerator.wait_for_everyone()
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each process writes its own random state
            finally:
                fresh, self._aside = self._aside / name, None
            # Where the best one will lie, not where it is being written.
            best = f"checkpoint-{self.state.best_global_step}"
            self.state.best_model_checkpoint = str(work / best) if best == name or (work / best).is_dir() else None
            if self.args.should_save:
                self.state.save_to_json(str(fresh / TRAINER_STATE_NAME))
                finish_checkpoint(fresh, work / name)
                rotate_checkpoints(str(work), self.args.save_total_limit, self.state.best_model_checkpoint)

    return SafeTrainer


def sampler_by_epoch(sampler: Any, trainer: Any) -> Any:
    """Let a sampler draw the order of each pass from a generator of that pass alone.

    Args:
        sampler: The trainer's own, which groups rows of similar length, or draws or keeps their order.
        trainer: Whose state counts the passes; it is another object once a run is resumed.
    """
    import torch

    # Groups for the batch of all processes together: one process and several see the same rows in a step.
    if hasattr(sampler, "batch_size"):
        sampler.batch_size *= trainer.args.world_size

    class ByEpoch(torch.utils.data.Sampler):
        def __len__(self) -> int:
            return len(sampler)

        def __iter__(self) -> Any:
            sampler.generator = torch.Generator().manual_seed(trainer.args.seed + int(trainer.state.epoch or 0))
            return iter(sampler)

    return ByEpoch()


def has_finite_weights(model: Any) -> bool:
    """Tell whether every value that is trained is a number."""
    return all(bool(weights.isfinite().all()) for weights in model.parameters() if weights.requires_grad)


def diverged(message: str, arguments: Any) -> TuneDiverged:
    """Return the error of a tune that went astray, with the settings that it is mended with."""
    half = " Weights in float16 overflow: set base.dtype to bfloat16 or float32." if arguments.fp16 else ""
    return TuneDiverged(
        message,
        f"Lower voice.learning_rate (it is {arguments.learning_rate:g}) and run again.{half} Where that does not "
        "help, look for a broken example reply in the file of voice.examples.",
    )
