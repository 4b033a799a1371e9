"""What a method does besides training: to the base before, to the adapter before the first step and after the last."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

from toolkit.config import REPLACE_WEIGHTS, VoiceSettings
from toolkit.models import LoadedModel
from toolkit.tuning.adapters import keep_number_format
from toolkit.tuning.arguments import is_first_process
from toolkit.tuning.methods import METHODS

_INITIAL = "initial_adapter"


def base_to_tune(loaded: LoadedModel, settings: VoiceSettings) -> LoadedModel:
    """Return the base that a method trains on: the one that is lent, or a copy in float32.

    PiSSA takes the weights of the base apart. The methods that replace them leave those of the base as they are.

    Args:
        loaded: The base that is lent.
        settings: The ``voice`` section of ``bot.yaml``.
    """
    stays = settings.method in REPLACE_WEIGHTS and loaded.dtype.value == "float32"
    if stays or not METHODS[settings.method].in_float32:
        return loaded
    return dataclasses.replace(loaded, model=copy.deepcopy(loaded.model).float())


def before_training(model: Any, loaded: LoadedModel, settings: VoiceSettings, work: Path) -> None:
    """Do what a method wants done once its layers are there and none is trained yet.

    Args:
        model: The ``PeftModel``.
        loaded: The base under it.
        settings: The ``voice`` section of ``bot.yaml``.
        work: Folder for what the end of the run needs.
    """
    if settings.method == "pissa":
        # The end subtracts what the adapter began with: what is left is a plain LoRA on the base as it was.
        model.save_pretrained(str(work / _INITIAL), is_main_process=is_first_process())
    elif settings.method == "loftq":
        from peft import replace_lora_weights_loftq

        replace_lora_weights_loftq(model, model_path=loaded.path if Path(loaded.path).is_dir() else None)
    elif settings.method == "qat":
        from toolkit.tuning.rounding import round_while_training

        round_while_training(model, settings)
    if settings.method != "qlora":
        keep_small_steps(model)
    keep_number_format(model)


def after_training(model: Any, loaded: LoadedModel, settings: VoiceSettings, work: Path) -> dict[str, Any]:
    """Do what a method wants done before it is saved.

    Args:
        model: The ``PeftModel``.
        loaded: The base that was lent.
        settings: The ``voice`` section of ``bot.yaml``.
        work: The folder that :func:`before_training` was given.

    Returns:
        What ``save_pretrained`` is called with, so that the folder goes onto the base as it was before the tune.
    """
    import torch

    if settings.method == "pissa":
        return {"path_initial_model_for_weight_conversion": str(work / _INITIAL)}
    if settings.method == "qat":
        from toolkit.tuning.rounding import round_for_good

        round_for_good(model, settings)
    if settings.method in REPLACE_WEIGHTS:
        kept = getattr(torch, loaded.dtype.value)
        return {"state_dict": {name: weight.to(kept) for name, weight in model.state_dict().items()}}
    return {}


def keep_small_steps(model: Any) -> None:
    """Keep what is trained beside 4-bit weights in float32.

    TRL casts it to bfloat16, as the authors of QLoRA did. Scales that begin at one, as those of IA3, take no step there
    that is smaller than 1/256, and most of a tune's are.
    """
    for weight in model.parameters():
        if weight.requires_grad and weight.dtype.itemsize == 2:
            weight.data = weight.data.float()
