"""The order in which the doctor looks at things, and those that are quickly told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.base import find_base
from pipelines.doctor.check import Check, attempt
from pipelines.doctor.fitting import fitting_checks
from pipelines.doctor.replies import reply_checks
from pipelines.doctor.servers import base_checks, local_servers
from pipelines.parts import Parts
from toolkit.agent import check_agent
from toolkit.bot import installed_versions
from toolkit.config import BotConfig, load_config
from toolkit.errors import HousevoiceError
from toolkit.files import nearest_folder
from toolkit.progress import Progress

_NEEDED_FREE_BYTES = 2 << 30


def examine(path: Path, *, on_progress: Progress | None = None) -> Iterator[Check]:
    """Look at everything that a build needs, and go on after a fault.

    Nothing is built, and of a base on the hub nothing is fetched but its ``config.json``; the bundled base is turned
    into safetensors, as the first build would.

    Args:
        path: The ``bot.yaml``, or its folder.
        on_progress: Called with what is being done, done, total.
    """
    try:
        config, file = load_config(path)
    except HousevoiceError as error:
        yield Check("settings", False, str(error))
        return
    yield Check("settings", True, str(file))
    with Parts(config, on_progress=on_progress) as parts:
        yield from _inputs(parts)
        if config.base.address:
            yield from base_checks(config)
        else:
            yield attempt("device", lambda: _device(config))
            found = find_base(config.base, on_progress)
            yield found.check
            if found.here:
                yield attempt("engine", lambda: _engine(config, found.path))
        if config.chain.mode != "chain" and (config.base.address or found.here):
            tokenizer = None if config.base.address else parts.tokenizer
            yield attempt("agent", lambda: check_agent(config, tokenizer))
        if config.knowledge:
            yield attempt("embedder", lambda: _embedder(parts))
        if parts.tunes:
            yield from _voice(parts, found.path, found.here)
        yield local_servers()
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
        yield attempt("example replies", replies)
    if config.knowledge:
        yield attempt("documents", lambda: f"{len(parts.documents())} files")
    if config.evaluation.questions:
        yield attempt("questions", measured)


def _voice(parts: Parts, path: str, here: bool) -> Iterator[Check]:
    """Look at the example replies as the base will see them, and at whether a tune fits; what is broken is said."""
    try:
        train, held = parts.examples()
    except HousevoiceError:
        return  # said among the inputs
    if not path:
        return  # said of the base
    yield from reply_checks(parts.config, train, held, path if here else None)
    yield from fitting_checks(parts.config, train, path, tokenizer_here=here)


def _device(config: BotConfig) -> str:
    from toolkit.models import choose_device, choose_dtype, choose_quantization

    device = choose_device(config.base.device)
    dtype = choose_dtype(device.value, config.base.dtype)
    chosen = f"{device}, {dtype}"
    if config.voice:
        chosen += f"; tune: {choose_quantization(device.value, config.voice.quantization)}"
    return chosen


def _engine(config: BotConfig, path: str) -> str:
    from toolkit.engines.opening import choose_engine, read_config
    from toolkit.models import load_tokenizer

    settings = config.base
    return str(
        choose_engine(
            settings,
            config.voice.method if config.voice else None,
            lambda: (read_config(path, settings.revision), load_tokenizer(settings.model, path, settings.revision)),
        )
    )


def _embedder(parts: Parts) -> str:
    embedder = parts.embedder()
    return f"{embedder.identity.name}, {embedder.identity.dimension} dimensions, {embedder.max_tokens} tokens"
