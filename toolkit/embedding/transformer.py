"""Any model of sentence-transformers as an embedder, named by its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.embedding.base import WEIGHTS, Embedder, EmbedderIdentity

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


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
        """Embed documents, with the prompt the model wants before them where it wants one."""
        return self._run(self._model.encode_document, texts)

    def _encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions, with the prompt the model wants before questions where it wants one."""
        return self._run(self._model.encode_query, texts)

    def _run(self, encode: Any, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        vectors = encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def weights_fingerprint(model: SentenceTransformer) -> str:
    """Hash a sample of the weights: a folder's name does not say what is in it."""
    import hashlib

    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        sample: torch.Tensor = value.detach().flatten()[:256].to("cpu").float()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return WEIGHTS + digest.hexdigest()[:16]
