"""PEFT adapters: settings by name, save and load as plain PEFT folders, bound to the base they were trained on."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config import VoiceSettings
from toolkit.errors import AdapterMismatch, DataError
from toolkit.offline import load_bitsandbytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE_RECORD = "housevoice_base.json"


def lora_config(settings: VoiceSettings) -> Any:
    """Return PEFT's LoRA settings (Hu et al. 2021) for the names in ``bot.yaml``."""
    load_bitsandbytes()
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=settings.target_modules,
        bias="none",
    )


def record_base(folder: Path, *, name: str, fingerprint: str, template: str) -> None:
    """Write beside the adapter which base it was trained on."""
    record = {"base": name, "fingerprint": fingerprint, "template": template}
    (folder / BASE_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def check_base(folder: Path, *, name: str, fingerprint: str) -> None:
    """Compare an adapter's record with the base it is about to be put on.

    PEFT itself loads an adapter of another base of the same shape without a word.

    Raises:
        AdapterMismatch: They differ.
    """
    file = folder / BASE_RECORD
    if not file.is_file():
        return  # an adapter made elsewhere: nothing to compare with
    record = json.loads(file.read_text(encoding="utf-8"))
    if record["fingerprint"] != fingerprint:
        raise AdapterMismatch(
            f"The adapter in {folder} was trained on '{record['base']}' ({record['fingerprint']}), "
            f"not on '{name}' ({fingerprint}).",
            "Open it with the base it was trained on, or tune it again with: housevoice tune <bot.yaml>",
        )


def attach_adapter(model: PreTrainedModel, folder: Path) -> Any:
    """Put a saved adapter on a base model.

    Returns:
        The ``peft.PeftModel``; ``disable_adapter()`` on it gives the base back.

    Raises:
        DataError: The folder is not a PEFT adapter.
    """
    load_bitsandbytes()
    from peft import PeftModel

    if not (folder / "adapter_config.json").is_file():
        raise DataError(f"{folder} holds no adapter (adapter_config.json is missing).")
    peft_model = PeftModel.from_pretrained(model, str(folder), is_trainable=False)
    peft_model.eval()
    return peft_model


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

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            above, _, last = name.rpartition(".")
            setattr(model.get_submodule(above), last, module.get_base_layer())
    vars(model).pop("peft_config", None)
