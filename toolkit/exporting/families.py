"""The families of models that can be written as GGUF: what each is called there, and how its weights lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toolkit.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

REMEDY = "Take it along with --to merged: llama.cpp's own converter makes a GGUF of that folder for more families."


@dataclass(frozen=True)
class Family:
    """A family of models as GGUF knows it.

    Attributes:
        arch: Its name there.
        permutes: Whether the rows of queries and keys lie in pairs there: llama.cpp turns neighbours of a head against
            each other where transformers turns the first half against the second (RoPE, Su et al. 2021).
    """

    arch: str
    permutes: bool


# By ``model_type`` of transformers: those that tests/toolkit/exporting tries on real engines, and no others.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {"llama": Family("llama", True), "qwen2": Family("qwen2", False), "qwen3": Family("qwen3", False)}
)


def family_of(config: Any) -> Family:
    """Return the family of a model.

    Args:
        config: The configuration of transformers.

    Raises:
        ModelError: It cannot be written as GGUF here.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ModelError(f"A GGUF of a '{config.model_type}' model is not written here, but of {_known()}.", REMEDY)
    rope = config.rope_parameters["rope_type"]
    if rope != "default" and not (rope == "llama3" and family.arch == "llama"):
        raise ModelError(f"A base that stretches its positions by '{rope}' is not written as GGUF here.", REMEDY)
    if getattr(config, "use_sliding_window", False):
        raise ModelError(
            "This model looks back through a sliding window, which is not written into a GGUF here.", REMEDY
        )
    return family


def _known() -> str:
    return ", ".join(FAMILIES)


def rope_factors(config: Any) -> np.ndarray | None:
    """Return by how much each frequency of the positions is stretched.

    Args:
        config: The configuration of transformers.

    Returns:
        Numbers of shape (half of a head,), or None where none is stretched.
    """
    if config.rope_parameters["rope_type"] == "default":
        return None
    import numpy as np
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    stretched, _ = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, "cpu")
    steps = np.arange(0, head_size(config), 2) / head_size(config)
    factors: np.ndarray = (config.rope_parameters["rope_theta"] ** -steps / stretched.numpy()).astype(np.float32)
    return factors


def head_size(config: Any) -> int:
    """Return the numbers of one attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def add_shape(writer: GGUFWriter, config: Any) -> None:
    """Write what the model looks like into the head of a GGUF."""
    size = head_size(config)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


class Places:
    """Where each tensor of a model lies in a GGUF.

    Args:
        config: The configuration of transformers.

    Raises:
        ModelError: The family is not written here.
    """

    def __init__(self, config: Any) -> None:
        import gguf

        self.family = family_of(config)
        arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == self.family.arch)
        self._names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
        self._heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}

    def name(self, tensor: str) -> str:
        """Return the name in the GGUF of a tensor of transformers.

        Raises:
            ModelError: GGUF knows none for it.
        """
        name = self._names.get_name(tensor, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(f"GGUF has no place for the tensor {tensor} of this model.", REMEDY)
        return name

    def laid_out(self, tensor: str, rows: np.ndarray) -> np.ndarray:
        """Return the rows of a tensor in the order that they have in the GGUF.

        Args:
            tensor: Its name in transformers.
            rows: Of shape (rows, ...): a weight, a bias, or the ``lora_B`` of one.
        """
        heads = self._heads.get(tensor.split(".")[-2])
        if heads is None or not self.family.permutes:
            return rows
        # (heads, half, pair member, ...) -> a pair's two rows beside each other.
        halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
        return halves.swapaxes(1, 2).reshape(rows.shape)
