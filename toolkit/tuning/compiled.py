"""Layers that PyTorch compiles for a GPU while a tune runs: fewer and larger pieces of work for it to be handed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from toolkit.config import VoiceSettings
from toolkit.models import LoadedModel

# Batches are filled up to whole multiples of this where layers are compiled: each length is compiled of its own.
COMPILED_TOKENS = 128
# Seen on an H100 with 7 billion weights in NF4, 4 rows a batch (benchmarks/tuning.py): the compiler's seconds for a
# length, and the seconds by which an update is then shorter. What is saved is the handing over of each layer's pieces,
# whatever their size.
_SECONDS_A_LENGTH = 25.0
_SECONDS_SAVED = 0.3
# The methods that it was tried with.
_TRIED = ("qlora", "lora")
# Beyond this many kinds of batches a layer runs as it is written; PyTorch's own 8 are fewer than lengths times two,
# for training and measuring.
_MOST_KINDS = 64


def compiles(settings: VoiceSettings, loaded: LoadedModel, encoded: Sequence[dict[str, Any]], steps: int) -> bool:
    """Tell whether the layers of a tune are compiled: as the settings say, or where the run wins the time back.

    Args:
        settings: The ``voice`` section of ``bot.yaml``.
        loaded: The base.
        encoded: Rows of ``input_ids``.
        steps: Number of updates.
    """
    if settings.torch_compile is not None:
        return settings.torch_compile
    if loaded.device.value != "cuda" or settings.method not in _TRIED:
        return False
    lengths = {math.ceil(len(row["input_ids"]) / COMPILED_TOKENS) for row in encoded}
    return len(lengths) * _SECONDS_A_LENGTH < steps * settings.gradient_accumulation_steps * _SECONDS_SAVED


@contextmanager
def compiled_layers(model: Any, backend: str = "inductor") -> Iterator[None]:
    """Compile the layers of a base for a while, and leave them as they were.

    Layer by layer: all share one program, so that the compiler's time does not grow with their number.

    Args:
        model: The base, or a ``PeftModel`` over it.
        backend: What PyTorch compiles with.
    """
    import torch
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.compile(backend=backend, dynamic=False)
    try:
        with torch._dynamo.config.patch(recompile_limit=_MOST_KINDS):
            yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None
