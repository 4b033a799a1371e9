"""The loss of a tune is TRL's own: by a quicker way where that is right, and otherwise by TRL's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.tuning.test_training import ROWS, SETTINGS
from toolkit.models import LoadedModel, load_base
from toolkit.tuning.adapters import lora_config
from toolkit.tuning.loss import has_plain_head, is_in_layers
from toolkit.tuning.training import encode_rows, new_trainer


def bases() -> dict[str, Any]:
    """Return settings of tiny bases of families that treat their logits each in another way."""
    from transformers import CohereConfig, Gemma2Config, GraniteConfig, MixtralConfig, Qwen3Config

    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.2,
        "max_position_embeddings": 2048,
    }
    return {
        "plain": Qwen3Config(**small),
        "soft capped": Gemma2Config(**small, final_logit_softcapping=5.0),
        "logit scale": CohereConfig(**small, logit_scale=0.25),
        "logits scaled": GraniteConfig(**small, logits_scaling=4.0),
        "experts": MixtralConfig(**small, num_local_experts=2, output_router_logits=True),
    }


def base_of(kind: str, tiny_base: Path, folder: Path) -> LoadedModel:
    """Write a tiny random base of a family, with the tokenizer of the tiny base, and load it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if kind != "tiny":
        tokenizer = AutoTokenizer.from_pretrained(tiny_base)
        config = bases()[kind]
        config.vocab_size = len(tokenizer)
        config.eos_token_id = config.bos_token_id = config.pad_token_id = tokenizer.eos_token_id
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return load_base(str(folder if kind != "tiny" else tiny_base), device="cpu", dtype="float32")


def trainer_of(loaded: LoadedModel, work: Path, method: Any = None) -> Any:
    """Return a trainer whose adapter is not zero."""
    import torch

    encoded, _ = encode_rows(ROWS, loaded, 640)
    torch.manual_seed(0)
    trainer: Any = new_trainer(encoded, loaded, SETTINGS, work, method=method or lora_config(SETTINGS))
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    return trainer


def loss_and_gradients(
    trainer: Any, batch: dict[str, Any], *, stock: bool = False, items: int | None = None
) -> tuple[float, dict[str, Any]]:
    """Return the loss of a batch and its gradients, by the way of the trainer or by TRL's own."""
    from trl import SFTTrainer

    trainer.current_gradient_accumulation_steps = 1  # set where a run begins
    trainer.model.train()
    trainer.model.zero_grad()
    count = None if items is None else int((batch["labels"][:, 1:] != -100).sum()) + items
    compute = SFTTrainer.compute_loss if stock else type(trainer).compute_loss
    loss = compute(trainer, trainer.model, dict(batch), num_items_in_batch=count)
    loss.backward()
    gradients = {
        name: weight.grad.clone() for name, weight in trainer.model.named_parameters() if weight.grad is not None
    }
    return float(loss.detach()), gradients


@pytest.mark.parametrize("items", [None, 0, 40])
@pytest.mark.parametrize("kind", ["tiny", "plain", "soft capped", "logit scale", "logits scaled", "experts"])
def test_the_loss_and_its_gradients_are_those_of_trl(
    kind: str, items: int | None, tiny_base: Path, tmp_path: Path
) -> None:
    import torch

    trainer = trainer_of(base_of(kind, tiny_base, tmp_path / "base"), tmp_path / "work")
    assert trainer.quick is (kind in ("tiny", "plain"))
    batch = next(iter(trainer.get_train_dataloader()))
    found, mine = loss_and_gradients(trainer, batch, items=items)
    expected, theirs = loss_and_gradients(trainer, batch, stock=True, items=items)
    assert found == pytest.approx(expected, rel=1e-4)
    assert set(mine) == set(theirs)
    assert mine
    for name, gradient in theirs.items():
        assert torch.allclose(mine[name], gradient, rtol=1e-3, atol=1e-5), name


def test_a_probe_leaves_the_model_as_it_was(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    trainer = trainer_of(base_of("tiny", tiny_base, tmp_path), tmp_path / "work")
    ids = torch.arange(8).view(1, -1)
    trainer.model.train()
    with torch.no_grad():
        before = trainer.model(input_ids=ids).logits
        assert has_plain_head(trainer.model)
        assert trainer.model.training
        assert torch.equal(trainer.model(input_ids=ids).logits, before)


def test_virtual_tokens_are_trained(tiny_base: Path, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, TaskType

    method = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4)
    trainer = trainer_of(base_of("tiny", tiny_base, tmp_path), tmp_path / "work", method)
    assert not trainer.quick
    _, gradients = loss_and_gradients(trainer, next(iter(trainer.get_train_dataloader())))
    assert gradients
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())


def test_lora_that_looks_into_the_prompt_is_not_lora_alone(tiny_base: Path, tmp_path: Path) -> None:
    from peft import get_peft_model

    method = lora_config(SETTINGS)
    method.alora_invocation_tokens = [3]
    loaded = base_of("tiny", tiny_base, tmp_path)
    assert not is_in_layers(loaded.model)
    assert not is_in_layers(get_peft_model(loaded.model, method))
