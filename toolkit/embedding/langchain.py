"""Any LangChain ``Embeddings`` as an embedder of ours: given an identity, a window, and vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from toolkit.embedding.base import USUAL_WINDOW, Embedder, EmbedderIdentity, estimated_tokens, unit
from toolkit.embedding.load import load_embedder
from toolkit.embedding.transformer import weights_fingerprint
from toolkit.errors import ModelError

# Names like this cannot be loaded again by name alone: the object has to be handed over.
PREFIX = "langchain:"


class LangChainEmbedder(Embedder):
    """A LangChain ``Embeddings`` object as the store wants it.

    Its vectors are scaled to length 1. Where it runs a sentence-transformers model in this process, as
    ``HuggingFaceEmbeddings`` does, the window, the tokens and the identity are those of that model; otherwise
    tokens are estimated, rather too many than too few, and the store compares a vector when it is opened.

    Args:
        inner: The object.
        name: What it is to be called in the identity; by default its class and its model's name.
        max_tokens: Its window in tokens; by default the model's own, or 256.

    Raises:
        ModelError: It does not embed a word.
    """

    def __init__(self, inner: Embeddings, *, name: str | None = None, max_tokens: int | None = None) -> None:
        self._inner = inner
        self._model = _sentence_transformer(inner)
        self.max_tokens = max_tokens or int(getattr(self._model, "max_seq_length", None) or USUAL_WINDOW)
        self.verified = False
        dimension = len(inner.embed_query("dimension"))
        if not dimension:
            raise ModelError(f"{type(inner).__name__} gives vectors of no length.", "Give another embedding.")
        revision = weights_fingerprint(self._model) if self._model is not None else ""
        self.identity = EmbedderIdentity(PREFIX + (name or _name_of(inner)), revision, dimension, True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, special tokens included and nothing cut off."""
        if self._model is not None and texts:
            encoded = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)
            return [len(ids) for ids in encoded["input_ids"]]
        return [estimated_tokens(text) for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32.

        Raises:
            ModelError: The object gave another number of vectors, or vectors of another length.
        """
        if not texts:
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        vectors = np.asarray(self._inner.embed_documents(list(texts)), dtype=np.float32)
        if vectors.shape != (len(texts), self.identity.dimension):
            raise ModelError(f"{self.identity.name} gave vectors of shape {vectors.shape} for {len(texts)} texts.")
        return unit(vectors)

    def _encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions as the object embeds questions, scaled to length 1."""
        return unit(np.asarray([self._inner.embed_query(text) for text in texts], dtype=np.float32))


def as_embedder(embedding: Embeddings | str) -> Embedder:
    """Return an embedder of ours as it is, any other LangChain ``Embeddings`` wrapped, and one that is named loaded.

    Raises:
        ModelError: The one that is named cannot be loaded.
    """
    if isinstance(embedding, str):
        return load_embedder(embedding)
    return embedding if isinstance(embedding, Embedder) else LangChainEmbedder(embedding)


def _sentence_transformer(inner: Embeddings) -> Any:
    """Return the sentence-transformers model that an object runs in this process, or None."""
    for name in ("_client", "client", "model"):
        found = getattr(inner, name, None)
        if all(hasattr(found, wanted) for wanted in ("max_seq_length", "tokenizer", "state_dict")):
            return found
    return None


def _name_of(inner: Embeddings) -> str:
    """Name an object by its class, and by its model where it tells it."""
    for attribute in ("model_name", "model", "model_id", "repo_id"):
        value = getattr(inner, attribute, None)
        if isinstance(value, str) and value:
            return f"{type(inner).__name__}:{value}"
    return type(inner).__name__
