"""Every way to tune: one row each, with how PEFT's settings of it are made and what it can."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from toolkit.config import VoiceSettings
from toolkit.errors import ConfigError, MissingExtra
from toolkit.tuning.adapters import lora_config
from toolkit.tuning.bottleneck import register_bottleneck

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from toolkit.models import LoadedModel


@dataclass(frozen=True)
class Method:
    """A way to tune.

    Attributes:
        trains: What it trains, in a few words.
        paper: Where it comes from.
        config: Makes PEFT's settings from those of the voice, and from the base where they depend on it.
        lora: Whether what it saves ``is`` a plain LoRA, or ``converts`` into one with PEFT's ``convert_to_lora``.
        merges: Whether PEFT can merge it into weights that are not quantised.
        virtual_tokens: Whether it puts virtual tokens before a prompt.
        asks_the_prompt: Whether it looks into the prompt for where it begins.
        needs_gpu: Whether it runs on an NVIDIA GPU alone.
        in_float32: Whether it trains weights of the base, or takes them apart: 16 bits do not tell apart what a step
            changes of them, nor hold what is left over.
    """

    trains: str
    paper: str
    config: Callable[[Any, LoadedModel], Any]
    lora: Literal["is", "converts", ""] = ""
    merges: bool = False
    virtual_tokens: bool = False
    asks_the_prompt: bool = False
    needs_gpu: bool = False
    in_float32: bool = False

    @property
    def in_layers(self) -> bool:
        """Whether all of it is in the layers of the base, and none in the forward pass around them."""
        return not (self.virtual_tokens or self.asks_the_prompt)


def peft_config(settings: VoiceSettings, loaded: LoadedModel) -> Any:
    """Return PEFT's settings for the ``voice`` section of ``bot.yaml``.

    Args:
        settings: The section.
        loaded: The base that is tuned.

    Raises:
        ConfigError: The base is none that the method works on.
    """
    return METHODS[settings.method].config(settings, loaded)


def check_method(settings: VoiceSettings, device: str) -> None:
    """Look, before a model is loaded, whether a tune can be done on this machine.

    Args:
        settings: The ``voice`` section of ``bot.yaml``.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: The method does not run on this device.
        MissingExtra: A library that it needs is not installed.
    """
    if METHODS[settings.method].needs_gpu and device != "cuda":
        raise ConfigError(
            f"The method {settings.method} needs an NVIDIA GPU, and the tune would run on {device}.",
            "Set voice.method to qlora, or tune on a machine that has one.",
        )
    if settings.method == "qat" and importlib.util.find_spec("torchao") is None:
        raise MissingExtra("The method qat needs torchao.", "pip install 'housevoice[qat]'")


def _plain_lora(settings: Any, loaded: LoadedModel) -> Any:
    return lora_config(settings)


def _dora(settings: Any, loaded: LoadedModel) -> Any:
    return lora_config(settings, use_dora=True)


def _rslora(settings: Any, loaded: LoadedModel) -> Any:
    return lora_config(settings, use_rslora=True)


def _pissa(settings: Any, loaded: LoadedModel) -> Any:
    # A few rounds of subspace iteration find the largest singular values; all of them would take minutes on a large
    # base, and are thrown away.
    return lora_config(settings, init_lora_weights="pissa_niter_16")


def _alora(settings: Any, loaded: LoadedModel) -> Any:
    return lora_config(settings, alora_invocation_tokens=invocation_tokens(loaded.tokenizer))


def invocation_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that a template opens a reply with: from them on an activated LoRA is active.

    Raises:
        ConfigError: The template opens a reply with nothing.
    """
    from toolkit.prompts import render_prompt, template_of

    asked = [{"role": "user", "content": "a"}]
    prompt = render_prompt(tokenizer, asked)
    before = str(tokenizer.apply_chat_template(asked, chat_template=template_of(tokenizer), tokenize=False))
    tokens = tokenizer(prompt[len(before) :], add_special_tokens=False)["input_ids"]
    whole = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if not tokens or not prompt.startswith(before) or whole[-len(tokens) :] != tokens:
        raise ConfigError(
            "The method alora begins where a reply is opened, and the chat template of this base opens none.",
            "Set voice.method to lora.",
        )
    return list(tokens)


def _own(settings: VoiceSettings) -> dict[str, Any]:
    """Return the keys that a method has beside those of every tune, which bear PEFT's names."""
    own = set(type(settings).model_fields) - set(VoiceSettings.model_fields)
    return {"task_type": "CAUSAL_LM"} | {key: getattr(settings, key) for key in own}


def _named(kind: str) -> Callable[[Any, LoadedModel], Any]:
    """Return what makes PEFT's settings of a class of its from the keys of the method alone."""

    def make(settings: Any, loaded: LoadedModel) -> Any:
        import peft

        return getattr(peft, kind)(**_own(settings))

    return make


def _vera(settings: Any, loaded: LoadedModel) -> Any:
    from peft import VeraConfig

    return VeraConfig(**_own(settings), projection_prng_key=settings.seed)


def _prompt(settings: Any, loaded: LoadedModel) -> Any:
    from peft import PromptTuningConfig

    reads = settings.prompt_tuning_init == "TEXT"
    return PromptTuningConfig(**_own(settings), tokenizer_name_or_path=loaded.path if reads else None)


def _bottleneck(settings: Any, loaded: LoadedModel) -> Any:
    return register_bottleneck().Config(**_own(settings))


def _full(settings: Any, loaded: LoadedModel) -> Any:
    return _replacing(_leaves(loaded.model, lambda module: True), tied=_is_tied(loaded.model))


def _qat(settings: Any, loaded: LoadedModel) -> Any:
    from torch import nn

    model: Any = loaded.model
    head = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not head]
    if any(module.in_features % settings.group_size for module in linear):
        raise ConfigError(
            f"voice.group_size is {settings.group_size}, which does not divide the width of every layer of the base.",
            f"Its widths are {', '.join(str(width) for width in sorted({module.in_features for module in linear}))}.",
        )
    return _replacing(_leaves(model, linear.__contains__), tied=False)


def _replacing(names: list[str], *, tied: bool) -> Any:
    """Return settings with which PEFT trains whole modules beside those of the base.

    A LoRA that is put into no layer, with ``modules_to_save``: the base stays what it is, PEFT opens the folder, and
    switches between the two sets of weights per call.
    """
    from peft import LoraConfig
    from peft.utils.constants import DUMMY_TARGET_MODULES

    return LoraConfig(
        task_type="CAUSAL_LM",
        target_modules=DUMMY_TARGET_MODULES,
        modules_to_save=names,
        ensure_weight_tying=tied,
    )


def _is_tied(model: Any) -> bool:
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def _leaves(model: Any, wanted: Callable[[Any], bool]) -> list[str]:
    """Return the names of the modules that own weights, as short as PEFT takes them."""
    tied_head = model.get_output_embeddings() if _is_tied(model) else None
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if next(module.parameters(recurse=False), None) is not None and module is not tied_head and wanted(module)
        }
    )


METHODS = {
    "qlora": Method("low-rank updates over weights in 4 bits", "Dettmers et al. 2023", _plain_lora, "is", merges=True),
    "lora": Method("low-rank updates", "Hu et al. 2021", _plain_lora, "is", merges=True),
    "dora": Method("low-rank directions, and their lengths", "Liu et al. 2024", _dora, merges=True),
    "rslora": Method(
        "low-rank updates at a scale that suits high ranks", "Kalajdzievski 2023", _rslora, "is", merges=True
    ),
    "pissa": Method(
        "the largest singular values", "Meng et al. 2024", _pissa, "is", merges=True, in_float32=True
    ),
    "loftq": Method(
        "low-rank updates that begin with what 4 bits have lost", "Li et al. 2023", _plain_lora, "is", merges=True,
        needs_gpu=True,
    ),
    "alora": Method(
        "low-rank updates from where the reply opens", "Greenewald et al. 2025", _alora, asks_the_prompt=True
    ),
    "vera": Method("scales of shared random matrices", "Kopiczko et al. 2023", _vera, "converts", merges=True),
    "ia3": Method("scales of keys, values and the MLP", "Liu et al. 2022", _named("IA3Config"), merges=True),
    "oft": Method("rotations of inputs", "Qiu et al. 2023", _named("OFTConfig"), merges=True),
    "miss": Method(
        "rows shared by shards of a matrix", "Kang and Yin 2024", _named("MissConfig"), "converts", merges=True
    ),
    "prefix": Method(
        "keys and values before the prompt", "Li and Liang 2021", _named("PrefixTuningConfig"), virtual_tokens=True
    ),
    "prompt": Method("embeddings before the prompt", "Lester et al. 2021", _prompt, virtual_tokens=True),
    "p_tuning": Method(
        "embeddings made by a network", "Liu et al. 2021", _named("PromptEncoderConfig"), virtual_tokens=True
    ),
    "bitfit": Method("biases, also where there were none", "Ben Zaken et al. 2021", _named("BeftConfig")),
    "adapter": Method("small networks after attention and MLP", "Houlsby et al. 2019", _bottleneck),
    "full": Method("all weights", "", _full, merges=True, in_float32=True),
    "qat": Method(
        "the linear layers, rounded to 4 bits meanwhile", "Jacob et al. 2017", _qat, merges=True, in_float32=True
    ),
}  # fmt: skip
