"""Every way to tune: trains what it says, is saved, opened and switched per call, and gives the base back."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.tuning.test_training import ROWS
from toolkit.config import VOICES, WITHOUT_FOUR_BITS, VoiceSettings
from toolkit.engines import Decoding, TextEngine
from toolkit.errors import ConfigError, MissingExtra
from toolkit.models import LoadedModel, load_base
from toolkit.prompts import render_prompt, stop_token_ids
from toolkit.tuning import METHODS, attach_adapter, check_method, lent_for_tuning, train_adapter
from toolkit.tuning.methods import invocation_tokens, peft_config
from toolkit.tuning.stages import after_training, base_to_tune, before_training
from toolkit.tuning.training import encode_rows, keep_training_kernels, new_trainer

FORMATS = {"float32": ("float32", "none"), "bfloat16": ("bfloat16", "none"), "nf4": ("bfloat16", "nf4")}
RUNS_HERE = [name for name in METHODS if not METHODS[name].needs_gpu]
needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
ASKED = [
    [{"role": "user", "content": text}]
    for text in ("How long does the lamp burn?", "Hello, when are you open?", "Why?")
]


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> Iterator[None]:
    """A trainer collects garbage when it ends, and walks over all that torch is made of: more than half of its time."""
    import peft  # noqa: F401
    import trl  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def every(formats: tuple[str, ...] = tuple(FORMATS)) -> Any:
    """Parametrize over every method in every format that it is trained in."""
    cases = [
        pytest.param(method, format_, marks=[needs_torchao] if method == "qat" else [], id=f"{method}-{format_}")
        for method in RUNS_HERE
        for format_ in formats
        if format_ != "nf4" or method not in WITHOUT_FOUR_BITS
    ]
    return pytest.mark.parametrize(("method", "format_"), cases)


def settings_of(method: str, format_: str = "float32", **changes: Any) -> VoiceSettings:
    """Return settings of a method that suit the tiny base."""
    small = {"r": 4, "oft_block_size": 8, "num_virtual_tokens": 4, "encoder_hidden_size": 16, "lora_alpha": 8}
    settings: dict[str, Any] = {
        "method": method,
        "quantization": FORMATS[format_][1],
        "num_train_epochs": 1,
        **{key: value for key, value in small.items() if key in VOICES[method].model_fields},
    }
    return VoiceSettings(**(settings | changes))


def load(folder: Path, format_: str = "float32") -> LoadedModel:
    dtype, quantization = FORMATS[format_]
    if quantization == "nf4":
        pytest.importorskip("bitsandbytes")
    loaded = load_base(str(folder), device="cpu", dtype=dtype, quantization=quantization)
    keep_training_kernels(loaded.model)  # the other one wants layers that are wider than these
    return loaded


def logits(model: Any, loaded: LoadedModel) -> Any:
    """Return the logits of the tokens of a row, of shape (1, tokens, vocabulary), without virtual ones."""
    import torch

    ids = torch.tensor([encode_rows(ROWS[:1], loaded, 640)[0][0]["input_ids"]])
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits[:, -ids.shape[1] :]


@pytest.fixture(scope="module")
def tuned(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return what tunes the tiny base by a method, once, and gives the adapter folder."""
    made: dict[tuple[str, str], Path] = {}

    def tune(method: str, format_: str = "float32") -> Path:
        if (method, format_) not in made:
            place, loaded = tmp_path_factory.mktemp(method), load(tiny_base, format_)
            settings = settings_of(method, format_, learning_rate=0.02)
            before = logits(loaded.model, loaded)
            layers = {name: type(module) for name, module in loaded.model.named_modules()}
            with lent_for_tuning(loaded.model):
                train_adapter(ROWS, loaded, settings, place / "adapter", work=place / "work")
            assert {name: type(module) for name, module in loaded.model.named_modules()} == layers
            assert before.equal(logits(loaded.model, loaded))
            made[method, format_] = place / "adapter"
        return made[method, format_]

    return tune


@every()
def test_a_method_trains_the_same_before_and_after_an_evaluation(
    method: str, format_: str, tiny_base: Path, tmp_path: Path
) -> None:
    lent = load(tiny_base, format_)
    settings = settings_of(method, format_)
    loaded = base_to_tune(lent, settings)
    encoded, _ = encode_rows(ROWS[:4], loaded, 640)
    trainer: Any = new_trainer(encoded, loaded, settings, tmp_path, method=peft_config(settings, loaded))
    before_training(trainer.model, loaded, settings, tmp_path)
    trainer.current_gradient_accumulation_steps = 1  # set where a run begins
    batch = next(iter(trainer.get_train_dataloader()))

    def gradients() -> dict[str, Any]:
        trainer.model.train()
        trainer.model.zero_grad()
        trainer.compute_loss(trainer.model, dict(batch)).backward()
        weights = [(name, weight) for name, weight in trainer.model.named_parameters() if weight.grad is not None]
        return {name: weight.grad.clone() for name, weight in weights if weight.grad.count_nonzero()}

    first = gradients()
    logits(trainer.model, loaded)
    second = gradients()
    trained = [name for name, weight in trainer.model.named_parameters() if weight.requires_grad]
    # Of a pair where one begins at zero, the other has no gradient in the first step.
    assert len(first) >= len(trained) / 2
    assert set(first) == set(second)
    for name, gradient in first.items():
        close = (gradient.flatten().double() @ second[name].flatten().double()) / gradient.double().norm()
        assert float(close / second[name].double().norm()) > 0.999, name
    assert trainer.quick is METHODS[method].in_layers


@every()
def test_a_voice_is_switched_per_call_and_the_base_comes_back(
    method: str, format_: str, tiny_base: Path, tuned: Callable[[str, str], Path]
) -> None:
    adapter, loaded = tuned(method, format_), load(tiny_base, format_)
    base = logits(loaded.model, loaded)
    model = attach_adapter(loaded.model, adapter)
    on = logits(model, loaded)
    with model.disable_adapter():
        off = logits(model, loaded)
    assert off.equal(base)
    assert float((on - off).abs().max()) > 1e-2
    assert logits(model, loaded).equal(on)
    assert (adapter / "adapter_model.safetensors").is_file()


@every(("float32",))
def test_replies_are_the_same_alone_in_a_batch_and_streamed(
    method: str, format_: str, tiny_base: Path, tuned: Callable[[str], Path]
) -> None:

    engine = TextEngine(load(tiny_base), tuned(method))
    decoding = Decoding(max_new_tokens=8)
    replies = engine.generate(ASKED, adapter=True, decoding=decoding)
    without = engine.generate(ASKED, adapter=False, decoding=decoding)
    assert without == TextEngine(load(tiny_base)).generate(ASKED, adapter=False, decoding=decoding)
    assert [engine.generate([asked], adapter=True, decoding=decoding)[0] for asked in ASKED] == replies
    assert [engine.generate([asked], adapter=False, decoding=decoding)[0] for asked in ASKED] == without
    assert "".join(engine.stream(ASKED[0], adapter=True, decoding=decoding)).strip() == replies[0]
    assert written_slowly(engine, ASKED[0], 8) == replies[0]


def written_slowly(engine: TextEngine, messages: Any, tokens: int) -> str:
    """Write a reply without a cache and without a guess."""
    import torch

    ids = engine.tokenizer(render_prompt(engine.tokenizer, messages), return_tensors="pt")["input_ids"]
    prompt = ids.shape[1]
    for _ in range(tokens):
        with torch.no_grad():
            scores = engine._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        ids = torch.cat([ids, scores[:, -1:].argmax(-1)], dim=1)
        if int(ids[0, -1]) in stop_token_ids(engine.tokenizer):
            break
    return str(engine.tokenizer.decode(ids[0, prompt:], skip_special_tokens=True)).strip()


@every(("float32",))
def test_what_the_table_says_of_merging_and_of_lora_is_so(
    method: str, format_: str, tiny_base: Path, tuned: Callable[[str], Path]
) -> None:
    import torch
    from peft import LoraConfig

    loaded = load(tiny_base)
    model = attach_adapter(loaded.model, tuned(method))
    on, says = logits(model, loaded), METHODS[method]
    plain = isinstance(model.active_peft_config, LoraConfig) and method not in ("dora", "alora", "full", "qat")
    assert (says.lora == "is") is plain
    if says.lora == "converts":
        from peft import convert_to_lora, get_peft_model
        from peft.utils import set_peft_model_state_dict

        config, weights = convert_to_lora(model, rank=8)
        other = load(tiny_base)
        lora = get_peft_model(other.model, config)
        set_peft_model_state_dict(lora, weights)
        assert torch.allclose(logits(lora, other), on, atol=1e-3)
    if says.merges:
        assert torch.allclose(logits(model.merge_and_unload(), loaded), on, atol=1e-3)
    else:
        with pytest.raises((ValueError, NotImplementedError, AttributeError)):
            model.merge_and_unload()


@pytest.mark.parametrize("method", ["pissa", "prompt", "ia3", "adapter", "full"])
def test_a_stopped_run_goes_on(method: str, tiny_base: Path, tmp_path: Path, tuned: Callable[[str], Path]) -> None:
    import torch
    from safetensors.torch import load_file

    class Pulled(Exception):
        """The plug was pulled."""

    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise Pulled

    steps: list[int] = []
    settings = settings_of(method, learning_rate=0.02)
    tune = partial(train_adapter, ROWS, output=tmp_path / "adapter", settings=settings, work=tmp_path / "work")
    with pytest.raises(Pulled):
        tune(loaded=load(tiny_base), on_progress=stop)
    tune(loaded=load(tiny_base), on_progress=lambda what, done, total: steps.append(done))
    assert steps[0] > 1
    resumed = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    whole = load_file(tuned(method) / "adapter_model.safetensors")
    assert set(resumed) == set(whole)
    for name, weight in whole.items():
        assert torch.allclose(resumed[name], weight, atol=1e-4), name


def test_loftq_begins_nearer_to_the_base_than_its_4_bits_are(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import get_peft_model
    from peft.utils import loftq_utils

    def decompose(quantized: Any, weight: Any, num_bits: int, reduced_rank: int) -> Any:
        """Do what PEFT does on a GPU alone."""
        from bitsandbytes.functional import dequantize_4bit

        lost = weight.float() - dequantize_4bit(quantized.data, quantized.quant_state).float()
        found = loftq_utils._low_rank_decomposition(lost, reduced_rank)
        return found["R"], found["L"]

    loaded, settings = load(tiny_base, "nf4"), VoiceSettings(method="loftq", r=16)
    monkeypatch.setattr(loftq_utils, "_loftq_init_new", decompose)
    wanted = logits(load(tiny_base, "bfloat16").model, loaded).float()
    lost = (logits(loaded.model, loaded).float() - wanted).norm()
    model = get_peft_model(loaded.model, peft_config(settings, loaded))
    before_training(model, loaded, settings, tmp_path)
    assert float((logits(model, loaded).float() - wanted).norm()) < 0.5 * float(lost)


def test_loftq_is_tuned_and_switched(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no NVIDIA GPU")
    settings = VoiceSettings(method="loftq", r=4, num_train_epochs=4, learning_rate=0.02)
    loaded = load_base(str(tiny_base), device="cuda", quantization="nf4")
    report = train_adapter(ROWS, loaded, settings, tmp_path / "adapter", work=tmp_path / "work")
    assert report.losses[-1][1] < report.losses[0][1]
    engine = TextEngine(load_base(str(tiny_base), device="cuda", quantization="nf4"), tmp_path / "adapter")
    on, off, again = (engine.generate(ASKED, adapter=adapter) for adapter in (True, False, True))
    assert on == again != off


def test_full_tuning_keeps_tied_embeddings_tied(tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(tiny_base)
    config.tie_word_embeddings = True
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(tmp_path / "base")
    loaded = load(tmp_path / "base")
    settings = settings_of("full", learning_rate=0.01)
    with lent_for_tuning(loaded.model):
        train_adapter(ROWS, loaded, settings, tmp_path / "adapter", work=tmp_path / "work")
    model: Any = attach_adapter(loaded.model, tmp_path / "adapter")
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    assert head.weight is embeddings.weight
    assert not head.weight.equal(head.original_module.weight)
    assert head.original_module.weight is embeddings.original_module.weight


@needs_torchao
def test_what_was_rounded_in_training_is_what_is_served(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    loaded, settings = load(tiny_base), settings_of("qat")
    encoded, _ = encode_rows(ROWS[:4], loaded, 640)
    trainer: Any = new_trainer(encoded, loaded, settings, tmp_path, method=peft_config(settings, loaded))
    before = logits(trainer.model, loaded)
    before_training(trainer.model, loaded, settings, tmp_path)
    rounded = logits(trainer.model, loaded)
    assert float((rounded - before).abs().max()) > 0.1
    saved = after_training(trainer.model, loaded, settings, tmp_path)["state_dict"]
    assert torch.allclose(logits(trainer.model, loaded), rounded, atol=1e-4)
    weights = [weight for name, weight in saved.items() if "modules_to_save" in name]
    assert len(weights) == 2 * 7
    for weight in weights:
        assert max(len(group.unique()) for group in weight.reshape(-1, 32)) <= 16


def test_activated_lora_begins_where_a_reply_opens(tiny_base: Path) -> None:
    tokenizer = load(tiny_base).tokenizer
    tokens = invocation_tokens(tokenizer)
    assert tokenizer.decode(tokens) == "<|im_start|>assistant\n"
    encoded, _ = encode_rows(ROWS, load(tiny_base), 640)
    for row in encoded:
        start = sum(label == -100 for label in row["labels"])
        assert row["input_ids"][start - len(tokens) : start] == tokens
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    with pytest.raises(ConfigError, match="opens none"):
        invocation_tokens(tokenizer)


def test_what_does_not_go_with_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cpu", "mps"):
        with pytest.raises(ConfigError, match="loftq needs an NVIDIA GPU.* run on " + device) as caught:
            check_method(VoiceSettings(method="loftq"), device)
        assert "qlora" in caught.value.hint
    check_method(VoiceSettings(method="loftq"), "cuda")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="torchao") as missing:
        check_method(VoiceSettings(method="qat"), "cpu")
    assert "housevoice[qat]" in missing.value.hint
    for method in set(RUNS_HERE) - {"qat"}:
        check_method(VoiceSettings(method=method), "cpu")


def test_groups_that_do_not_fit_the_base_are_refused(tiny_base: Path) -> None:
    with pytest.raises(ConfigError, match="group_size is 48") as caught:
        peft_config(settings_of("qat", group_size=48), load(tiny_base))
    assert "32, 64" in caught.value.hint


def test_the_table_and_the_settings_name_the_same_methods() -> None:
    assert list(METHODS) == list(VOICES)
