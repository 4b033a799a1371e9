"""What the store asks of an embedder, and the identity that says which embedder made a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

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
