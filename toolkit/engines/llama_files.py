"""The GGUF files that llama.cpp loads for a bot: written once into the cache folder, by what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import ModelError
from toolkit.exporting import Quantization, merged_into, write_model
from toolkit.models import cache_folder, load_base
from toolkit.prompts import template_hash
from toolkit.tuning.record import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from toolkit.progress import Progress

# In 8 bits the replies are those of 16 bits but for ties, at half the size and nearly twice the speed; in 4 bits they
# are others: docs/export.md.
QUANTIZATION: Quantization = "q8_0"
# Raised when toolkit/exporting writes other files from the same weights.
_WRITTEN_AS = 1


@dataclass(frozen=True)
class Base:
    """A base that is turned into GGUF.

    Attributes:
        name: What the user calls it.
        revision: Branch, tag or commit of a hub id.
        fingerprint: See :func:`toolkit.models.fingerprint`.
        tokenizer: Its tokenizer.
    """

    name: str
    revision: str | None
    fingerprint: str
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Voice:
    """An adapter that is merged into a base.

    Attributes:
        adapter: A PEFT folder.
        method: How it was tuned.
    """

    adapter: Path
    method: str


def gguf_files(base: Base, voice: Voice | None, on_progress: Progress | None = None) -> tuple[Path, Path | None]:
    """Return a base as GGUF, and the same with a voice merged into it; what is not there yet is written.

    The voice that a bot spoke with before is deleted when that of its next tune is written.

    Args:
        base: The base.
        voice: The voice, or None for the base alone.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: They cannot be written, or the base cannot be loaded.
    """
    folder = cache_folder() / "gguf"
    plain = folder / f"{_short(base.name)}-{_digest_of(base)}.gguf"
    voiced, former = None, []
    if voice is not None:
        stem = f"{plain.stem}-voice-{_digest(str(voice.adapter.resolve()))}"
        files = sorted([*voice.adapter.glob("*.safetensors"), *voice.adapter.glob("*config.json")])
        content = _digest(*(f"{file.name} {sha256_of(file)}" for file in files), voice.method)
        voiced = folder / f"{stem}-{content}.gguf"
        former = [file for file in folder.glob(f"{stem}-*.gguf") if file != voiced]
    weights = _Weights(base, on_progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_once(plain, lambda file: weights.write(file, None))
        if voiced is not None:
            _write_once(voiced, lambda file: weights.write(file, voice))
    except OSError as error:
        raise ModelError(
            f"The model could not be written for llama.cpp to {folder}: {error}.",
            "Point HOUSEVOICE_CACHE to a folder with room that may be written to, or set base.engine to transformers.",
        ) from error
    for file in former:
        with contextlib.suppress(OSError):  # a system that deletes no open file keeps it until the next tune
            file.unlink()
    return plain, voiced


class _Weights:
    """The weights of a base: loaded when the first file is written from them, and not where all are there.

    Args:
        base: The base.
        on_progress: Called with what is being done, done, total.
    """

    def __init__(self, base: Base, on_progress: Progress | None) -> None:
        self._base, self._on_progress = base, on_progress
        self._model: PreTrainedModel | None = None

    def write(self, file: Path, voice: Voice | None) -> None:
        """Write a GGUF; after one with a voice, which is merged into the weights themselves, none without can be."""
        model = self._model = self._model or self._load()
        if voice is not None:
            model = merged_into(model, voice.adapter, voice.method)
        write_model(
            file, model, self._base.tokenizer, QUANTIZATION, name=self._base.name, on_progress=self._on_progress
        )

    def _load(self) -> PreTrainedModel:
        """Load the base, in 32 bits where they fit, so that a merge does not round."""
        from toolkit.models.estimates import free_memory

        loaded = load_base(self._base.name, revision=self._base.revision, device="cpu", on_progress=self._on_progress)
        if free_memory("cpu") > 4 * loaded.model.num_parameters():
            loaded.model.float()
        return loaded.model


def _write_once(target: Path, write: Callable[[Path], None]) -> None:
    """Write a file that is not there, whole or not at all; another process that wants it waits."""
    from filelock import FileLock

    if target.is_file():
        return
    with FileLock(f"{target}.lock"):
        if target.is_file():
            return
        part = target.with_name(f".{target.name}.part")
        try:
            write(part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _digest_of(base: Base) -> str:
    """Name a base with its tokenizer, written as it is here, by the content."""
    tokenizer = base.tokenizer.backend_tokenizer.to_str()
    return _digest(base.fingerprint, template_hash(base.tokenizer), tokenizer, QUANTIZATION, str(_WRITTEN_AS))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _short(name: str) -> str:
    """Return the last part of a model's name as a file may be called."""
    return re.sub(r"[^\w.-]+", "-", name.rstrip("/\\").replace("\\", "/").rpartition("/")[2])[:40]
