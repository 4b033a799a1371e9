"""LoRA's quicker forward pass: PEFT's outputs and gradients, and only where they are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.models import load_base
from toolkit.tuning.quick_lora import quicken_lora
from toolkit.tuning.training import keep_training_kernels


def with_adapter(base: Path, quantization: str = "none", **variant: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    loaded = load_base(str(base), device="cpu", dtype="float32", quantization=quantization)
    keep_training_kernels(loaded.model)
    model = get_peft_model(loaded.model, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", **variant))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)  # it begins at zero, where the update is none
    return model


def logits_and_gradients(model: Any) -> tuple[Any, dict[str, Any]]:
    import torch

    model.zero_grad()
    logits = model(input_ids=torch.arange(12).view(2, 6)).logits
    logits.square().mean().backward()
    return logits.detach(), {name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad}


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_outputs_and_gradients_are_those_of_peft(tiny_base: Path, quantization: str) -> None:
    import torch

    model = with_adapter(tiny_base, quantization)
    before, slopes = logits_and_gradients(model)
    with model.disable_adapter():
        bare = model(input_ids=torch.arange(12).view(2, 6)).logits.detach()
    assert quicken_lora(model) > 0
    after, quick_slopes = logits_and_gradients(model)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert slopes.keys() == quick_slopes.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(quick_slopes[name], slope, rtol=1e-2, atol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(model(input_ids=torch.arange(12).view(2, 6)).logits.detach(), bare)
    assert not torch.allclose(bare, after)


def test_layers_that_do_more_stay_as_they_are(tiny_base: Path) -> None:
    assert quicken_lora(with_adapter(tiny_base, use_dora=True)) == 0
    assert quicken_lora(with_adapter(tiny_base, lora_bias=True)) == 0
