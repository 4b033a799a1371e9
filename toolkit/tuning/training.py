"""TRL's trainer wired to rows that are already rendered: QLoRA or LoRA, resumable, with a plain PEFT folder out."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config import VoiceSettings
from toolkit.errors import DataError, StoreFull
from toolkit.files import nearest_folder, replace_folder
from toolkit.models import LoadedModel, release_memory
from toolkit.offline import call_nobody, load_bitsandbytes
from toolkit.progress import Progress
from toolkit.prompts import encode_pair, template_hash
from toolkit.seam import SeamRow
from toolkit.tuning.adapters import lora_config, record_base
from toolkit.tuning.loss import trainer_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTTrainer


_COMPLETE = "complete.json"
_RELEASE_STEPS = 8
_PADDED_TOKENS = 16  # batches are filled up to whole multiples of this, so that few shapes occur
_HARDLY_ANY_BYTES = 256 << 10  # a save that failed with less room than this failed for want of room
_CHECKPOINTS_A_RUN = 4


@dataclass
class TuneReport:
    """What a tune did.

    Attributes:
        rows: Number of training rows by kind.
        dropped: Rows that were longer than ``max_length`` and were left out.
        tokens: Tokens seen, padding apart.
        supervised: Tokens with a loss on them, in one pass over the rows.
        steps: Updates made.
        seconds: Time spent training, in seconds.
        losses: Pairs of step and training loss.
        trainable: Trainable parameters.
        choices: The automatic choices with their reasons.
    """

    rows: dict[str, int]
    dropped: int
    tokens: int
    supervised: int
    steps: int
    seconds: float
    losses: list[tuple[int, float]] = field(default_factory=list)
    trainable: int = 0
    choices: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)


def encode_rows(rows: Sequence[SeamRow], loaded: LoadedModel, max_length: int) -> tuple[list[dict[str, Any]], int]:
    """Tokenise training rows.

    A row over ``max_length`` is left out whole: cutting its end would take the end of turn away, and cutting its
    start the question.

    Returns:
        Rows of ``input_ids`` and ``labels``, and the number left out.

    Raises:
        DataError: No row is left.
    """
    encoded, dropped = [], 0
    for row in rows:
        ids, labels = encode_pair(loaded.tokenizer, row.messages, row.example.reply)
        if len(ids) > max_length:
            dropped += 1
        else:
            encoded.append({"input_ids": ids, "labels": labels})
    if not encoded:
        raise DataError(
            f"All {dropped} example replies, with passages, are longer than voice.max_length ({max_length} tokens).",
            "Raise voice.max_length or lower chain.evidence_sentences.",
        )
    return encoded, dropped


def train_adapter(
    rows: Sequence[SeamRow],
    loaded: LoadedModel,
    settings: VoiceSettings,
    output: Path,
    *,
    work: Path,
    on_progress: Progress | None = None,
) -> TuneReport:
    """Train an adapter with TRL's ``SFTTrainer`` and write it as a plain PEFT folder.

    The loss is on the reply and its end of turn only. A run that was stopped goes on from its last complete
    checkpoint in ``work`` when it is started again with the same rows and settings.

    Args:
        rows: Training rows.
        loaded: The base, quantised for QLoRA or not for LoRA.
        settings: The ``voice`` section of ``bot.yaml``.
        output: The adapter folder; replaced as a whole at the end.
        work: Folder for checkpoints of this very run.
        on_progress: Called after each step.

    Raises:
        DataError: No row fits ``max_length``.
        StoreFull: The disk is full.
    """
    call_nobody()
    load_bitsandbytes()
    from transformers import set_seed

    set_seed(settings.seed)
    encoded, dropped = encode_rows(rows, loaded, settings.max_length)
    trainer = new_trainer(
        encoded, loaded, settings, work, method=lora_config(settings), on_progress=on_progress
    )
    tuned: Any = trainer.model
    trainable = sum(weights.numel() for weights in tuned.parameters() if weights.requires_grad)
    started = time.perf_counter()
    with _full_disk_named(work, output), _quick_attention(loaded):
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(work))
        seconds = time.perf_counter() - started
        _save(tuned, loaded, output)
    losses = [(int(entry["step"]), entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    steps = trainer.state.global_step
    trainer.accelerator.free_memory()  # it keeps the model and the optimizer alive otherwise
    shutil.rmtree(work, ignore_errors=True)
    kinds = {kind: sum(row.kind == kind for row in rows) for kind in ("passages", "decline", "alone")}
    return TuneReport(
        rows=kinds,
        dropped=dropped,
        tokens=int(sum(len(row["input_ids"]) for row in encoded) * settings.num_train_epochs),
        supervised=sum(1 for row in encoded for label in row["labels"] if label != -100),
        steps=steps,
        seconds=seconds,
        losses=losses,
        trainable=trainable,
        choices={
            "device": str(loaded.device),
            "dtype": str(loaded.dtype),
            "quantization": str(loaded.quantization),
        },
    )


@contextmanager
def _full_disk_named(*places: Path) -> Iterator[None]:
    """Turn what the savers of torch and safetensors raise on a full disk into one error.

    Neither keeps the error number, and torch not even the words: whether the disk is full is looked up.

    Raises:
        StoreFull: One of the places has no room left.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        full = [place for place in places if shutil.disk_usage(nearest_folder(place)).free < _HARDLY_ANY_BYTES]
        if not full and getattr(error, "errno", None) != errno.ENOSPC:
            raise
        where = full[0] if full else places[-1]
        raise StoreFull(f"The disk is full: {where}.", "Free some room and run again.") from error


@contextmanager
def _quick_attention(loaded: LoadedModel) -> Iterator[None]:
    """Let a CPU that computes in bfloat16 attend by plain matrix products for a while.

    The backward pass of PyTorch's fused attention is slow there: without it a tune takes 354 tokens a second in place
    of 297 (2 cores, the bundled base in NF4, alternating steps).
    """
    before = loaded.model.config._attn_implementation
    quick = loaded.device.value == "cpu" and loaded.dtype.value == "bfloat16" and before == "sdpa"
    if quick:
        loaded.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if quick:
            loaded.model.set_attn_implementation(before)


def keep_training_kernels(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from swapping in a CPU kernel that has no backward pass.

    On a processor with AVX512-BF16 the first forward pass in evaluation mode repacks the 4-bit weights for a fused
    kernel; every gradient below the last layer is wrong from then on, and ``train()`` does not undo it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - an attribute of bitsandbytes' own


def last_complete_checkpoint(work: Path) -> str | None:
    """Return the newest checkpoint that was written to its end, or None.

    The trainer does not save atomically; a checkpoint counts only when the record that is written after it names
    all its files with their sizes.
    """
    found = []
    for folder in work.glob("checkpoint-*"):
        record = folder / _COMPLETE
        try:
            sizes = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue
        if all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items()):
            found.append((int(folder.name.split("-")[1]), str(folder)))
    return max(found)[1] if found else None


def new_trainer(
    encoded: Sequence[dict[str, Any]],
    loaded: LoadedModel,
    settings: VoiceSettings,
    work: Path,
    *,
    method: Any,
    on_progress: Progress | None = None,
) -> SFTTrainer:
    """Wire TRL's trainer to rows that are tokenised already.

    Args:
        encoded: Rows of ``input_ids`` and ``labels``.
        loaded: The base; the trainer puts the adapter into its layers.
        settings: The ``voice`` section of ``bot.yaml``.
        work: Folder for checkpoints.
        method: PEFT's settings of the adapter.
        on_progress: Called after each step.
    """
    from transformers import PrinterCallback

    keep_training_kernels(loaded.model)
    trainer = trainer_class()(
        model=loaded.model,
        args=_arguments(settings, loaded, len(encoded), work),
        train_dataset=_dataset(encoded),
        processing_class=loaded.tokenizer,
        peft_config=method,
        callbacks=[_progress_callback(on_progress), _complete_callback()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(encoded: Sequence[dict[str, Any]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(list(encoded))


def _arguments(settings: VoiceSettings, loaded: LoadedModel, rows: int, work: Path) -> Any:
    """Return TRL's settings for a run."""
    from trl import SFTConfig

    device = loaded.device.value
    batch = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    steps = max(1, round(rows / batch * settings.num_train_epochs))
    return SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        gradient_checkpointing=settings.gradient_checkpointing,
        num_train_epochs=settings.num_train_epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,  # below 1: a share of the steps
        pad_to_multiple_of=_PADDED_TOKENS,
        max_length=None,  # rows over the limit are left out before, see encode_rows
        seed=settings.seed,
        # 16-bit base weights are already in their format; autocast on top would only cast again.
        bf16=False,
        fp16=device == "cuda" and loaded.dtype.value == "float16",
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        train_sampling_strategy="group_by_length",
        logging_steps=max(1, steps // 50),
        save_strategy="steps",
        save_steps=max(1, steps // _CHECKPOINTS_A_RUN),
        save_total_limit=2,
        max_grad_norm=1.0,
        report_to="none",
        disable_tqdm=True,
    )


def _progress_callback(on_progress: Progress | None) -> Any:
    """Return a trainer callback that reports each step and prints nothing."""
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % _RELEASE_STEPS == 0:
                release_memory()
            if on_progress:
                on_progress("Tuning the voice", state.global_step, state.max_steps)

    return Report()


def _complete_callback() -> Any:
    """Return a trainer callback that marks a checkpoint once all of it is written."""
    from transformers import TrainerCallback

    class Complete(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            sizes = {
                str(file.relative_to(folder)): file.stat().st_size for file in folder.rglob("*") if file.is_file()
            }
            (folder / _COMPLETE).write_text(json.dumps(sizes), encoding="utf-8")

    return Complete()


def _save(model: Any, loaded: LoadedModel, output: Path) -> None:
    """Write the adapter beside its place and move it there whole."""
    fresh = output.with_name(f".{output.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save_pretrained(str(fresh), safe_serialization=True)
    record_base(fresh, name=loaded.name, fingerprint=loaded.fingerprint, template=template_hash(loaded.tokenizer))
    replace_folder(fresh, output)
