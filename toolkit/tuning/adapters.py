"""PEFT adapters: settings by name, save and load as plain PEFT folders, bound to the base they were trained on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError
from toolkit.offline import load_bitsandbytes
from toolkit.tuning.bottleneck import PEFT_TYPE, register_bottleneck

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The types of PEFT's that are known to add nothing to the forward pass but what is in the layers.
_IN_LAYERS = ("LORA", "VERA", "IA3", "OFT", "MISS", "BEFT", PEFT_TYPE)


def lora_config(settings: Any, **variant: Any) -> Any:
    """Return PEFT's LoRA settings (Hu et al. 2021) for the names in ``bot.yaml``.

    Args:
        settings: The ``voice`` section of a method of the LoRA family.
        variant: What else makes it another method, such as ``use_dora``.
    """
    load_bitsandbytes()
    from peft import LoraConfig, TaskType

    return LoraConfig(
        **variant,
        task_type=TaskType.CAUSAL_LM,
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.target_modules,
        bias="none",
    )


def attach_adapter(model: PreTrainedModel, folder: Path, *, trainable: bool = False) -> Any:
    """Put a saved adapter on a base model.

    Args:
        model: The base.
        folder: The adapter.
        trainable: Whether it is to be trained on.

    Returns:
        The ``peft.PeftModel``; ``disable_adapter()`` on it gives the base back.

    Raises:
        DataError: The folder is not a PEFT adapter.
    """
    register_bottleneck()
    from peft import PeftModel

    if not (folder / "adapter_config.json").is_file():
        raise DataError(f"{folder} holds no adapter (adapter_config.json is missing).")
    peft_model = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    keep_number_format(peft_model)
    peft_model.eval()
    return peft_model


def is_in_layers(model: Any) -> bool:
    """Tell whether all that PEFT adds to a model is in its layers.

    Other methods put virtual tokens before a prompt, and activated LoRA looks where a prompt begins: both in the
    forward pass of ``PeftModel``.
    """
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        return False
    return all(
        str(getattr(settings.peft_type, "value", settings.peft_type)) in _IN_LAYERS
        and not getattr(settings, "alora_invocation_tokens", None)
        for settings in model.peft_config.values()
    )


def takes_padding(model: Any) -> bool:
    """Tell whether a model with an adapter takes prompts of several lengths at once.

    PEFT puts virtual tokens that are embeddings before the padding of a shorter prompt, far from where they were
    trained, and counts the positions of the padding. A base without an adapter takes them.
    """
    put_on = getattr(model, "peft_config", {})
    return all(settings.peft_type not in ("PROMPT_TUNING", "P_TUNING") for settings in put_on.values())


def keep_number_format(model: Any) -> None:
    """Let IA3 over 4-bit weights give out numbers in the format that it was given.

    PEFT's layer computes in float32 and stays there: keys and values no longer go with queries in 16 bits.
    """
    from peft.tuners.ia3 import IA3Layer

    def back(layer: Any, given: Any, result: Any) -> Any:
        return result.to(given[0].dtype)

    layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, IA3Layer)]
    for layer in layers:
        layer.register_forward_hook(back)


@contextmanager
def lent_for_tuning(model: PreTrainedModel) -> Iterator[None]:
    """Lend a base model out to a tune and take it back as it was: the same weights, the same layers.

    A tune trains new layers around those of the base and writes settings of its own into the model; the weights of
    the base stay what they were.
    """
    settings, generation = dict(vars(model.config)), copy.deepcopy(model.generation_config)
    try:
        yield
    finally:
        _take_adapters_off(model)
        if model.is_gradient_checkpointing:
            model.gradient_checkpointing_disable()
            model.disable_input_require_grads()
        vars(model.config).update(settings)  # in place: the layers hold the very same object
        model.generation_config = generation
        model.eval()


def _take_adapters_off(model: PreTrainedModel) -> None:
    """Put each layer of the base back into the place that PEFT gave to a layer around it."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in list(model.named_modules()):
        above, _, last = name.rpartition(".")
        if isinstance(module, BaseTunerLayer):
            setattr(model.get_submodule(above), last, module.get_base_layer())
        elif isinstance(module, AuxiliaryTrainingWrapper):
            setattr(model.get_submodule(above), last, module.original_module)
    vars(model).pop("peft_config", None)
    vars(model).pop("prepare_inputs_for_generation", None)  # PEFT's, for virtual tokens
