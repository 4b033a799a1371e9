"""TRL's trainer wired to rows that are already rendered: any method, resumable, with a plain PEFT folder out."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config import VoiceSettings
from toolkit.errors import DataError, Interrupted, StoreFull
from toolkit.files import nearest_folder, replace_folder
from toolkit.models import LoadedModel
from toolkit.offline import call_nobody, load_bitsandbytes
from toolkit.progress import Progress
from toolkit.prompts import encode_pair, template_hash
from toolkit.seam import SeamRow
from toolkit.tuning.arguments import is_first_process, measured_rows, reporters, steps_of, training_arguments
from toolkit.tuning.checkpoints import clear_incomplete, last_complete_checkpoint, sync_folder
from toolkit.tuning.compiled import compiled_layers, compiles
from toolkit.tuning.loss import trainer_class
from toolkit.tuning.methods import check_method, peft_config
from toolkit.tuning.record import record_base
from toolkit.tuning.stages import after_training, base_to_tune, before_training
from toolkit.tuning.trainer import safe_to_stop
from toolkit.tuning.watching import StopRequest, patience, stop_requests, watcher

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTTrainer


_HARDLY_ANY_BYTES = 256 << 10  # a save that failed with less room than this failed for want of room


@dataclass
class TuneReport:
    """What a tune did.

    Attributes:
        rows: Number of training rows by kind.
        dropped: Rows that were longer than ``max_length`` and were left out.
        tokens: Tokens seen, padding apart.
        supervised: Tokens with a loss on them, in one pass over the rows.
        steps: Updates made.
        seconds: Time spent training, in seconds; of a run that was gone on with, the last part.
        losses: Pairs of step and training loss, in nats per token.
        held_out: Pairs of step and loss on held-out rows, likewise; empty where it was not measured.
        kept_step: The step whose adapter was kept: the best on the held-out rows, or the last.
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
    held_out: list[tuple[int, float]] = field(default_factory=list)
    kept_step: int = 0
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
    held: Sequence[SeamRow] = (),
    on_progress: Progress | None = None,
) -> TuneReport:
    """Train an adapter with TRL's ``SFTTrainer`` and write it as a plain PEFT folder.

    The loss is on the reply and its end of turn only. A run that was stopped, or killed at whatever moment, goes on
    from its last complete checkpoint in ``work`` when it is started again with the same rows and settings.

    Args:
        rows: Training rows.
        loaded: The base, quantised or not as the method wants it.
        settings: The ``voice`` section of ``bot.yaml``.
        output: The adapter folder; replaced as a whole at the end.
        work: Folder for checkpoints of this very run.
        held: Rows that are not trained on; where there are enough, some of them tell which checkpoint is the best.
        on_progress: Called after each step; the figures follow the name of the work after a colon.

    Raises:
        ConfigError: The method does not go with this machine or this base.
        DataError: No row fits ``max_length``.
        StoreFull: The disk is full.
        TuneDiverged: The loss or the adapter is no number any more.
        Interrupted: Ctrl-C, or the system ends the process; the step was finished and a checkpoint kept.
        MissingExtra: What ``voice.report_to`` asks for is not installed.
    """
    call_nobody()
    load_bitsandbytes()
    from transformers import set_seed

    check_method(settings, loaded.device.value)
    set_seed(settings.seed)
    encoded, dropped = encode_rows(rows, loaded, settings.max_length)
    if is_first_process():
        clear_incomplete(work)
    tuned = base_to_tune(loaded, settings)
    with stop_requests() as request, full_disk_named(work, output), quick_layers(tuned, settings, encoded):
        trainer = new_trainer(
            encoded, tuned, settings, work,
            method=peft_config(settings, tuned), held=_encode_held(held, loaded, settings, len(encoded)),
            logs=output.with_name("tensorboard") / work.name, request=request, on_progress=on_progress,
        )  # fmt: skip
        before_training(trainer.model, tuned, settings, work)
        seconds = run(trainer, work, request)
        if is_first_process():
            save_adapter(trainer.model, loaded, output, **after_training(trainer.model, loaded, settings, work))
    report = _report(trainer, rows, encoded, dropped, loaded, seconds)
    clear_run(trainer, work)
    return report


def run(trainer: Any, work: Path, request: StopRequest) -> float:
    """Train, from the last complete checkpoint where there is one, and return how long it took, in seconds.

    Raises:
        Interrupted: Somebody wanted it to stop before its end.
    """
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(work))
    seconds = time.perf_counter() - started
    _stop_if_asked(request, trainer.state)
    return seconds


def clear_run(trainer: Any, work: Path) -> None:
    """Free what a finished run holds: its memory, and its checkpoints."""
    trainer.accelerator.free_memory()  # it keeps the model and the optimizer alive otherwise
    if is_first_process():
        shutil.rmtree(work, ignore_errors=True)


def _stop_if_asked(request: StopRequest, state: Any) -> None:
    """Raise where a run was left before its end because somebody wanted it.

    Raises:
        Interrupted: It was.
    """
    if request.made and state.global_step < state.max_steps:
        raise Interrupted(
            f"The tune was stopped after step {state.global_step} of {state.max_steps}.",
            "Run the same command again: it goes on from there.",
        )


def _report(
    trainer: Any,
    rows: Sequence[SeamRow],
    encoded: Sequence[dict[str, Any]],
    dropped: int,
    loaded: LoadedModel,
    seconds: float,
) -> TuneReport:
    """Gather what a finished run did."""
    state, log = trainer.state, trainer.state.log_history
    return TuneReport(
        rows={kind: sum(row.kind == kind for row in rows) for kind in ("passages", "decline", "alone")},
        dropped=dropped,
        tokens=int(state.num_input_tokens_seen),
        supervised=sum(1 for row in encoded for label in row["labels"] if label != -100),
        steps=state.global_step,
        seconds=seconds,
        losses=[(int(entry["step"]), entry["loss"]) for entry in log if "loss" in entry],
        held_out=[(int(entry["step"]), entry["eval_loss"]) for entry in log if "eval_loss" in entry],
        kept_step=state.best_global_step or state.global_step,
        trainable=sum(weights.numel() for weights in trainer.model.parameters() if weights.requires_grad),
        choices={
            "device": str(loaded.device),
            "dtype": str(loaded.dtype),
            "quantization": str(loaded.quantization),
        },
    )


def _encode_held(
    held: Sequence[SeamRow], loaded: LoadedModel, settings: VoiceSettings, rows: int
) -> list[dict[str, Any]]:
    """Tokenise the held-out rows that the loss is measured on; none where there are too few."""
    try:
        encoded, _ = encode_rows(held, loaded, settings.max_length)
    except DataError:
        return []  # none of them fits; those that are trained on do
    return measured_rows(encoded, settings, rows)


@contextmanager
def full_disk_named(*places: Path) -> Iterator[None]:
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
def quick_attention(loaded: LoadedModel) -> Iterator[None]:
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


@contextmanager
def quick_layers(loaded: LoadedModel, settings: VoiceSettings, encoded: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Let the layers of a base do the work of a tune in the way that is quickest on its device, for a while.

    Args:
        loaded: The base.
        settings: The ``voice`` section of ``bot.yaml``.
        encoded: The rows that are trained on.
    """
    compiled = compiles(settings, loaded, encoded, steps_of(settings, len(encoded)))
    with quick_attention(loaded), compiled_layers(loaded.model) if compiled else nullcontext():
        yield


def keep_training_kernels(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from swapping in a CPU kernel that has no backward pass.

    On a processor with AVX512-BF16 the first forward pass in evaluation mode repacks the 4-bit weights for a fused
    kernel; every gradient below the last layer is wrong from then on, and ``train()`` does not undo it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - an attribute of bitsandbytes' own


def new_trainer(
    encoded: Sequence[dict[str, Any]],
    loaded: LoadedModel,
    settings: VoiceSettings,
    work: Path,
    *,
    method: Any,
    held: Sequence[dict[str, Any]] = (),
    logs: Path | None = None,
    request: StopRequest | None = None,
    on_progress: Progress | None = None,
) -> SFTTrainer:
    """Wire TRL's trainer to rows that are tokenised already.

    Args:
        encoded: Rows of ``input_ids`` and ``labels``.
        loaded: The base; the trainer puts the adapter into its layers.
        settings: The ``voice`` section of ``bot.yaml``.
        work: Folder for checkpoints.
        method: PEFT's settings of the adapter.
        held: Held-out rows, likewise; with any, their loss is measured and the best checkpoint taken.
        logs: Where TensorBoard's files go, if they are wanted; default: beside the checkpoints.
        request: Whether to stop at the next step.
        on_progress: Called after each step.

    Raises:
        MissingExtra: What ``voice.report_to`` asks for is not installed.
    """
    from transformers import PrinterCallback

    keep_training_kernels(loaded.model)
    watching = [watcher(on_progress, request or StopRequest())]
    if held:
        watching.append(patience(settings.early_stopping_patience))
    trainer = safe_to_stop(trainer_class())(
        model=loaded.model,
        args=training_arguments(settings, loaded, encoded, work, measured=bool(held)),
        train_dataset=_dataset(encoded),
        eval_dataset=_dataset(held) if held else None,
        processing_class=loaded.tokenizer,
        peft_config=method,
        callbacks=[*watching, *reporters(settings, logs or work / "tensorboard")],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _dataset(encoded: Sequence[dict[str, Any]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(list(encoded))


def save_adapter(model: Any, loaded: LoadedModel, output: Path, **options: Any) -> None:
    """Write the adapter beside its place and move it there whole."""
    fresh = output.with_name(f".{output.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save_pretrained(str(fresh), safe_serialization=True, **options)
    record_base(fresh, name=loaded.name, fingerprint=loaded.fingerprint, template=template_hash(loaded.tokenizer))
    sync_folder(fresh)  # before it takes the place of the old one
    replace_folder(fresh, output)
