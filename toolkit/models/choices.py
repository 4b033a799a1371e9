"""Device, number format and quantisation: chosen, with the reason for each choice."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from toolkit.errors import ModelError


@dataclass(frozen=True)
class Choice:
    """An automatic choice together with its reason, so that both can be printed."""

    value: str
    reason: str

    def __str__(self) -> str:
        """Return ``value (reason)``."""
        return f"{self.value} ({self.reason})"


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
    """Choose the number format of the weights for a device.

    Example:
        >>> print(choose_dtype("mps"))
        float32 (the safest on Apple GPUs)
    """
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
