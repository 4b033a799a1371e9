"""GGUF files are what they say: read back by transformers, and answered from by llama.cpp, as the model answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ModelError
from toolkit.exporting import (
    LowRank,
    Quantization,
    check_apart,
    check_merges,
    family_of,
    judge,
    low_rank,
    round_weights,
    split_name,
    write_adapter,
    write_model,
)
from toolkit.exporting.families import Places
from toolkit.exporting.vocabulary import _LLAMA3, _QWEN2, adds_bos
from toolkit.models import load_tokenizer
from toolkit.prompts import render_prompt, stop_token_ids

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
ASKED = ("How long does the Ember lamp burn?", "  38 euros,\n\tor 9?", "Grüße! 🏮")
FAMILIES = ("llama", "qwen2", "qwen3")


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer("tiny", str(tiny_base))


def model_of(family: str, tokenizer: Any, **changes: Any) -> Any:
    """Make a small random model of a family, its biases and scales random as well."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    special = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    # Rows of the embedding beyond the tokenizer's, as the models of the hub have them.
    size = {"vocab_size": len(tokenizer) + 5}
    if family == "qwen3":
        changes = {"head_dim": 128} | changes  # whatever the width: transformers reads no other back
    config = AutoConfig.for_model(family, **(SHAPE | special | size | changes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.data = torch.rand_like(weight) + 0.5
    return model


def prompts_of(tokenizer: Any) -> tuple[list[str], list[list[int]]]:
    texts = [render_prompt(tokenizer, [{"role": "user", "content": text}]) for text in ASKED]
    return texts, [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def read_back(file: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )


def asked_of_llama_cpp(file: Path, adapter: Path | None, tokenizer: Any) -> list[list[int]]:
    """Return the tokens that llama.cpp answers with."""
    pytest.importorskip("xllamacpp")
    from toolkit.exporting.llama_cpp import llama_cpp_tokens

    return llama_cpp_tokens(file, adapter, *prompts_of(tokenizer), tokenizer.eos_token_id)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_read_back_as_it_was_and_llama_cpp_answers_as_it_does(
    family: str, tokenizer: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoTokenizer

    model, file = model_of(family, tokenizer), tmp_path / "model.gguf"
    write_model(file, model, tokenizer, "f16", name="tiny")
    again = read_back(file)
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, again.state_dict()[name], atol=1e-3), name
    texts, tokens = prompts_of(tokenizer)
    reread = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    assert [reread(text, add_special_tokens=False)["input_ids"] for text in texts] == tokens
    assert reread.chat_template == tokenizer.chat_template
    assert reread.eos_token_id == tokenizer.eos_token_id
    agreement = judge(model, tokens, asked_of_llama_cpp(file, None, tokenizer), engine="llama.cpp")
    assert agreement.share == 1, agreement
    assert agreement.tokens >= 32


def test_biases_lie_as_the_rows_of_their_matrices_do(tokenizer: Any, tmp_path: Path) -> None:
    # Of a Llama: transformers reads none of them back.
    model, file = model_of("llama", tokenizer, attention_bias=True), tmp_path / "model.gguf"
    write_model(file, model, tokenizer, "f16", name="tiny")
    _, tokens = prompts_of(tokenizer)
    assert judge(model, tokens, asked_of_llama_cpp(file, None, tokenizer), engine="llama.cpp").share == 1


def test_stretched_positions_go_along(tokenizer: Any, tmp_path: Path) -> None:
    # As those of Llama 3.1, only that half of the longest prompt lies beyond what is stretched.
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    plain, model = (model_of("llama", tokenizer, **more) for more in ({}, {"rope_parameters": rope}))
    file = tmp_path / "model.gguf"
    write_model(file, model, tokenizer, "f16", name="tiny")
    _, tokens = prompts_of(tokenizer)
    replies = asked_of_llama_cpp(file, None, tokenizer)
    assert judge(model, tokens, replies, engine="llama.cpp").share == 1
    assert judge(plain, tokens, replies, engine="llama.cpp").share < 1


@pytest.mark.parametrize("quantization", ["q8_0", "q4_0"])
def test_fewer_bits_are_those_that_the_model_is_rounded_to(
    quantization: Quantization, tokenizer: Any, tmp_path: Path
) -> None:
    import gguf
    import torch

    model, file = model_of("llama", tokenizer), tmp_path / "model.gguf"
    write_model(file, model, tokenizer, quantization, name="tiny")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert kinds["blk.0.ffn_up.weight"] == quantization.upper()
    assert kinds["token_embd.weight"] == "Q8_0"  # in 4 bits as well
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    round_weights(model, quantization)
    again = read_back(file).state_dict()
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, again[name], atol=1e-6), name
    moved = model.state_dict()["model.layers.0.mlp.up_proj.weight"] - before["model.layers.0.mlp.up_proj.weight"]
    assert 0 < float(moved.abs().max()) < 0.2


def test_a_matrix_whose_rows_are_no_whole_blocks_stays_in_16_bits(tokenizer: Any, tmp_path: Path) -> None:
    import gguf

    model, file = model_of("qwen2", tokenizer, intermediate_size=72), tmp_path / "model.gguf"
    write_model(file, model, tokenizer, "q8_0", name="tiny")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert (kinds["blk.0.ffn_down.weight"], kinds["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
    assert read_back(file) is not None


def adapted(model: Any, **settings: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = LoraConfig(
            **({"r": 4, "lora_alpha": 8} | settings), task_type="CAUSAL_LM", target_modules="all-linear",
            init_lora_weights=False,
        )  # fmt: skip
        return get_peft_model(model, config).eval()


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"up_proj": 3}}],
    ids=["lora", "rslora", "ranks"],
)
def test_an_adapter_apart_speaks_as_it_does_in_this_process(
    settings: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    model, file, adapter = model_of("llama", tokenizer), tmp_path / "model.gguf", tmp_path / "voice.gguf"
    write_model(file, model, tokenizer, "f16", name="tiny")
    speaking = adapted(model, **settings)
    write_adapter(adapter, model.config, low_rank(speaking, "lora"), name="voice")
    _, tokens = prompts_of(tokenizer)
    replies = asked_of_llama_cpp(file, adapter, tokenizer)
    assert judge(speaking, tokens, replies, engine="llama.cpp").share == 1
    with speaking.disable_adapter():
        assert judge(speaking, tokens, replies, engine="llama.cpp").share == 0


@pytest.mark.parametrize("method", ["miss", "vera"])
def test_an_adapter_that_peft_makes_a_lora_of_goes_along_as_one(method: str, tokenizer: Any) -> None:
    import peft
    import torch

    kinds: dict[str, Any] = {
        "miss": peft.MissConfig(r=4, target_modules=["q_proj", "up_proj"], init_weights=False),
        "vera": peft.VeraConfig(r=8, target_modules=["q_proj", "up_proj"], init_weights=False),
    }
    base = model_of("llama", tokenizer)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    model = peft.get_peft_model(base, kinds[method])
    found = low_rank(model, method)
    assert isinstance(found, LowRank)
    assert len(found.pairs) == 4
    after = model.merge_and_unload().state_dict()
    for place, (down, up) in found.pairs.items():
        delta = after[f"{place}.weight"] - before[f"{place}.weight"]
        made = torch.from_numpy(found.alpha / len(down) * up @ down)
        assert float((made - delta).norm() / delta.norm()) < 0.01
        assert float(delta.norm()) > 0


def test_what_cannot_be_merged_or_go_apart_is_refused_with_its_reason() -> None:
    check_merges("dora")
    check_apart("miss")
    for method, why in (("prompt", "virtual tokens"), ("alora", "where a reply begins"), ("bitfit", "no place")):
        with pytest.raises(ModelError, match=why):
            check_merges(method)
    with pytest.raises(ModelError, match="no LoRA") as refused:
        check_apart("dora")
    assert "--adapter merged" in refused.value.hint
    with pytest.raises(ModelError, match="after it was converted"):
        check_apart("miss", converted=False)


def test_other_families_and_positions_are_refused_with_a_remedy(tokenizer: Any) -> None:
    from transformers import AutoConfig

    for config in (
        AutoConfig.for_model("gpt2"),
        AutoConfig.for_model("llama", rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
        AutoConfig.for_model("qwen2", rope_parameters={"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}),
        AutoConfig.for_model("qwen2", use_sliding_window=True),
    ):
        with pytest.raises(ModelError) as refused:
            family_of(config)
        assert "--to merged" in refused.value.hint
    with pytest.raises(ModelError, match="no place"):
        Places(AutoConfig.for_model("llama", **SHAPE)).name("model.layers.0.mlp.nothing.weight")


def split_by(tokenizer: Any, tmp_path: Path, pre_tokenizer: Any) -> Any:
    """Return the tiny tokenizer with another way to split."""
    place = tmp_path / "other"
    shutil.rmtree(place, ignore_errors=True)
    tokenizer.save_pretrained(place)
    other = load_tokenizer("other", str(place))
    backend: Any = other
    backend.backend_tokenizer.pre_tokenizer = pre_tokenizer
    return other


def test_how_text_is_split_is_read_off_the_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

    def after(pattern: str) -> Any:
        return Sequence([Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])

    plain = ByteLevel(add_prefix_space=False)
    for name, splits in (
        ("gpt-2", plain),
        ("smollm", Sequence([Digits(individual_digits=True), plain])),
        ("qwen2", after(_QWEN2)),
        ("llama-bpe", after(_LLAMA3)),
    ):
        assert split_name(split_by(tokenizer, tmp_path, splits)) == name
    for splits in (ByteLevel(add_prefix_space=True), Digits(individual_digits=False), after(r"\s+")):
        with pytest.raises(ModelError, match="tokenizer"):
            split_name(split_by(tokenizer, tmp_path, splits))


def test_llama_cpp_splits_as_the_names_say(tokenizer: Any, tmp_path: Path) -> None:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

    model, file = model_of("llama", tokenizer), tmp_path / "model.gguf"
    for splits in (
        Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]),
        Sequence([Split(Regex(_QWEN2), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]),
    ):
        other = split_by(tokenizer, tmp_path, splits)
        write_model(file, model, other, "f16", name="tiny")
        # Raises where a prompt is cut into other tokens.
        assert asked_of_llama_cpp(file, None, other)


def test_the_tokens_that_begin_and_end_a_text_are_told(tokenizer: Any, tmp_path: Path) -> None:
    import gguf
    from tokenizers.processors import TemplateProcessing

    model, file = model_of("llama", tokenizer), tmp_path / "model.gguf"
    other = split_by(tokenizer, tmp_path, tokenizer.backend_tokenizer.pre_tokenizer)
    other.bos_token = "<|im_start|>"
    other.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", other.bos_token_id)]
    )
    write_model(file, model, other, "f16", name="tiny")
    head = {key: field.contents() for key, field in gguf.GGUFReader(file).fields.items()}
    assert adds_bos(other)
    assert not adds_bos(tokenizer)
    assert head["tokenizer.ggml.add_bos_token"] is True
    assert head["tokenizer.ggml.bos_token_id"] == other.bos_token_id
    assert [head["tokenizer.ggml.eos_token_id"]] == stop_token_ids(tokenizer)
    assert head["tokenizer.ggml.tokens"][-5:] == [f"[PAD{len(tokenizer) + number}]" for number in range(5)]
