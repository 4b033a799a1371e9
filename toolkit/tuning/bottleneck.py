"""Bottleneck adapters (Houlsby et al. 2019) as a tuner of PEFT's: a small network after attention and after the MLP.

PEFT has none of its own. This one is saved, opened, switched and taken off by PEFT itself, like any other; an adapter
folder of it opens with ``PeftModel.from_pretrained`` once :func:`register_bottleneck` was called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

from toolkit.offline import load_bitsandbytes

PEFT_TYPE = "BOTTLENECK"


@cache
def register_bottleneck() -> SimpleNamespace:
    """Make the tuner known to PEFT under the type ``BOTTLENECK``.

    PEFT's ``register_peft_method`` takes only types that are members of its own enumeration; what it does with them
    is to enter them into three tables, which is done here.

    Returns:
        The ``Config``, ``Layer`` and ``Model`` of the tuner.
    """
    load_bitsandbytes()
    import peft.mapping

    known: Any = peft.mapping  # by type, which a text is as well: the members of PEFT's enumeration are texts
    config, layer = _config_class(), _layer_class()
    model = _model_class(layer)
    known.PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = config
    known.PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = model
    known.PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = model.prefix
    return SimpleNamespace(Config=config, Layer=layer, Model=model)


def _config_class() -> Any:
    from peft.config import PeftConfig

    @dataclass
    class BottleneckConfig(PeftConfig):
        """Settings of bottleneck adapters.

        Attributes:
            target_modules: The linear layers that end attention and MLP: the network takes what they give out.
            reduction_factor: Width of the base over that of the network.
            non_linearity: ``relu``, ``gelu``, ``silu`` or ``tanh``.
            adapter_dropout: Share of the inputs dropped.
        """

        target_modules: Any = field(default=None)
        exclude_modules: Any = field(default=None)
        reduction_factor: int = field(default=16)
        non_linearity: str = field(default="gelu")
        adapter_dropout: float = field(default=0.0)
        modules_to_save: Any = field(default=None)

        def __post_init__(self) -> None:
            super().__post_init__()
            self.peft_type = PEFT_TYPE
            if isinstance(self.target_modules, list):
                self.target_modules = set(self.target_modules)

    return BottleneckConfig


def _layer_class() -> Any:
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch import nn

    class BottleneckLayer(nn.Module, BaseTunerLayer):
        """A linear layer with a small network after it: ``y + up(f(down(y)))``, ``y`` of shape (..., width)."""

        adapter_layer_names = ("bottleneck_down", "bottleneck_up", "bottleneck_dropout")
        other_param_names = ("non_linearity",)

        def __init__(self, base_layer: Any, adapter_name: str, config: Any) -> None:
            super().__init__()
            self.base_layer = base_layer
            self.bottleneck_down, self.bottleneck_up = nn.ModuleDict(), nn.ModuleDict()
            self.bottleneck_dropout = nn.ModuleDict()
            self.non_linearity: dict[str, Any] = {}
            self._disable_adapters = False
            self.merged_adapters: list[str] = []
            self._active_adapter = adapter_name
            self.update_layer(adapter_name, config)

        def update_layer(self, adapter_name: str, config: Any) -> None:
            """Add a network that changes nothing yet: what leads out of it is zero."""
            width: Any = self.get_base_layer().out_features
            down = nn.Linear(width, max(1, width // config.reduction_factor))
            up = nn.Linear(down.out_features, width)
            nn.init.zeros_(up.weight)
            nn.init.zeros_(up.bias)
            self.bottleneck_down[adapter_name], self.bottleneck_up[adapter_name] = down, up
            self.bottleneck_dropout[adapter_name] = nn.Dropout(config.adapter_dropout)
            self.non_linearity[adapter_name] = getattr(torch, config.non_linearity, None) or getattr(
                nn.functional, config.non_linearity
            )
            self._move_adapter_to_device_of_base_layer(adapter_name)
            self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

        def forward(self, x: Any, *args: Any, **options: Any) -> Any:
            """Return what the base gives out, and what the active networks add to it."""
            result = self.base_layer(x, *args, **options)
            if self.disable_adapters:
                return result
            given = result.dtype
            for name in self.active_adapters:
                if name in self.bottleneck_down:
                    down, up = self.bottleneck_down[name], self.bottleneck_up[name]
                    hidden = down(self.bottleneck_dropout[name](result.to(down.weight.dtype)))
                    result = result + up(self.non_linearity[name](hidden)).to(given)
            return result

        def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
            """Refuse: a network that bends is no matrix.

            Raises:
                ValueError: Always.
            """
            raise ValueError("A bottleneck adapter cannot be merged into the weights of its base.")

    return BottleneckLayer


def _model_class(layer: Any) -> Any:
    from peft.tuners.tuners_utils import BaseTuner
    from torch import nn

    class BottleneckModel(BaseTuner):
        """A model with bottleneck adapters in its layers."""

        prefix = "bottleneck_"
        tuner_layer_cls = layer
        target_module_mapping: dict[str, list[str]] = {}

        def _create_and_replace(
            self,
            peft_config: Any,
            adapter_name: str,
            target: Any,
            target_name: str,
            parent: Any,
            current_key: str,
            parameter_name: str | None = None,
        ) -> None:
            if isinstance(target, layer):
                target.update_layer(adapter_name, peft_config)
                return
            if not isinstance(target, nn.Linear):  # those in 4 bits are such as well
                raise ValueError(f"{current_key} is no linear layer, and bottleneck adapters come after such.")
            new = layer(target, adapter_name, peft_config)
            if adapter_name not in self.active_adapters:
                new.requires_grad_(False)  # a second adapter is not trained unless it is asked for
            self._replace_module(parent, target_name, new, target)

    return BottleneckModel
