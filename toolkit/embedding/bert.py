"""The bundled embedder: a BERT encoder with mean pooling, run for its speed on a processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.embedding.base import Embedder, EmbedderIdentity
from toolkit.errors import ModelError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

# Tokens in one forward pass, padding included: on a CPU larger batches fall out of the cache and get slower.
TOKENS_PER_BATCH = 2048
TEXTS_PER_BATCH = 128
# Attention in bfloat16 takes up to twice as long over a width that is no multiple of the processor's tiles.
WIDTH_STEP = 16


class BertEmbedder(Embedder):
    """A BERT encoder with mean pooling, run without sentence-transformers.

    The vectors are those of sentence-transformers; its import alone costs seconds that the start of a
    chat should not pay.

    Args:
        identity: Which embedder this is.
        model: The encoder in evaluation mode.
        tokenizer: Its tokenizer, with truncation and padding off.
        max_tokens: Window in tokens.
    """

    def __init__(
        self, identity: EmbedderIdentity, model: BertModel, tokenizer: Tokenizer, max_tokens: int
    ) -> None:
        self.identity = identity
        self.max_tokens = max_tokens
        self._model = model
        self._tokenizer = tokenizer
        self._pool = core_pool("embedder")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, special tokens included and nothing cut off."""
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32."""
        vectors = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        ids = [self._window(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        lengths, on_cpu = [len(row) for row in ids], self._model.device.type == "cpu"
        # Few texts are shared out among the cores: one batch of all would leave every core but one idle.
        share = -(-sum(lengths) // self._pool._max_workers) + max(lengths, default=0) // 2
        batches = list(batches_of(lengths, min(TOKENS_PER_BATCH, share) if on_cpu else TOKENS_PER_BATCH))
        # A core each, a batch each: cores that share a batch wait for each other at every layer, and very
        # long where one of them has other work. Measured 1 to 7 times as fast as sharing.
        run = self._pool.map if on_cpu else map
        results = run(self._forward, [[ids[index] for index in batch] for batch in batches])
        for batch, result in zip(batches, results, strict=True):
            vectors[batch] = result
        return vectors

    def _window(self, ids: list[int]) -> list[int]:
        """Cut ``ids`` to the window, keeping the closing special token."""
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]

    def _forward(self, ids: list[list[int]]) -> np.ndarray:
        """Run one batch: mean over the tokens of the last layer, scaled to length 1."""
        import torch

        with torch.inference_mode():
            hidden, real = last_layer(self._model, ids)
            weight = real.unsqueeze(-1).to(hidden.device, torch.float32)
            mean = (hidden * weight).sum(1) / weight.sum(1)
            return torch.nn.functional.normalize(mean, dim=1).cpu().numpy()


def last_layer(
    model: BertModel, ids: list[list[int]], second_at: Sequence[int] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run one batch through the encoder, in inference mode.

    Args:
        model: The encoder.
        ids: Token ids of each text.
        second_at: Of pairs of texts, where in each row of ``ids`` the second text begins.

    Returns:
        Vectors of the last layer of shape (texts, width, hidden), float32, and which of them stand for tokens, of
        shape (texts, width), bool, on the processor.
    """
    import torch

    width = -(-max(len(row) for row in ids) // WIDTH_STEP) * WIDTH_STEP
    lengths = torch.tensor([len(row) for row in ids])
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in ids])
    places = torch.arange(width)
    real = places < lengths.unsqueeze(1)
    types = None
    if second_at is not None:
        types = (real & (places >= torch.tensor(second_at).unsqueeze(1))).long().to(model.device)
    device, dtype = model.device, model.dtype
    # Added to the attention scores, as numbers: booleans take the kernel half as long again.
    hidden_from = torch.zeros(len(ids), 1, 1, width, dtype=dtype).masked_fill(
        ~real[:, None, None], torch.finfo(dtype).min
    )
    mask = hidden_from.expand(-1, 1, width, -1).to(device)
    hidden = model(tokens.to(device), attention_mask=mask, token_type_ids=types).last_hidden_state
    return hidden.to(torch.float32), real


def load_bert(
    folder: Path, identity: EmbedderIdentity, max_tokens: int, device: str, dtype: str
) -> BertEmbedder:
    """Load a BERT encoder with mean pooling from a folder.

    Args:
        folder: Where ``config.json``, ``model.safetensors`` and ``tokenizer.json`` are.
        identity: Which embedder this is.
        max_tokens: Window in tokens.
        device: Where it runs.
        dtype: ``"float32"``, ``"bfloat16"``, or ``"auto"``: see :func:`toolkit.embedding.load_embedder`.

    Raises:
        ModelError: It cannot be loaded.
    """
    model, tokenizer = open_bert(folder, device, dtype)
    return BertEmbedder(identity, model, tokenizer, max_tokens)


def open_bert(
    folder: Path, device: str, dtype: str, other: Mapping[str, torch.Tensor] | None = None
) -> tuple[BertModel, Tokenizer]:
    """Open a BERT encoder and its tokenizer, ready to run.

    Args:
        folder: Where ``config.json``, ``model.safetensors`` and ``tokenizer.json`` are.
        device: Where it runs.
        dtype: As in :func:`load_bert`.
        other: Weights to put in the place of the folder's.

    Raises:
        ModelError: It cannot be loaded.
    """
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    try:
        config = BertConfig.from_json_file(str(folder / "config.json"))
        # Built and filled by hand: from_pretrained prints a report about the pooler that is left out.
        with torch.device("meta"):
            model = BertModel(config, add_pooling_layer=False)
        weights = {
            key: value
            for key, value in load_file(folder / "model.safetensors").items()
            if "pooler" not in key
        }
        weights.pop("embeddings.position_ids", None)
        weights |= other or {}
        model.load_state_dict(weights, assign=True, strict=True)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"The embedder in {folder} cannot be loaded: {error}.") from error
    _fill_buffers(model)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    kind = fast_dtype(device) if dtype == "auto" else torch.float32 if dtype == "float32" else torch.bfloat16
    model = model.eval().to(torch.device(device), kind)
    if device == "cpu":
        pack_weights(model)
    return model, tokenizer


def fast_dtype(device: str) -> torch.dtype:
    """Choose bfloat16 where the processor multiplies it in hardware, which is 1.5 to 4 times as fast as float32.

    The vectors stay within a cosine of 0.9999 of the float32 ones, so both may share a store.
    """
    import torch

    if device != "cpu":
        return torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("amx_bf16") or able.get("avx512_bf16") else torch.float32


def pack_weights(model: BertModel) -> None:
    """Let oneDNN lay out the weights once, and multiply, add the bias and apply GELU in one go.

    A plain ``torch.nn.Linear`` in float32 goes to MKL, which takes more than twice as long as oneDNN on a
    processor that is not Intel's; in bfloat16 the weights are laid out anew in every call. The operation is
    the one that ``torch.compile`` uses, without its compiler. Where it does not run, the model stays as it is.
    """
    import torch

    if not _can_pack(model.dtype):
        return
    gelu = model.config.hidden_act == "gelu"
    with torch.inference_mode():
        for layer in model.encoder.layer:
            for part in list(layer.modules()):
                for name, inner in list(part.named_children()):
                    if isinstance(inner, torch.nn.Linear):
                        setattr(part, name, _packed(inner, gelu=gelu and part is layer.intermediate))
            if gelu:
                layer.intermediate.intermediate_act_fn = torch.nn.Identity()


def _can_pack(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN is here and multiplies this number format, by trying."""
    import torch

    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.inference_mode():
            _packed(torch.nn.Linear(16, 16, dtype=dtype), gelu=True)(torch.zeros(1, 16, dtype=dtype))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True


def _packed(linear: torch.nn.Linear, *, gelu: bool) -> torch.nn.Module:
    """Return a layer that gives what ``linear`` gives, with the exact (erf) GELU of it where that is wanted."""
    import torch

    after = "gelu" if gelu else "none"
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TOKENS_PER_BATCH)
    bias = linear.bias.detach()

    class PackedLinear(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, after, [], "none")

    return PackedLinear()


def _fill_buffers(model: BertModel) -> None:
    """Give the position and token-type buffers their values: they are not in the weights file."""
    import torch

    table = model.embeddings
    positions = torch.arange(model.config.max_position_embeddings).unsqueeze(0)
    table.register_buffer("position_ids", positions, persistent=False)
    table.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)


def core_pool(name: str) -> ThreadPoolExecutor:
    """Return a pool with a thread for each core; what runs in a thread stays on one core."""
    import torch

    return ThreadPoolExecutor(torch.get_num_threads(), name, initializer=_use_one_core)


def _use_one_core() -> None:
    """Keep the operations of this thread, and of no other, on one core."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # a thread's number is set at its first use: that must not come after the limit
    threadpool_limits(1, user_api="openmp")


def batches_of(lengths: Sequence[int], tokens: int = TOKENS_PER_BATCH) -> Iterator[list[int]]:
    """Group the indices of texts of like length, so that little of a batch is padding.

    Args:
        lengths: Tokens of each text.
        tokens: Tokens of a batch at most, padding included; a longer text is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) >= TEXTS_PER_BATCH or (len(batch) + 1) * lengths[batch[0]] > tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
