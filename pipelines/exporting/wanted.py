"""What an export is to be, checked before any model is loaded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.bot import BotFolder
from toolkit.config import BotConfig
from toolkit.errors import ConfigError, DataError, ModelError, StoreFull
from toolkit.exporting import (
    BYTES,
    QUANTIZATIONS,
    Quantization,
    check_apart,
    check_merges,
    family_of,
    rope_factors,
    split_name,
    turns_of,
)
from toolkit.exporting.llama_cpp import check_installed
from toolkit.files import nearest_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Form = Literal["merged", "gguf", "ollama", "lmstudio", "vllm"]
FORMS: tuple[Form, ...] = ("merged", "gguf", "ollama", "lmstudio", "vllm")
IN_GGUF: tuple[Form, ...] = ("gguf", "ollama", "lmstudio")
# Where nothing is asked for: half the size of 16 bits, and answers that are hardly another's.
DEFAULT_QUANTIZATION: Quantization = "q8_0"
# What an export leaves beside its files; a folder without it is none of ours, and is never overwritten.
RECORD = "export.json"
# Tokenizer, vocabulary and cards, beside the weights.
_OTHER_BYTES = 64 << 20


@dataclass(frozen=True)
class Wanted:
    """What an export is to be.

    Attributes:
        form: The program that it is for.
        quantization: The number format of a GGUF; None in the other forms, which have 16 bits.
        apart: Whether the adapter goes along as a file of its own, in place of being merged.
        method: How the voice was tuned; None for a bot without one.
    """

    form: Form
    quantization: Quantization | None
    apart: bool
    method: str | None

    @property
    def in_gguf(self) -> bool:
        """Whether the weights go into a GGUF."""
        return self.quantization is not None

    def bytes_for(self, parameters: int) -> int:
        """Return what it takes on the disk, in bytes."""
        return int(BYTES[self.quantization or "f16"] * parameters) + _OTHER_BYTES


def what_is_wanted(config: BotConfig, place: BotFolder, to: str, quantization: str | None, adapter: str) -> Wanted:
    """Put together what an export is to be.

    Args:
        config: The settings of the bot.
        place: Its folder.
        to: One of ``FORMS``.
        quantization: One of ``QUANTIZATIONS``, or None for what is usual.
        adapter: ``merged`` or ``apart``.

    Raises:
        ConfigError: These do not go together.
        ModelError: The voice of this bot cannot be taken along like that.
    """
    for name, value, known in (
        ("--to", to, FORMS),
        ("--quantization", quantization or "f16", QUANTIZATIONS),
        ("--adapter", adapter, ("merged", "apart")),
    ):
        if value not in known:
            raise ConfigError(f"{name} is {value}, which is none of {', '.join(known)}.")
    form: Any = to
    if quantization is not None and form not in IN_GGUF:
        raise ConfigError(
            f"--quantization is for a GGUF; {form} has weights in 16 bits.", f"Leave it out, or use --to {IN_GGUF[0]}."
        )
    apart = adapter == "apart"
    if apart and form in ("merged", "lmstudio"):
        why = "merged has the adapter in its weights" if form == "merged" else "LM Studio loads no adapters"
        raise ConfigError(f"--adapter apart does not go with --to {form}: {why}.", "Use --adapter merged.")
    method = config.voice.method if config.voice is not None and place.has_adapter() else None
    if apart and method is None:
        raise ConfigError(f"The bot in {place.root} has no adapter that could go along.", "Leave --adapter out.")
    if method is not None:
        if apart:
            check_apart(method, converted=form in IN_GGUF)
        else:
            check_merges(method)
    number: Any = (quantization or DEFAULT_QUANTIZATION) if form in IN_GGUF else None
    return Wanted(form, number, apart, method)


def check_family(wanted: Wanted, settings: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """See to it that a base can be written as it is wanted.

    Args:
        wanted: What the export is to be.
        settings: The configuration of the base, as transformers has it.
        tokenizer: Its tokenizer.

    Raises:
        ModelError: It cannot.
    """
    if not wanted.in_gguf:
        return
    family_of(settings)
    split_name(tokenizer)
    if wanted.form == "ollama":
        turns_of(tokenizer)
    if wanted.apart:
        check_installed("An adapter apart is tried with llama.cpp before it is handed out.")
    if rope_factors(settings) is not None:
        check_installed("A base with stretched positions is tried with llama.cpp; transformers reads no GGUF of it.")


def check_place(output: Path, bot: Path, *, force: bool) -> None:
    """See to it that an export overwrites nothing that it should not.

    Raises:
        DataError: Something is there.
    """
    place, bot = output.resolve(), bot.resolve()
    if place == bot or place in bot.parents:
        raise DataError(f"{output} is where the bot itself lies.", "Choose another folder with --output.")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / RECORD).is_file():
        raise DataError(f"{output} is there and is no export.", "Choose another folder with --output.")
    if not force:
        raise DataError(
            f"{output} holds an export.", "Overwrite it with --force, or choose another folder with --output."
        )


def check_room(output: Path, needed: int) -> None:
    """See to it that there is room for an export.

    Args:
        output: Where it goes.
        needed: What it takes, in bytes.

    Raises:
        StoreFull: There is not.
    """
    free = shutil.disk_usage(nearest_folder(output.absolute())).free
    if free < needed:
        raise StoreFull(
            f"The export takes {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free where {output} would lie.",
            "Make room, or choose another folder with --output.",
        )


def check_is_here(config: BotConfig) -> None:
    """See to it that the base is one whose weights can be had.

    Raises:
        ModelError: It is on a server.
    """
    if config.base.address is not None:
        raise ModelError(
            f"The base of this bot, {config.base.model}, is on a server: there are no weights here to take along.",
            "Take along a bot whose base.model is a folder, a hub id or 'bundled'.",
        )
