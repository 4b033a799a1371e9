"""What a tune will need, worked out from a base's configuration alone: memory and time, before anything is fetched."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from toolkit.errors import ModelError
from toolkit.offline import call_nobody

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Way = Literal["qlora", "lora", "pissa", "full"]
WAYS: tuple[Way, ...] = ("qlora", "lora", "full")
# Ways that train a copy of the base in float32, whatever format it answers in.
IN_FLOAT32: tuple[Way, ...] = ("pissa", "full")

# 4 bits, and the constants of double quantisation (QLoRA, Dettmers et al. 2023, section 3).
_NF4_BYTES = (4 + 0.127) / 8
_BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})
# Python with PyTorch, transformers, TRL and bitsandbytes before any weights, and the CUDA context on a card.
_PROCESS_BYTES = {"cpu": int(1.1 * 2**30), "cuda": int(0.5 * 2**30), "mps": int(0.5 * 2**30)}
# Share of the speed of large matrix products that a tune reaches: .35 to .37 on an H200 (7B, NF4, with and without
# checkpointing). It is a guide for the order of magnitude: loading, weaving and measuring come on top.
_UTILISATION = 0.35
# Where the kernel says how much a container may take.
_CGROUP = Path("/sys/fs/cgroup")
_PROBE_SECONDS = 0.2
_KNOCK_SECONDS = 5.0
_PROBE_SIZE = 1024

# Bases under a licence that lets anybody use them, by size: what it takes to tell whether they would fit. A test counts
# their parameters.
CANDIDATES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "HuggingFaceTB/SmolLM2-360M-Instruct": {
            "model_type": "llama", "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32,
            "num_attention_heads": 15, "num_key_value_heads": 5, "vocab_size": 49152, "tie_word_embeddings": True,
        },
        "Qwen/Qwen2.5-0.5B-Instruct": {
            "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
            "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
        },
        "Qwen/Qwen2.5-1.5B-Instruct": {
            "model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
            "num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
        },
        "Qwen/Qwen2.5-7B-Instruct": {
            "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
        },
        "Qwen/Qwen2.5-14B-Instruct": {
            "model_type": "qwen2", "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 48,
            "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": False,
        },
    }
)  # fmt: skip


@dataclass(frozen=True)
class BaseShape:
    """The sizes of a base that memory and time depend on.

    Attributes:
        parameters: All its numbers, shared ones counted once.
        linear: Those of its linear layers, the head apart: what is quantised, and what a token is multiplied with.
        lora_per_rank: Numbers that a LoRA over all of them has for each unit of its rank.
        largest: Numbers of the largest of them.
        layers: Layers.
        hidden: Hidden size.
        intermediate: Width of the feed-forward part.
        attention: Query heads times the size of one.
        key_value: Key-value heads times the size of one.
        heads: Query heads.
        vocabulary: Tokens.
    """

    parameters: int
    linear: int
    lora_per_rank: int
    largest: int
    layers: int
    hidden: int
    intermediate: int
    attention: int
    key_value: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Work:
    """What is to be trained on.

    Attributes:
        tokens: Tokens of all rows, in one pass.
        supervised: Those of them with a loss.
        longest: Tokens of the longest row.
        batch: Rows a step.
        epochs: Passes.
        r: Rank of a LoRA.
        checkpointing: Whether activations are recomputed.
    """

    tokens: int
    supervised: int
    longest: int
    batch: int = 4
    epochs: float = 3.0
    r: int = 16
    checkpointing: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a tune will need, in bytes.

    Attributes:
        weights: The base under the tune, and the one that answers where it stays beside it: for QLoRA on a processor,
            and for what is tuned on a copy in float32.
        trained: What is trained, with its gradients and the two moments of AdamW.
        activations: What the forward pass keeps for the backward pass, at the longest rows.
        logits: Scores over the vocabulary.
        process: The libraries, or the context of the card.
    """

    weights: int
    trained: int
    activations: int
    logits: int
    process: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.trained + self.activations + self.logits + self.process


def read_config(path: str, revision: str | None = None) -> PreTrainedConfig:
    """Read the configuration of a base, and nothing else of it.

    Args:
        path: A folder, or a hub id, whose ``config.json`` alone is fetched.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be found or reached.
    """
    call_nobody()
    import httpx
    from transformers import AutoConfig

    try:
        if not Path(path).is_dir():
            _knock(path, revision)
        config: PreTrainedConfig = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, httpx.HTTPError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        hint = "" if Path(path).is_dir() else "Check the id and the connection, or name a folder."
        raise ModelError(f"The configuration of {path} cannot be read: {first}", hint) from error
    return config


def _knock(name: str, revision: str | None) -> None:
    """Ask once for a configuration that is not in the cache: without a connection transformers tries for half a minute.

    Raises:
        httpx.HTTPError: It is not there, or nobody answers.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=_KNOCK_SECONDS)


def candidate_config(name: str) -> PreTrainedConfig:
    """Return the configuration of one of :data:`CANDIDATES`."""
    call_nobody()
    from transformers import AutoConfig

    config: PreTrainedConfig = AutoConfig.for_model(**CANDIDATES[name])
    return config


def shape_of(config: PreTrainedConfig) -> BaseShape:
    """Return the sizes of a base: it is put together without any memory for its weights, and counted.

    Raises:
        ModelError: It is no decoder that transformers knows.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError) as error:
        raise ModelError(f"'{config.model_type}' is no language model that transformers knows: {error}") from error
    head = model.get_output_embeddings()
    linear = [item for item in model.modules() if isinstance(item, torch.nn.Linear) and item is not head]
    text = config.get_text_config()
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return BaseShape(
        parameters=sum(weights.numel() for weights in model.parameters()),
        linear=sum(item.weight.numel() for item in linear),
        lora_per_rank=sum(item.in_features + item.out_features for item in linear),
        largest=max((item.weight.numel() for item in linear), default=0),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        attention=text.num_attention_heads * size,
        key_value=(getattr(text, "num_key_value_heads", None) or text.num_attention_heads) * size,
        heads=text.num_attention_heads,
        vocabulary=text.vocab_size,
    )


def memory_of(shape: BaseShape, way: Way, work: Work, *, device: str = "cpu", dtype: str = "bfloat16") -> Estimate:
    """Estimate the memory of a tune at its peak.

    Weights and optimizer are counted as in ZeRO (Rajbhandari et al. 2020, section 3), activations layer by layer as in
    Korthikanti et al. 2022, section 4, with the parts of a Llama in place of those of a GPT: for each token a layer
    keeps the float32 inputs of two norms and their outputs, queries, keys, values, their copies for all heads and the
    output of the attention, and four widths of the feed-forward part. On a processor that computes in 16 bits the
    attention is plain matrix products, and keeps its scores.

    Measured: a Llama of 7B in NF4, r 16, 4 x 1,024 tokens, on an H200: 25.6 GiB, and 5.9 with checkpointing. The
    bundled base in NF4 on a processor in bfloat16, without the one that answers: 2.0 GiB at 4 x 145 tokens, 5.6 at
    8 x 335. What this gives is within a tenth of each.

    Args:
        shape: The sizes of the base.
        way: How it is tuned.
        work: What it is trained on.
        device: ``cpu``, ``cuda`` or ``mps``.
        dtype: The number format that the base answers in.
    """
    size = _BYTES["float32" if way in IN_FLOAT32 else dtype]
    trained = shape.parameters if way == "full" else work.r * shape.lora_per_rank
    weights = shape.parameters * _BYTES[dtype]
    if way == "pissa" or (way == "full" and dtype != "float32"):
        weights += shape.parameters * size  # the copy, beside the base that answers
    if way == "qlora":
        rest = (shape.parameters - shape.linear) * size
        answering = weights if device == "cpu" else 0  # on a card it makes room
        # Two copies of the largest layer in full: of the forward and of the backward pass.
        weights = int(shape.linear * _NF4_BYTES) + rest + 2 * shape.largest * size + answering
    # The weights of a full tune are counted above; an adapter's are float32 unless the base is in 4 bits.
    own = {"full": 3 * size, "pissa": 4 * 4, "lora": 4 * 4, "qlora": 4 * size}[way]
    tokens = min(work.batch * work.longest, work.tokens)
    layer = (
        2 * (4 + size) * shape.hidden
        + size * (4 * shape.attention + 2 * shape.key_value)
        + 4 * size * shape.intermediate
    )
    if device == "cpu" and size == 2:
        layer += (4 + 2 * size) * shape.heads * work.longest
    # In the format of the weights and in float32, each with its gradient.
    logits = tokens * work.supervised // max(1, work.tokens) * shape.vocabulary * (2 * size + 8)
    kept = tokens * layer * shape.layers
    if work.checkpointing:
        # A layer is recomputed when the scores are gone: only the larger of both is there at a time.
        kept = tokens * size * shape.hidden * shape.layers + max(0, tokens * layer - logits)
    return Estimate(
        weights=weights,
        trained=trained * own,
        activations=kept,
        logits=logits,
        process=_PROCESS_BYTES.get(device, 0),
    )


def operations_of(shape: BaseShape, way: Way, work: Work) -> float:
    """Estimate the floating-point operations of a tune.

    A token costs 2 for each weight it is multiplied with on the way forward and 4 on the way back (Kaplan et al. 2020,
    section 2.1), of which 2 are for the gradients of weights: a frozen base has none. Recomputing adds the way forward
    once more; the head sees the supervised tokens alone.
    """
    for_each = (6 if way == "full" else 4) + (2 if work.checkpointing else 0)
    head = shape.hidden * shape.vocabulary * work.supervised
    return work.epochs * for_each * (shape.linear * work.tokens + head)


def seconds_of(shape: BaseShape, way: Way, work: Work, speed: float) -> float:
    """Estimate how long a tune takes, in seconds; right within a factor of two or so.

    Args:
        shape: The sizes of the base.
        way: How it is tuned.
        work: What it is trained on.
        speed: What :func:`speed_of` measured.
    """
    return operations_of(shape, way, work) / (speed * _UTILISATION)


def speed_of(device: str, dtype: str) -> float:
    """Measure how fast matrix products are here, in operations a second; it takes a quarter of a second."""
    import torch

    first, second = (
        torch.randn(_PROBE_SIZE, _PROBE_SIZE, device=device, dtype=getattr(torch, dtype)) for _ in range(2)
    )

    def wait() -> None:
        if device != "cpu":
            getattr(torch, device).synchronize()

    with torch.inference_mode():
        _ = first @ second  # the first one is slow
        wait()
        started, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < _PROBE_SECONDS:
            for _ in range(8):
                _ = first @ second
            wait()
            done += 8
    return done * 2 * _PROBE_SIZE**3 / spent


def free_memory(device: str) -> int:
    """Return the memory that is free on a device, in bytes; in a container what its limit leaves."""
    import torch

    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    memory = Path("/proc/meminfo")
    if not memory.is_file():
        import psutil

        return int(psutil.virtual_memory().available)
    fields = dict(line.split(":", 1) for line in memory.read_text(encoding="ascii").splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = (_CGROUP / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and (most := limit.read_text(encoding="ascii").strip()).isdigit():
        free = min(free, int(most) - int(used.read_text(encoding="ascii")))
    return max(0, free)
