"""Layers compiled for a while: the same numbers, fewer lengths, and a base that is left as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.config import VoiceSettings
from toolkit.models import LoadedModel, load_base
from toolkit.tuning.arguments import training_arguments
from toolkit.tuning.compiled import COMPILED_TOKENS, compiled_layers, compiles


def rows_of(*lengths: int) -> list[dict[str, Any]]:
    return [{"input_ids": [5] * length} for length in lengths]


@pytest.fixture
def loaded(tiny_base: Path) -> LoadedModel:
    return load_base(str(tiny_base), device="cpu", dtype="float32")


@pytest.fixture
def on_a_gpu(loaded: LoadedModel) -> LoadedModel:
    return dataclasses.replace(loaded, device=dataclasses.replace(loaded.device, value="cuda"))


def test_compiled_layers_give_the_same_logits_and_are_put_back(loaded: LoadedModel) -> None:
    ids, model = torch.arange(24).view(2, 12) % 50, loaded.model
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with compiled_layers(model, backend="eager"):  # the default one wants a C++ compiler
            programs = [module for module in model.modules() if module._compiled_call_impl is not None]
            during = model(input_ids=ids).logits
        after = model(input_ids=ids).logits
    assert len(programs) == model.config.num_hidden_layers
    torch.testing.assert_close(during, before)
    assert torch.equal(after, before)
    assert not any(module._compiled_call_impl is not None for module in model.modules())


def test_a_long_run_on_a_gpu_is_compiled_and_a_short_one_is_not(on_a_gpu: LoadedModel) -> None:
    settings = VoiceSettings(method="lora")
    assert compiles(settings, on_a_gpu, rows_of(100, 120), steps=100)
    assert not compiles(settings, on_a_gpu, rows_of(100, 120), steps=50)
    assert not compiles(settings, on_a_gpu, rows_of(100, 300, 500), steps=100), "each length has its price"


def test_what_was_never_tried_is_compiled_only_when_asked(loaded: LoadedModel, on_a_gpu: LoadedModel) -> None:
    rows = rows_of(100)
    assert not compiles(VoiceSettings(method="lora"), loaded, rows, steps=10_000), "no GPU"
    assert not compiles(VoiceSettings(method="ia3"), on_a_gpu, rows, steps=10_000)
    assert compiles(VoiceSettings(method="ia3", torch_compile=True), on_a_gpu, rows, steps=1)
    assert not compiles(VoiceSettings(method="lora", torch_compile=False), on_a_gpu, rows, steps=10_000)


def test_batches_of_compiled_layers_have_few_lengths(loaded: LoadedModel, tmp_path: Path) -> None:
    def filled_to(wanted: bool) -> int:
        settings = VoiceSettings(method="lora", torch_compile=wanted)
        return training_arguments(settings, loaded, rows_of(100), tmp_path, measured=False).pad_to_multiple_of

    assert filled_to(True) == COMPILED_TOKENS
    assert filled_to(False) < COMPILED_TOKENS
