"""The files of each form of an export, and how they are loaded again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.exporting.wanted import Wanted
from toolkit.bot import BotFolder
from toolkit.config import BotConfig
from toolkit.exporting import (
    copy_adapter,
    low_rank,
    merged_into,
    modelfile,
    write_adapter,
    write_model,
)
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.prompts import stop_token_ids, template_of
from toolkit.tuning import attach_adapter

if TYPE_CHECKING:
    from toolkit.models import LoadedModel

# LM Studio finds models two folders deep: publisher, model, file.
PUBLISHER = "housevoice"
# Longest conversation that a Modelfile and vLLM are told of, in tokens, where the base can take more: the notes and the
# talk of a bot stay under it many times over, and the memory for it is set aside at the start.
_CONTEXT = 8192
# Ranks that vLLM has kernels for.
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass
class Written:
    """What was written, and what it takes to load it again.

    Attributes:
        model: The folder of the model in 16 bits, or its GGUF.
        adapter: The adapter beside it, or None where it is merged.
    """

    model: Path
    adapter: Path | None = None


def write_form(
    folder: Path,
    wanted: Wanted,
    config: BotConfig,
    place: BotFolder,
    loaded: LoadedModel,
    *,
    number_format: str,
    on_progress: Progress | None,
) -> Written:
    """Write the files of an export.

    Args:
        folder: Where they go.
        wanted: What the export is to be.
        config: The settings of the bot.
        place: Its folder.
        loaded: Its base, the weights not quantised; they are changed.
        number_format: That of weights in 16 bits, as torch calls it.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: The base or its adapter cannot be written in this form.
    """
    loaded.tokenizer.chat_template = template_of(loaded.tokenizer)
    if wanted.in_gguf:
        return _write_gguf(folder, wanted, config, place, loaded, on_progress)
    merges = wanted.method is not None and not wanted.apart
    if on_progress:
        on_progress("Writing the model", 0, 1)
    model = merged_into(loaded.model, place.adapter, str(wanted.method)) if merges else loaded.model
    target = folder if wanted.form == "merged" else folder / ("base" if wanted.apart else "model")
    _save(target, model, loaded, config, number_format)
    if on_progress:
        on_progress("Writing the model", 1, 1)
    if wanted.form == "merged":
        return Written(target)
    rank = copy_adapter(place.adapter, folder / "adapter", "./base") if wanted.apart else None
    _write_command(folder, target, config, model.config, rank)
    return Written(target, folder / "adapter" if wanted.apart else None)


def _write_gguf(
    folder: Path, wanted: Wanted, config: BotConfig, place: BotFolder, loaded: LoadedModel, on_progress: Progress | None
) -> Written:
    """Write the GGUF, the adapter beside it where it goes apart, and what the program wants around it."""
    assert wanted.quantization is not None
    model: Any = loaded.model
    if wanted.method and not wanted.apart:
        model = merged_into(model, place.adapter, wanted.method)
    kind = "-base" if wanted.apart else ""
    file = folder / f"{config.name}{kind}-{wanted.quantization}.gguf"
    if wanted.form == "lmstudio":
        file = folder / PUBLISHER / config.name / file.name
        file.parent.mkdir(parents=True)
    write_model(file, model, loaded.tokenizer, wanted.quantization, name=config.name, on_progress=on_progress)
    adapter = None
    if wanted.apart:
        model = attach_adapter(model, place.adapter)
        adapter = folder / f"{config.name}-voice.gguf"
        write_adapter(adapter, model.config, low_rank(model, str(wanted.method)), name=f"{config.name}-voice")
    if wanted.form == "ollama":
        text = modelfile(
            loaded.tokenizer,
            model=file.name,
            adapter=adapter.name if adapter else None,
            system=config.chain.system,
            temperature=config.chain.temperature,
            context=_context(model.config),
        )
        write_text(folder / "Modelfile", text)
    return Written(file, adapter)


def _save(target: Path, model: Any, loaded: LoadedModel, config: BotConfig, number_format: str) -> None:
    """Save a model in 16 bits with its tokenizer and how it is to write, as transformers does."""
    import torch
    from transformers import GenerationConfig

    from toolkit.models.bundled import no_bars

    drawn = {"do_sample": True, "temperature": config.chain.temperature} if config.chain.temperature else {}
    model.to(getattr(torch, number_format))
    model.generation_config = GenerationConfig(
        bos_token_id=loaded.tokenizer.bos_token_id,
        eos_token_id=stop_token_ids(loaded.tokenizer),
        pad_token_id=loaded.tokenizer.pad_token_id,
        **drawn,
    )
    with no_bars():
        model.save_pretrained(target)
        loaded.tokenizer.save_pretrained(target)


def _write_command(folder: Path, model: Path, config: BotConfig, shape: Any, rank: int | None) -> None:
    """Write the command line with which vLLM serves an export."""
    words = ["exec vllm serve", f"./{model.name}", f"--max-model-len {_context(shape)}"]
    if rank is None:
        words.append(f"--served-model-name {config.name}")
    else:
        kernel = next((number for number in _VLLM_RANKS if number >= rank), rank)
        words += [
            f"--served-model-name {config.name}-plain",
            "--enable-lora",
            f"--max-lora-rank {kernel}",
            f"--lora-modules {config.name}=./adapter",
        ]
    write_text(folder / "serve.sh", '#!/bin/sh\ncd "$(dirname "$0")" || exit 1\n' + " ".join([*words, '"$@"']) + "\n")
    (folder / "serve.sh").chmod(0o755)


def _context(shape: Any) -> int:
    """Return the tokens that a conversation may have."""
    return min(int(shape.max_position_embeddings), _CONTEXT)
