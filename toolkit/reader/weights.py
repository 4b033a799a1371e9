"""The reader's weights: its heads, and how they lie in a file in eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "reader.safetensors"
CONFIG_FILE = "config.json"
HEADS = "heads."
_SCALE = ".scale"


def head_shapes(hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of the heads.

    Args:
        hidden: Numbers in a token's vector.
    """
    shapes: dict[str, tuple[int, ...]] = {"span_weight": (2, hidden), "span_bias": (2,)}
    for name in ("answerable", "support"):
        shapes |= {f"{name}_dense_weight": (hidden, hidden), f"{name}_dense_bias": (hidden,)}
        shapes |= {f"{name}_out_weight": (1, hidden), f"{name}_out_bias": (1,)}
    return shapes


def apply_heads(
    hidden: torch.Tensor, heads: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run the three heads on the encoder's last layer.

    Args:
        hidden: Vectors of shape (pairs, tokens, hidden).
        heads: Weights by the names of :func:`head_shapes`.

    Returns:
        Logits of "the passage answers" and of "the evidence supports", each of shape (pairs,), and the logits of
        the answer's first and last token, of shape (pairs, tokens, 2); position 0 stands for "no answer here".
    """
    from torch.nn import functional

    first = hidden[:, 0]

    def judged(name: str) -> torch.Tensor:
        inner = functional.linear(first, heads[f"{name}_dense_weight"], heads[f"{name}_dense_bias"])
        outer = functional.linear(functional.gelu(inner), heads[f"{name}_out_weight"], heads[f"{name}_out_bias"])
        return outer.squeeze(-1)

    span = functional.linear(hidden, heads["span_weight"], heads["span_bias"])
    return judged("answerable"), judged("support"), span


def save_weights(file: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights: matrices of the layers in eight bits with a scale a row, everything else in float16.

    A row of a matrix makes one number of the output, so a scale a row costs nothing in precision that matters:
    the largest weight of each row becomes 127.

    Args:
        file: Where to write.
        weights: Float weights by name; the heads' names begin with ``heads.``.
    """
    import torch
    from safetensors.torch import save_file

    stored: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        value = weight.detach().to("cpu", torch.float32)
        if value.ndim == 2 and name.startswith("encoder."):
            scale = value.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
            stored[name] = (value / scale).round().clamp(-127, 127).to(torch.int8).contiguous()
            stored[name + _SCALE] = scale.squeeze(1).contiguous()
        else:
            stored[name] = value.to(torch.float16).contiguous()
    save_file(stored, file)


def load_weights(file: Path) -> dict[str, torch.Tensor]:
    """Read what :func:`save_weights` wrote, as float32 by name."""
    import torch
    from safetensors.torch import load_file

    stored = load_file(file)
    weights = {}
    for name, value in stored.items():
        if name.endswith(_SCALE):
            continue
        weight = value.to(torch.float32)
        weights[name] = weight * stored[name + _SCALE].unsqueeze(1) if name + _SCALE in stored else weight
    return weights
