"""Which engine a bot runs on, with the reason, and that engine with the bot's base and voice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolkit.config import BaseSettings
from toolkit.engines.llama_engine import LlamaEngine
from toolkit.engines.llama_files import Base, Voice, gguf_files
from toolkit.engines.llama_model import LlamaModel
from toolkit.engines.text_engine import TextEngine
from toolkit.errors import MissingExtra, ModelError
from toolkit.exporting import check_merges, family_of, split_name
from toolkit.exporting.llama_cpp import check_installed
from toolkit.models import Choice, choose_device, fingerprint, load_base, load_tokenizer, locate_base
from toolkit.progress import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from toolkit.engines.base import TextGenerator


def choose_engine(
    settings: BaseSettings, method: str | None, read: Callable[[], tuple[Any, PreTrainedTokenizerBase]]
) -> Choice:
    """Choose what the model of a bot runs on.

    Args:
        settings: The ``base`` section of ``bot.yaml``.
        method: How the voice was tuned; None without one.
        read: Returns the configuration of the base, as transformers has it, and its tokenizer.

    Raises:
        ModelError: llama.cpp is asked for and cannot take this base, or this voice.
        MissingExtra: llama.cpp is asked for and not installed.
    """
    if settings.engine == "transformers":
        return Choice("transformers", "set in bot.yaml")
    try:
        _check_llama(settings, method, read)
    except (ModelError, MissingExtra) as error:
        if settings.engine == "llamacpp":
            raise
        return Choice("transformers", f"not llama.cpp: {error.message.rstrip('.')}")
    if settings.engine == "llamacpp":
        return Choice("llamacpp", "set in bot.yaml")
    return Choice("llamacpp", "on a CPU it writes several times as fast")


def _check_llama(
    settings: BaseSettings, method: str | None, read: Callable[[], tuple[Any, PreTrainedTokenizerBase]]
) -> None:
    """See to it that llama.cpp can run a base with a voice, and as fast as is said of it.

    Raises:
        ModelError: It cannot.
        MissingExtra: It is not installed.
    """
    check_installed("llama.cpp is not installed.")
    remedy = "Set base.engine to transformers or auto."
    device = choose_device(settings.device).value
    if device != "cpu":
        raise ModelError(f"It is for the CPU, and this model runs on {device}.", remedy)
    if settings.load_in_4bit or settings.dtype != "auto":
        key = "load_in_4bit" if settings.load_in_4bit else "dtype"
        raise ModelError(f"It has number formats of its own, and base.{key} asks for another.", remedy)
    if method is not None:
        check_merges(method)
    config, tokenizer = read()
    family_of(config)
    split_name(tokenizer)


def open_engine(
    settings: BaseSettings,
    voice: Voice | None,
    check: Callable[[str, PreTrainedTokenizerBase], None],
    on_progress: Progress | None = None,
) -> TextGenerator:
    """Load the model of a bot into this process.

    Args:
        settings: The ``base`` section of ``bot.yaml``.
        voice: The bot's voice, or None.
        check: Called with the fingerprint and the tokenizer of the base that was found, before it is used.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: The base cannot be loaded, or not by the engine that is asked for.
        MissingExtra: A package that it needs is not installed.
        AdapterMismatch: The voice was trained on another base.
    """
    path = locate_base(settings.model, on_progress=on_progress)
    found: list[PreTrainedTokenizerBase] = []

    def read() -> tuple[Any, PreTrainedTokenizerBase]:
        found.append(load_tokenizer(settings.model, path, settings.revision))
        return read_config(path, settings.revision), found[0]

    method = voice.method if voice is not None else None
    if choose_engine(settings, method, read).value == "llamacpp":
        try:
            return _open_llama(settings, path, found[0], voice, check, on_progress)
        except ModelError:
            if settings.engine == "llamacpp":
                raise  # where it is not asked for by name, the reference does as well
    loaded = load_base(
        settings.model,
        revision=settings.revision,
        device=settings.device,
        dtype=settings.dtype,
        quantization="nf4" if settings.load_in_4bit else "none",
        on_progress=on_progress,
    )
    check(loaded.fingerprint, loaded.tokenizer)
    return TextEngine(loaded, voice.adapter if voice is not None else None)


def read_config(path: str, revision: str | None) -> Any:
    """Return the configuration of a base as transformers has it.

    Raises:
        ModelError: It cannot be found or reached.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"The configuration of {path} cannot be read: {error}") from error


def _open_llama(
    settings: BaseSettings,
    path: str,
    tokenizer: PreTrainedTokenizerBase,
    voice: Voice | None,
    check: Callable[[str, PreTrainedTokenizerBase], None],
    on_progress: Progress | None,
) -> LlamaEngine:
    """Load a base, and the same with a voice merged in, with llama.cpp."""
    from toolkit.tuning import check_base

    weights = fingerprint(path, settings.revision)
    check(weights, tokenizer)
    if voice is not None:
        check_base(voice.adapter, name=settings.model, fingerprint=weights)
    plain, voiced = gguf_files(Base(settings.model, settings.revision, weights, tokenizer), voice, on_progress)
    longest = int(read_config(path, settings.revision).max_position_embeddings)
    return LlamaEngine(tokenizer, LlamaModel(plain, longest), LlamaModel(voiced, longest) if voiced else None)
