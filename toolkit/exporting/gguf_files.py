"""GGUF files, written with gguf-py alone: a model in 16, 8 or 4 bits, and a LoRA adapter for one.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from toolkit.exporting.families import Places, add_shape, rope_factors
from toolkit.exporting.vocabulary import add_vocabulary
from toolkit.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from toolkit.exporting.adapters import LowRank

Quantization = Literal["f16", "q8_0", "q4_0"]
QUANTIZATIONS: tuple[Quantization, ...] = ("f16", "q8_0", "q4_0")
# Bytes a weight: a block of 32 shares a scale in 16 bits.
BYTES: Mapping[str, float] = MappingProxyType({"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32})
# Each row of them is a word, or makes the choice between words: 4 bits cost more there than they save.
_IN_EIGHT_BITS = ("embed_tokens", "lm_head")


def kind_of(tensor: str, shape: tuple[int, ...], quantization: Quantization) -> GGMLQuantizationType:
    """Return the number format that a tensor has in a GGUF.

    Args:
        tensor: Its name in transformers.
        shape: Its shape there.
        quantization: What was asked for.
    """
    import gguf

    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1:
        return kinds.F32  # scales and biases: a thousandth of the weights
    kind = kinds[quantization.upper()]
    if kind is kinds.Q4_0 and tensor.split(".")[-2] in _IN_EIGHT_BITS:
        kind = kinds.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else kinds.F16


def write_model(
    file: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    quantization: Quantization,
    *,
    name: str,
    on_progress: Progress | None = None,
) -> None:
    """Write a model with its tokenizer as a GGUF.

    Args:
        file: Where to write it.
        model: The model, its weights not quantised.
        tokenizer: Its tokenizer.
        quantization: The number format of its matrices.
        name: What it is called.
        on_progress: Called with what is being done, done, total.

    Raises:
        ModelError: It is of a family, or its tokenizer of a kind, that is not written here.
    """
    import gguf

    config: Any = model.config
    places = Places(config)
    writer = gguf.GGUFWriter(file, places.family.arch)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    add_shape(writer, config)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantization.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_vocabulary(writer, tokenizer, config.vocab_size)
    tensors, factors = dict(tensors_of(model)), rope_factors(config)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    for tensor, weight in tensors.items():
        # Where each tensor lies is written first, so that only one is in memory a second time.
        kind, shape = kind_of(tensor, tuple(weight.shape), quantization), tuple(weight.shape)
        stored, numbers = gguf.quant_shape_to_byte_shape(shape, kind), _numpy_type(kind)
        # gguf-py takes the shape of blocks in bytes, and that of plain numbers in numbers.
        given = stored if numbers.itemsize == 1 else shape
        writer.add_tensor_info(places.name(tensor), given, numbers, math.prod(stored), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for done, (tensor, weight) in enumerate(tensors.items()):
        if on_progress:
            on_progress("Writing the GGUF", done, len(tensors))
        kind = kind_of(tensor, tuple(weight.shape), quantization)
        writer.write_tensor_data(gguf.quantize(places.laid_out(tensor, as_float32(weight)), kind))
    writer.close()
    if on_progress:
        on_progress("Writing the GGUF", len(tensors), len(tensors))


def write_adapter(file: Path, config: Any, adapter: LowRank, *, name: str) -> None:
    """Write a LoRA adapter as a GGUF.

    Args:
        file: Where to write it.
        config: The configuration of the model that it was trained on.
        adapter: The adapter.
        name: What it is called.

    Raises:
        ModelError: The model is of a family that is not written here.
    """
    import gguf

    places = Places(config)
    writer = gguf.GGUFWriter(file, places.family.arch)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_name(name)
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.alpha)
    for tensor, (down, up) in adapter.pairs.items():
        place = places.name(f"{tensor}.weight")
        writer.add_tensor(f"{place}.lora_a", down)
        writer.add_tensor(f"{place}.lora_b", places.laid_out(f"{tensor}.weight", up))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def round_weights(model: PreTrainedModel, quantization: Quantization) -> None:
    """Round the weights of a model, in place, as a GGUF of it rounds them."""
    import gguf
    import torch

    for tensor, weight in tensors_of(model):
        kind = kind_of(tensor, tuple(weight.shape), quantization)
        rounded = gguf.dequantize(gguf.quantize(as_float32(weight), kind), kind)
        weight.data.copy_(torch.from_numpy(rounded).reshape(weight.shape))


def tensors_of(model: PreTrainedModel) -> Iterator[tuple[str, Any]]:
    """Yield the weights of a model with their names; one that two layers share comes once."""
    yield from model.named_parameters()


def as_float32(weight: Any) -> np.ndarray:
    """Return a weight as an array of numbers in 32 bits."""
    array: np.ndarray = weight.detach().float().cpu().numpy()
    return array


def _numpy_type(kind: GGMLQuantizationType) -> Any:
    """Return the type of the numbers that gguf-py gives out for a number format."""
    import numpy as np

    return {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16)}.get(kind.name, np.dtype(np.uint8))
