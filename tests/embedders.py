"""Embedders that a router can learn with: by words and by the letters in them, spread out or close together."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from toolkit.embedding import Embedder, EmbedderIdentity


class LetterEmbedder(Embedder):
    """Embeds a text as the bag of its hashed words and of the three letters in a row in them: forms are similar."""

    def __init__(self, dimension: int = 1024) -> None:
        self.identity = EmbedderIdentity("letters", "1", dimension, True)
        self.max_tokens = 256

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+", text)) for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+|[?!]", text.lower()):
                marked = f"<{word}>"
                for part in [marked, *(marked[at : at + 3] for at in range(len(marked) - 2))]:
                    code = zlib.crc32(part.encode())
                    weight = 1.0 if part == marked else 0.5
                    vectors[row, code % self.identity.dimension] += weight if code & 1 << 20 else -weight
        vectors[:, 0] += 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class CloseEmbedder(Embedder):
    """Another embedder's vectors drawn together: any two of its have a cosine of at least 0.7, as some models' do.

    Args:
        inner: The other embedder; its cosines may be anything.
        common: Length of what is added to each of its unit vectors, at right angles to all of them.
    """

    def __init__(self, inner: Embedder, common: float = 2.5) -> None:
        self.inner = inner
        self.common = common
        self.identity = EmbedderIdentity(f"close-{inner.identity.name}", "1", inner.identity.dimension + 1, True)
        self.max_tokens = inner.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.inner.count_tokens(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = self.inner.encode(texts)
        drawn = np.column_stack([vectors, np.full(len(vectors), self.common, dtype=np.float32)])
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
