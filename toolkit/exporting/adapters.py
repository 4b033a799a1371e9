"""The adapter of a bot, merged into its base or taken out of it as a LoRA."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ModelError
from toolkit.exporting.gguf_files import as_float32
from toolkit.tuning import METHODS, attach_adapter

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel

# Share of an update's squared singular values that its LoRA keeps: what is left out changes it by a thousandth.
_KEPT_ENERGY = 1 - 1e-6


@dataclass(frozen=True)
class LowRank:
    """A LoRA adapter as plain numbers: each matrix ``W`` becomes ``W + alpha / rank * up @ down``.

    Attributes:
        alpha: The scale, the same for all.
        pairs: By the name of the layer in the base: ``down`` of shape (rank, inputs), ``up`` of shape (outputs, rank).
    """

    alpha: float
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]


def check_merges(method: str) -> None:
    """See to it that an adapter can be merged, before any model is loaded.

    Args:
        method: How it was tuned.

    Raises:
        ModelError: It cannot.
    """
    way = METHODS[method]
    if way.merges:
        return
    why = (
        "it puts virtual tokens before a prompt" if way.virtual_tokens
        else "it is active from where a reply begins" if way.asks_the_prompt
        else "it adds what the base has no place for"
    )  # fmt: skip
    raise ModelError(
        f"A voice tuned by {method} cannot be merged into its base: {why}.",
        "Serve the bot itself, or tune the voice by lora: housevoice tune <bot.yaml> --method lora",
    )


def check_apart(method: str, *, converted: bool = True) -> None:
    """See to it that an adapter can go along as a LoRA of its own, before any model is loaded.

    Args:
        method: How it was tuned.
        converted: Whether one that PEFT makes a LoRA of will do.

    Raises:
        ModelError: It cannot.
    """
    way = METHODS[method]
    if way.lora == "is" or (way.lora and converted):
        return
    why = "is one only after it was converted" if way.lora else "is no LoRA, and PEFT makes none of it"
    raise ModelError(
        f"A voice tuned by {method} {why}, so it does not go along as an adapter.",
        "Export it with: --adapter merged" if way.merges else "Serve the bot itself, or tune the voice by lora.",
    )


def merged_into(model: PreTrainedModel, adapter: Path, method: str) -> PreTrainedModel:
    """Merge an adapter into the weights of its base.

    Args:
        model: The base, its weights not quantised; it is changed.
        adapter: A PEFT folder.
        method: How it was tuned.

    Raises:
        ModelError: It cannot be merged.
    """
    check_merges(method)
    merged: PreTrainedModel = attach_adapter(model, adapter).merge_and_unload()
    return merged


def low_rank(model: Any, method: str) -> LowRank:
    """Return the adapter of a model as plain numbers.

    Args:
        model: A ``peft.PeftModel``.
        method: How its adapter was tuned.

    Raises:
        ModelError: It is no LoRA, and PEFT makes none of it.
    """
    check_apart(method)
    if METHODS[method].lora == "converts":
        return _converted(model)
    from peft.tuners.lora import LoraLayer

    settings = model.active_peft_config
    alpha, name = float(settings.lora_alpha), model.active_adapter
    pairs = {}
    for place, layer in model.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            down, up = (as_float32(part[name].weight) for part in (layer.lora_A, layer.lora_B))
            # rsLoRA, and layers with a rank of their own, are scaled otherwise than alpha / rank.
            factor = layer.scaling[name] / (alpha / len(down))
            pairs[place] = (down, up if factor == 1 else up * factor)
    return LowRank(alpha, pairs)


def _converted(model: Any) -> LowRank:
    """Return an adapter that PEFT makes a LoRA of, each layer at the rank that it needs."""
    from peft import convert_to_lora

    _, state = convert_to_lora(model, rank=_KEPT_ENERGY, adapter_name=model.active_adapter)
    pairs = {}
    for key in state:
        place, _, part = key.partition(".lora_A.weight")
        if part or not key.endswith(".lora_A.weight"):
            continue
        down, up = as_float32(state[key]), as_float32(state[f"{place}.lora_B.weight"])
        pairs[place.removeprefix("base_model.model.")] = (down, up * len(down))  # for an alpha of 1
    return LowRank(1.0, pairs)


def copy_adapter(adapter: Path, target: Path, base: str) -> int:
    """Copy a LoRA adapter for another program.

    Args:
        adapter: A PEFT folder.
        target: Where the copy goes.
        base: What the copy names as its base.

    Returns:
        Its largest rank.
    """
    from peft import LoraConfig

    target.mkdir()
    shutil.copy2(adapter / "adapter_model.safetensors", target)
    settings = LoraConfig.from_pretrained(str(adapter))
    settings.base_model_name_or_path = base
    settings.save_pretrained(str(target))
    return max(settings.r, *settings.rank_pattern.values()) if settings.rank_pattern else int(settings.r)
