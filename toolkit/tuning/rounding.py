"""Quantisation-aware tuning (Jacob et al. 2017) with torchao: weights that are rounded to 4 bits while they train.

What is trained and what is served are the same numbers: the adapter folder holds the rounded weights, at most 16
values in a group of a row, in the number format of the base.
"""

from __future__ import annotations

from typing import Any


def round_while_training(model: Any, settings: Any) -> None:
    """Let the forward pass of the modules that are trained round their weights; gradients pass through unrounded.

    Args:
        model: The ``PeftModel``.
        settings: The ``voice`` section of ``bot.yaml``, of the method ``qat``.
    """
    from torchao.quantization import quantize_
    from torchao.quantization.qat import QATConfig

    quantize_(model, QATConfig(_four_bits(settings), step="prepare"), filter_fn=_is_trained)


def round_for_good(model: Any, settings: Any) -> None:
    """Put the rounded weights into ordinary linear layers."""
    from torch import nn
    from torchao.quantization import quantize_
    from torchao.quantization.qat import FakeQuantizedLinear, QATConfig

    def rounds(module: Any, name: str) -> bool:
        return isinstance(module, FakeQuantizedLinear)

    quantize_(model, QATConfig(_four_bits(settings), step="convert"), filter_fn=rounds)
    for name, module in model.named_modules():
        if _is_trained(module, name):
            module.weight = nn.Parameter(module.weight.dequantize(), requires_grad=False)


def _four_bits(settings: Any) -> Any:
    """Return torchao's settings: whole numbers of 4 bits, with a scale for each group of a row."""
    from torch import int4  # type: ignore[attr-defined]  # its stubs are behind
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    return IntxWeightOnlyConfig(weight_dtype=int4, granularity=PerGroup(settings.group_size))


def _is_trained(module: Any, name: str) -> bool:
    from torch import nn

    return isinstance(module, nn.Linear) and ".modules_to_save." in name
