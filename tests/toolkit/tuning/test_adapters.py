"""Adapters: plain PEFT folders, bound to the weights they were trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit.bot import BotFolder
from toolkit.config import VoiceSettings
from toolkit.engines import TextEngine
from toolkit.errors import AdapterMismatch, DataError
from toolkit.models import LoadedModel, load_base
from toolkit.tuning import attach_adapter, check_base, lent_for_tuning
from toolkit.tuning.adapters import lora_config
from toolkit.tuning.record import BASE_RECORD


def load(folder: Path) -> LoadedModel:
    return load_base(str(folder), device="cpu", dtype="float32")


@pytest.fixture
def adapter(small_bot: Path) -> Path:
    return BotFolder(small_bot).adapter


def test_settings_keep_the_names_of_peft() -> None:
    config = lora_config(VoiceSettings(r=8, lora_alpha=24, lora_dropout=0.1, target_modules=["q_proj", "v_proj"]))
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 24, 0.1)
    assert set(config.target_modules) == {"q_proj", "v_proj"}
    assert lora_config(VoiceSettings()).target_modules == "all-linear"


def test_an_adapter_is_a_plain_peft_folder(adapter: Path, tiny_base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), str(adapter))
    weights = [weight for name, weight in model.named_parameters() if "lora_B" in name]
    assert len(weights) == 2 * 7
    assert any(weight.abs().sum() > 0 for weight in weights)
    assert (adapter / "adapter_model.safetensors").is_file()
    assert not list(adapter.glob("*.bin"))


def test_an_adapter_knows_its_base(adapter: Path, tiny_base: Path) -> None:
    record = json.loads((adapter / BASE_RECORD).read_text())
    assert record["base"] == str(tiny_base)
    assert record["fingerprint"] == load(tiny_base).fingerprint
    check_base(adapter, name="x", fingerprint=record["fingerprint"])


def test_an_adapter_of_another_base_of_the_same_shape_is_refused(
    adapter: Path, tiny_base: Path, other_tiny_base: Path
) -> None:
    other = load(other_tiny_base)
    with pytest.raises(AdapterMismatch, match="was trained on") as caught:
        TextEngine(other, adapter)
    assert str(tiny_base) in caught.value.message
    assert other.fingerprint in caught.value.message
    assert "tune" in caught.value.hint


def test_an_adapter_made_elsewhere_is_taken(adapter: Path, tmp_path: Path) -> None:
    check_base(tmp_path, name="x", fingerprint="y")


def test_a_folder_without_an_adapter_is_named(tmp_path: Path, tiny_base: Path) -> None:
    with pytest.raises(DataError, match="holds no adapter"):
        attach_adapter(load(tiny_base).model, tmp_path)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_a_base_comes_back_from_a_tune_as_it_was_lent(
    tiny_base: Path, adapter: Path, tmp_path: Path, gradient_checkpointing: bool
) -> None:
    from tests.toolkit.tuning.test_training import ROWS, SETTINGS
    from toolkit.tuning import train_adapter

    loaded, asked = load(tiny_base), [[{"role": "user", "content": "How long does the lamp burn?"}]]
    before = TextEngine(loaded).generate(asked, adapter=False)
    layers = {name: type(module) for name, module in loaded.model.named_modules()}
    config, generation = loaded.model.config.to_dict(), loaded.model.generation_config.to_dict()
    settings = SETTINGS.model_copy(
        update={"num_train_epochs": 1, "target_modules": "all-linear", "gradient_checkpointing": gradient_checkpointing}
    )
    with lent_for_tuning(loaded.model):
        train_adapter(ROWS, loaded, settings, tmp_path / "adapter", work=tmp_path / "work")
        assert {name: type(module) for name, module in loaded.model.named_modules()} != layers
    assert {name: type(module) for name, module in loaded.model.named_modules()} == layers
    assert not loaded.model.training
    assert (loaded.model.config.to_dict(), loaded.model.generation_config.to_dict()) == (config, generation)
    assert TextEngine(loaded).generate(asked, adapter=False) == before
    spoken = TextEngine(loaded, adapter).generate(asked, adapter=True)
    assert spoken == TextEngine(load(tiny_base), adapter).generate(asked, adapter=True)


def test_a_base_comes_back_from_a_tune_that_failed(tiny_base: Path) -> None:
    from peft import get_peft_model

    loaded = load(tiny_base)
    layers = {name: type(module) for name, module in loaded.model.named_modules()}
    with pytest.raises(KeyboardInterrupt), lent_for_tuning(loaded.model):
        get_peft_model(loaded.model, lora_config(VoiceSettings()))
        raise KeyboardInterrupt
    assert {name: type(module) for name, module in loaded.model.named_modules()} == layers
    assert not hasattr(loaded.model, "peft_config")
