"""A double of the embedder: instant, deterministic, and similar for similar texts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from toolkit.embedding import Embedder, EmbedderIdentity


class HashEmbedder(Embedder):
    """Embeds a text as the bag of its hashed words: texts that share words have similar vectors.

    Args:
        dimension: Numbers in a vector.
        max_tokens: Window in words.
        name: Name in the identity; give another to get an embedder that does not match.

    Attributes:
        embedded: Every text that was embedded, in order: what a test counts.

    Example:
        >>> embedder = HashEmbedder()
        >>> lamp, lamps, kite = embedder.encode(["a red lamp", "the red lamp", "silk kites"])
        >>> bool(lamp @ lamps > lamp @ kite)
        True
    """

    def __init__(self, dimension: int = 64, max_tokens: int = 256, name: str = "hash") -> None:
        self.identity = EmbedderIdentity(name, "1", dimension, True)
        self.max_tokens = max_tokens
        self.embedded: list[str] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the words of each text."""
        return [len(_words(text)) for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32."""
        self.embedded += texts
        vectors = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in _words(text)[: self.max_tokens]:
                code = zlib.crc32(word.encode())
                # Two places and a sign a word: few words collide in both.
                vectors[row, code % self.identity.dimension] += 1.0 if code & 1 << 20 else -1.0
                vectors[row, (code >> 8) % self.identity.dimension] += 1.0 if code & 1 << 30 else -1.0
        vectors[:, 0] += 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _words(text: str) -> list[str]:
    """Split a text into lower-case words."""
    return re.findall(r"\w+", text.lower())
