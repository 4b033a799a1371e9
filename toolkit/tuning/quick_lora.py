"""LoRA's forward pass with fewer passes over memory than PEFT's."""

from __future__ import annotations

from typing import Any


def quicken_lora(model: Any) -> int:
    """Let the plain LoRA layers of a model add their update while they multiply.

    PEFT copies what the base layer gives, scales the update at full width and adds it: four passes over the output of
    every layer, each as costly as its share of the arithmetic is small. Here the inner vectors, ``r`` wide, are scaled,
    and the product adds onto the output in place. An update that is kept in float32 is multiplied in the format of what
    goes through the layer, as under autocast, rather than the other way round.

    Args:
        model: A ``PeftModel``, or any model; layers of other kinds (DoRA, activated LoRA, biases) stay as they are.

    Returns:
        The number of layers that were changed.
    """
    from peft.tuners.lora import LoraLayer
    from torch import nn

    changed = 0
    for layer in model.modules():
        plain = isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), nn.Linear)
        if plain and len(layer.lora_A) == 1 and not layer.lora_variant and not any(layer.lora_bias.values()):
            layer.forward = _forward(layer, layer.forward, next(iter(layer.lora_A)))
            changed += 1
    return changed


def _forward(layer: Any, peft_forward: Any, name: str) -> Any:
    """Return the forward pass of one layer.

    Args:
        layer: PEFT's layer.
        peft_forward: Its own forward pass, for a layer that is merged, switched off, or called in another way.
        name: Of the adapter.
    """
    from torch.nn import functional

    def forward(given: Any, *arguments: Any, **options: Any) -> Any:
        if arguments or options or layer.disable_adapters or layer.merged or layer.active_adapters != [name]:
            return peft_forward(given, *arguments, **options)
        output = layer.base_layer(given)
        down = layer.lora_A[name].weight.to(output.dtype)
        up = layer.lora_B[name].weight.to(output.dtype)
        inner = functional.linear(layer.lora_dropout[name](given).to(output.dtype), down) * layer.scaling[name]
        # In place: no base layer needs its own output for its gradient.
        output.view(-1, output.shape[-1]).addmm_(inner.view(-1, inner.shape[-1]), up.t())
        return output

    return forward
