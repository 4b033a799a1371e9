"""A bot's model written for another program, loaded again and compared with the bot before it is called done."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.exporting.cards import write_card
from pipelines.exporting.forms import Written, write_form
from pipelines.exporting.proving import Prompts, answers_of, served_prompts
from pipelines.exporting.wanted import (
    Wanted,
    check_family,
    check_is_here,
    check_place,
    check_room,
    what_is_wanted,
)
from pipelines.parts import Openers, Parts
from toolkit.bot import BotFolder, Chatbot, check_lock, read_config
from toolkit.errors import ModelError
from toolkit.exporting import Agreement, Quantization, judge, merged_into, round_weights
from toolkit.files import replace_folder
from toolkit.progress import Note, Progress
from toolkit.prompts import template_hash
from toolkit.tuning import attach_adapter

if TYPE_CHECKING:
    from toolkit.models import LoadedModel

PROMPTS = 20
# An export that agrees with its reference on fewer prompts than this, or on fewer tokens where its weights are rounded,
# answers otherwise than by rounding.
_AGREES = 0.9


@dataclass(frozen=True)
class ExportResult:
    """What an export came to.

    Attributes:
        folder: Where it lies.
        wanted: What it is.
        agreement: How far it answers as the bot does.
        rounded: How far it answers as the same weights do in this process, where they were rounded to 8 or 4 bits.
        bytes: What it takes on the disk.
        asked: What it and the bot were asked, and what the bot replied.
    """

    folder: Path
    wanted: Wanted
    agreement: Agreement
    rounded: Agreement | None
    bytes: int
    asked: Prompts


def export_bot(
    bot: Path | str,
    to: str,
    *,
    output: Path | str | None = None,
    quantization: str | None = None,
    adapter: str = "merged",
    prompts: int = PROMPTS,
    questions: Path | None = None,
    asked: Prompts | None = None,
    force: bool = False,
    openers: Openers | None = None,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> ExportResult:
    """Write the model of a bot for another program, load it again, and compare it with the bot.

    Nothing is at ``output`` until all of that has gone well.

    Args:
        bot: The bot folder.
        to: ``merged``, ``gguf``, ``ollama``, ``lmstudio`` or ``vllm``.
        output: Where it goes; default: ``export`` in the bot folder, by form.
        quantization: ``f16``, ``q8_0`` or ``q4_0`` for a GGUF; default ``q8_0``.
        adapter: ``merged``, or ``apart`` as a LoRA in a file of its own.
        prompts: Prompts to compare on.
        questions: A file of questions to make them from; default: those of the bot.
        asked: What another export of the same bot was asked, so that the bot is not asked a second time.
        force: Whether an export that is there is overwritten.
        openers: How the parts of the bot are opened.
        on_progress: Called with what is being done, done, total.
        on_note: Called with what was found.

    Raises:
        ConfigError: What is asked for does not go together.
        DataError: The folder is not a bot, something is at ``output``, or there are no questions.
        ModelError: The base or the voice cannot be taken along like that, or what was written answers otherwise.
        StoreFull: The disk has no room.
    """
    place = BotFolder(Path(bot))
    config = read_config(place).model_copy(update={"output": place.root})
    check_is_here(config)
    wanted = what_is_wanted(config, place, to, quantization, adapter)
    target = Path(output) if output else place.root / "export" / wanted.form
    check_place(target, place.root, force=force)
    openers = openers or Openers()
    with Parts(config, openers=openers, on_progress=on_progress, on_note=on_note) as parts:
        tokenizer = parts.tokenizer()
        check_family(wanted, _settings_of_base(parts), tokenizer)
        if asked is None:
            asked = _asked(parts, prompts, questions)
        trial = _Trial(parts, openers, wanted, asked)
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            agreement, rounded = _write(trial, work)
            size = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
            os.chmod(work, 0o755)  # noqa: S103 - as any folder is made; the temporary one was nobody else's
            replace_folder(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return ExportResult(target, wanted, agreement, rounded, size, asked)


@dataclass(frozen=True)
class _Trial:
    """What an export is written from and compared with.

    Attributes:
        parts: What the bot is made of.
        openers: How they are opened.
        wanted: What the export is to be.
        asked: What both are asked, and what the bot replied.
    """

    parts: Parts
    openers: Openers
    wanted: Wanted
    asked: Prompts


def _asked(parts: Parts, count: int, questions: Path | None) -> Prompts:
    """Ask the bot, as it is served.

    Raises:
        AdapterMismatch: The base is not the one that the bot was built on.
        DataError: There are no questions.
        ModelError: The base cannot be loaded, or renders other prompts.
    """
    base = parts.base()
    check_lock(parts.lock, fingerprint=base.fingerprint, template=template_hash(base.tokenizer))
    speaking: Any = parts.speaking_model()
    bot = Chatbot.assemble(parts.folder, parts.config, speaking, parts.knowledge(), parts.reader())
    return served_prompts(parts, bot, speaking.engine.model, count, questions)


def _write(trial: _Trial, work: Path) -> tuple[Agreement, Agreement | None]:
    """Write an export into a folder, prove it, and put its card beside it."""
    parts, wanted, loaded = trial.parts, trial.wanted, _weights(trial)
    check_room(work, wanted.bytes_for(loaded.model.num_parameters()))
    written = write_form(
        work,
        wanted,
        parts.config,
        parts.folder,
        loaded,
        number_format=_number_format(parts),
        on_progress=parts.on_progress,
    )
    base = f"{loaded.name} ({loaded.fingerprint})"
    del loaded  # what is compared next is as large
    agreement, rounded = _prove(trial, written)
    write_card(work, wanted, parts.config, written, agreement, rounded, base=base)
    return agreement, rounded


def _prove(trial: _Trial, written: Written) -> tuple[Agreement, Agreement | None]:
    """Load what was written, and compare what it answers with what the bot answers.

    Weights that are rounded to 8 or 4 bits answer a little otherwise, which is told. Whether they were written right is
    seen beside the same weights, rounded alike, in this process.

    Raises:
        ModelError: It answers otherwise.
    """
    parts, asked, quantization = trial.parts, trial.asked, trial.wanted.quantization
    replies, engine = answers_of(written, asked, parts.on_progress)
    told: Any = {"engine": engine, "on_progress": parts.on_progress}
    agreement = judge(_same_weights(trial), asked.tokens, replies, asked.own, **told)
    parts.note(f"Compared with the bot: {agreement}.")
    rounded = None
    if quantization not in (None, "f16"):
        rounded = judge(_same_weights(trial, quantization), asked.tokens, replies, **told)
        parts.note(f"Compared with the same weights, rounded to {quantization}: {rounded}.")
    # Over weights in 8 or 4 bits llama.cpp rounds what it multiplies them with as well: single tokens fall otherwise.
    if (rounded.token_share if rounded else agreement.share) < _AGREES:
        raise ModelError(
            f"The export answers otherwise than the bot: {rounded or agreement}.",
            "Nothing was kept of it. Try another form or --quantization f16, and report this base to the makers.",
        )
    return agreement, rounded


def _same_weights(trial: _Trial, quantization: Quantization | None = None) -> Any:
    """Return the weights of the bot in this process, rounded as those of an export where it rounds them."""
    adapter, method = trial.parts.folder.adapter, trial.wanted.method
    model: Any = _weights(trial).model
    apart = quantization is not None and trial.wanted.apart  # then the base alone is rounded
    if method and not apart:
        model = merged_into(model, adapter, method)
    if quantization is not None:
        round_weights(model, quantization)
    return attach_adapter(model, adapter) if method and apart else model


def _settings_of_base(parts: Parts) -> Any:
    """Return the configuration of the base as transformers has it."""
    from transformers import AutoConfig

    from toolkit.models import locate_base

    settings = parts.config.base
    path = locate_base(settings.model, on_progress=parts.on_progress)
    return AutoConfig.from_pretrained(path, revision=settings.revision)


def _number_format(parts: Parts) -> str:
    """Return the format in 16 bits that the base was saved in, or else the one with the wider range."""
    import torch

    return "float16" if _settings_of_base(parts).dtype == torch.float16 else "bfloat16"


def _weights(trial: _Trial) -> LoadedModel:
    """Load the base to be changed: in 32 bits where they fit, so that neither a merge nor a comparison rounds."""
    from toolkit.models.estimates import free_memory

    parts, settings = trial.parts, trial.parts.config.base
    if settings.load_in_4bit:
        # What the bot answers with is what these four bits stand for.
        loaded = trial.openers.base(settings, "nf4", parts.on_progress)
        loaded.model.dequantize()
        loaded.model.float()
        return loaded
    loaded = trial.openers.base(settings.model_copy(update={"device": "cpu"}), "none", parts.on_progress)
    needed = 4 * loaded.model.num_parameters()
    if loaded.model.dtype.itemsize >= 4 or free_memory("cpu") > needed:
        loaded.model.float()
    else:
        parts.note(f"Merging in 16 bits: in 32 it would take {needed / 2**30:.0f} GiB of memory.")
    return loaded
