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
from toolkit.exporting import Agreement, judge
from toolkit.files import replace_folder
from toolkit.progress import Note, Progress
from toolkit.prompts import template_hash

if TYPE_CHECKING:
    from toolkit.models import LoadedModel

PROMPTS = 20
# An export that agrees with its reference on fewer prompts than this answers otherwise than by rounding.
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
    """

    folder: Path
    wanted: Wanted
    agreement: Agreement
    rounded: Agreement | None
    bytes: int


def export_bot(
    bot: Path | str,
    to: str,
    *,
    output: Path | str | None = None,
    quantization: str | None = None,
    adapter: str = "merged",
    prompts: int = PROMPTS,
    questions: Path | None = None,
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
        base = parts.base()
        check_room(target, wanted.bytes_for(base.model.num_parameters()))
        check_lock(parts.lock, fingerprint=base.fingerprint, template=template_hash(base.tokenizer))
        speaking: Any = parts.speaking_model()
        opened = Chatbot.assemble(place, config, speaking, parts.knowledge(), parts.reader())
        asked = served_prompts(parts, opened, prompts, questions)
        trial = _Trial(parts, openers, wanted, asked, speaking.engine.model)
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            agreement, rounded = _write(trial, work)
            size = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
            os.chmod(work, 0o755)  # noqa: S103 - as any folder is made; the temporary one was nobody else's
            replace_folder(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return ExportResult(target, wanted, agreement, rounded, size)


@dataclass(frozen=True)
class _Trial:
    """What an export is written from and compared with.

    Attributes:
        parts: What the bot is made of.
        openers: How they are opened.
        wanted: What the export is to be.
        asked: What both are asked.
        reference: The model of the bot, its voice on.
    """

    parts: Parts
    openers: Openers
    wanted: Wanted
    asked: Prompts
    reference: Any


def _write(trial: _Trial, work: Path) -> tuple[Agreement, Agreement | None]:
    """Write an export into a folder, prove it, and put its card beside it."""
    parts, wanted = trial.parts, trial.wanted
    loaded = _weights(parts, trial.openers)
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
    del loaded
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
    from toolkit.models import release_memory

    release_memory()
    parts, asked = trial.parts, trial.asked
    replies, engine = answers_of(written, asked, parts.on_progress)
    agreement = judge(trial.reference, asked.tokens, replies, engine=engine, on_progress=parts.on_progress)
    parts.note(f"Compared with the bot: {agreement}.")
    rounded = None
    if written.same_weights is not None:
        same = written.same_weights
        rounded = judge(same, asked.tokens, replies, engine=engine, on_progress=parts.on_progress)
        parts.note(f"Compared with the same weights, rounded to {trial.wanted.quantization}: {rounded}.")
    if (held := rounded or agreement).share < _AGREES:
        raise ModelError(
            f"The export answers otherwise than the bot: {held}.",
            "Nothing was kept of it. Try another form or --quantization f16, and report this base to the makers.",
        )
    return agreement, rounded


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


def _weights(parts: Parts, openers: Openers) -> LoadedModel:
    """Load the base a second time, to be changed: in 32 bits where they fit, so that a merge rounds nothing."""
    from toolkit.models.estimates import free_memory

    settings = parts.config.base
    if settings.load_in_4bit:
        # What the bot answers with is what these four bits stand for.
        loaded = openers.base(settings, "nf4", parts.on_progress)
        loaded.model.dequantize()
        return loaded
    needed = 4 * parts.base().model.num_parameters()
    fits = free_memory("cpu") > needed
    if not fits:
        parts.note(f"Merging in 16 bits: in 32 it would take {needed / 2**30:.0f} GiB of memory.")
    here = settings.model_copy(update={"device": "cpu", "dtype": "float32" if fits else "bfloat16"})
    return openers.base(here, "none", parts.on_progress)
