"""Base models and tokenizers, loaded: bundled, hub id or folder by one code path."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import MissingExtra, ModelError
from toolkit.models.bundled import BUNDLED, PLAIN, bundled_folder, no_bars
from toolkit.models.choices import Choice, choose_device, choose_dtype, choose_quantization
from toolkit.models.fingerprints import fingerprint
from toolkit.offline import call_nobody, load_bitsandbytes
from toolkit.progress import Progress

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class LoadedModel:
    """A base model ready to use.

    Attributes:
        model: The model, in evaluation mode.
        tokenizer: Its tokenizer, with a pad token.
        name: What the user called it.
        path: The folder or hub id that it was read from.
        fingerprint: See :func:`fingerprint`.
        device: Where it runs, and why.
        dtype: The number format of its weights, and why.
        quantization: ``nf4`` or ``none``, and why.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    path: str
    fingerprint: str
    device: Choice
    dtype: Choice
    quantization: Choice


def locate_base(name: str, *, on_progress: Progress | None = None) -> str:
    """Return a folder or hub id that transformers can open for the name in ``bot.yaml``.

    ``bundled`` is turned once into ordinary safetensors in the cache folder; a second process that asks at
    the same time waits for the first.

    Raises:
        ModelError: A folder without a model in it.
        MissingExtra: ``bundled`` without the package that carries it.
    """
    if name in (BUNDLED, PLAIN):
        return str(bundled_folder(on_progress, grounded=name == BUNDLED))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise ModelError(
                f"{folder} is not a model: it needs config.json and *.safetensors.",
                "Save one there with model.save_pretrained() and tokenizer.save_pretrained().",
            )
        return str(folder)
    if name.startswith((".", "/", "~")):
        raise ModelError(f"The model folder {folder} does not exist.", "Check base.model in bot.yaml.")
    return name


def four_bit_config(compute_dtype: torch.dtype) -> Any:
    """Return bitsandbytes' NF4 settings with double quantisation (QLoRA, Dettmers et al. 2023, section 3)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def load_base(
    name: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str = "none",
    on_progress: Progress | None = None,
) -> LoadedModel:
    """Load a base model and its tokenizer. One code path for bundled, hub id and folder; safetensors only.

    Args:
        name: ``bundled``, ``bundled-plain``, a hub id, or a folder.
        revision: Branch, tag or commit of a hub id.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantization: ``nf4``, ``none`` or ``auto``.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: It cannot be found, reached or opened; the hint says what to do.
        MissingExtra: A package that it needs is not installed.
    """
    call_nobody()
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    path = locate_base(name, on_progress=on_progress)
    where = choose_device(device)
    number = choose_dtype(where.value, dtype)
    bits = choose_quantization(where.value, quantization)
    torch_dtype = getattr(torch, number.value)
    settings: dict[str, Any] = {"quantization_config": four_bit_config(torch_dtype)} if bits.value == "nf4" else {}
    if bits.value == "nf4" and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("nf4 needs bitsandbytes.", "pip install bitsandbytes, or set voice.quantization to none.")
    if bits.value == "nf4":
        load_bitsandbytes()
    tokenizer = load_tokenizer(name, path, revision)
    try:
        with no_bars():
            model = AutoModelForCausalLM.from_pretrained(
                path,
                revision=revision,
                dtype=torch_dtype,
                device_map={"": where.value},
                use_safetensors=True,
                trust_remote_code=False,
                **settings,
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise _cannot_load(name, path, error) from error
    model.eval()
    return LoadedModel(model, tokenizer, name, path, fingerprint(path, revision), where, number, bits)


def load_tokenizer(name: str, path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a base model, with a pad token.

    Args:
        name: What the user calls the base.
        path: What :func:`locate_base` made of the name.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be found, reached or opened.
    """
    call_nobody()
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            path, revision=revision, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _cannot_load(name, path, error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _cannot_load(name: str, path: str, error: Exception) -> ModelError:
    """Say why a base model did not load, and what to do."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(path).is_dir():
        return ModelError(f"The model in {path} cannot be opened: {first}")
    return ModelError(
        f"The model '{name}' is not in the local cache and the hub could not give it: {first}",
        "Check the id and the connection (a gated model needs `hf auth login`), or download it elsewhere and set "
        "base.model to its folder, or use base.model: bundled.",
    )
