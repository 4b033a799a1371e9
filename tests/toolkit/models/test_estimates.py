"""Estimates from a configuration alone: counted right, near what was measured, and moving the way they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import ModelError
from toolkit.models.estimates import (
    CANDIDATES,
    Work,
    candidate_config,
    free_memory,
    memory_of,
    operations_of,
    read_config,
    seconds_of,
    shape_of,
    speed_of,
)

GIB = 2**30
# As published with the models.
PARAMETERS = {
    "HuggingFaceTB/SmolLM2-360M-Instruct": 361_821_120,
    "Qwen/Qwen2.5-0.5B-Instruct": 494_032_768,
    "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B-Instruct": 14_770_033_664,
}
WORK = Work(tokens=10_000, supervised=4_000, longest=200)


def llama(**sizes: int):  # type: ignore[no-untyped-def]
    from transformers import LlamaConfig

    return shape_of(LlamaConfig(**sizes))


def bundled():  # type: ignore[no-untyped-def]
    return llama(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, tie_word_embeddings=True,
    )  # fmt: skip


def test_the_bases_that_are_named_have_the_sizes_that_were_published() -> None:
    assert {name: shape_of(candidate_config(name)).parameters for name in CANDIDATES} == PARAMETERS


def test_a_folder_is_counted_without_its_weights(tiny_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    (tmp_path / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    shape = shape_of(read_config(str(tmp_path)))
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    assert shape.parameters == model.num_parameters()
    # 2 layers of q, k, v, o, gate, up, down over 32 hidden numbers.
    assert shape.linear == 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64)
    assert shape.lora_per_rank == 2 * (64 + 48 + 48 + 64 + 3 * 96)
    assert (shape.layers, shape.key_value, shape.largest) == (2, 16, 2048)


def test_what_is_trained_by_a_lora_is_what_peft_makes(tiny_base: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from toolkit.offline import load_bitsandbytes

    load_bitsandbytes()
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainable = sum(weights.numel() for weights in tuned.parameters() if weights.requires_grad)
    assert trainable == 4 * shape_of(read_config(str(tiny_base))).lora_per_rank


@pytest.mark.parametrize(("checkpointing", "measured"), [(False, 25.6), (True, 5.92)])
def test_a_large_base_on_a_card_is_near_what_was_measured(checkpointing: bool, measured: float) -> None:
    # The loss there was on all tokens, in tiles that never hold the scores of a whole batch.
    work = Work(409_600, 1, longest=1024, batch=4, r=16, checkpointing=checkpointing)
    need = memory_of(llama(), "qlora", work, device="cuda")
    # What was measured leaves out the context of the card.
    assert (need.total - need.process) / GIB == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(("batch", "longest", "measured"), [(4, 145, 1.98), (8, 335, 5.55)])
def test_a_small_base_on_a_processor_is_near_what_was_measured(batch: int, longest: int, measured: float) -> None:
    shape = bundled()
    work = Work(24 * longest, 24 * 52, longest=longest, batch=batch)
    need = memory_of(shape, "qlora", work)
    answering = shape.parameters * 2  # was not loaded there
    assert (need.total - answering) / GIB == pytest.approx(measured, rel=0.1)


def test_each_way_needs_what_sets_it_apart() -> None:
    shape = shape_of(candidate_config("Qwen/Qwen2.5-7B-Instruct"))
    qlora, lora, full = (memory_of(shape, way, WORK, device="cuda") for way in ("qlora", "lora", "full"))
    assert qlora.weights < 0.45 * lora.weights
    assert lora.weights == shape.parameters * 2
    assert full.weights == shape.parameters * (2 + 4)  # a copy in float32, beside the base that answers
    assert qlora.trained < lora.trained < 0.1 * full.trained
    assert full.trained == shape.parameters * 12  # gradients and two moments, 4 bytes each
    assert qlora.activations == lora.activations < full.activations
    pissa = memory_of(shape, "pissa", WORK, device="cuda")
    assert (pissa.weights, pissa.trained) == (full.weights, lora.trained)
    assert pissa.activations == full.activations
    # In float32 the weights are tuned as they are; PiSSA takes those of a copy apart.
    weights = {way: memory_of(shape, way, WORK, dtype="float32").weights for way in ("pissa", "full")}
    assert weights == {"pissa": shape.parameters * 8, "full": shape.parameters * 4}
    on_cpu = memory_of(shape, "qlora", WORK)
    assert on_cpu.weights - qlora.weights == shape.parameters * 2  # the one that answers stays beside it


def test_checkpointing_trades_memory_for_work() -> None:
    shape = bundled()
    again = replace(WORK, checkpointing=True)
    assert memory_of(shape, "lora", again).activations < 0.3 * memory_of(shape, "lora", WORK).activations
    assert operations_of(shape, "lora", again) == 1.5 * operations_of(shape, "lora", WORK)
    assert operations_of(shape, "full", WORK) == 1.5 * operations_of(shape, "lora", WORK)


def test_time_goes_with_the_passes_and_the_speed() -> None:
    shape = bundled()
    once = seconds_of(shape, "lora", replace(WORK, epochs=1), 1e11)
    assert seconds_of(shape, "lora", WORK, 1e11) == pytest.approx(3 * once)
    assert seconds_of(shape, "lora", WORK, 2e11) == pytest.approx(1.5 * once)
    # 4 operations for each of 106 million weights and 10,000 tokens, and the head on 4,000 of them.
    assert operations_of(shape, "lora", replace(WORK, epochs=1)) == pytest.approx(4.7e12, rel=0.01)


def test_the_machine_is_measured() -> None:
    assert 1e8 < speed_of("cpu", "float32") < 1e14
    assert 2**20 < free_memory("cpu") < 2**50


def test_a_container_has_what_its_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr("toolkit.models.estimates._CGROUP", tmp_path)
    assert free_memory("cpu") == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory("cpu") > 2_000_000


def test_what_has_no_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_config(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match="'vit' is no language model"):
        shape_of(read_config(str(tmp_path)))
