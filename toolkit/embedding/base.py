"""What the store asks of an embedder, and the identity that says which embedder made a vector."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

# A revision that begins like this is a hash of the weights: the name then tells nothing more.
WEIGHTS = "weights-"
# A window that every embedder in use has, for one that does not tell its own.
USUAL_WINDOW = 256
_SPECIAL_TOKENS = 2
_PIECE = re.compile(r"[A-Za-z]{1,4}|[0-9]{1,2}|[^\sA-Za-z0-9]")
# A question is looked for, and then held against the sentences of what was found; several may be asked at once.
_KEPT_QUERIES = 16


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

    A subclass whose model wants questions embedded unlike documents gives :meth:`_encode_queries` as well.

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
        """Embed texts that are searched.

        Returns:
            Unit vectors of shape ``(len(texts), dimension)``, float32, in the order of ``texts``.
        """
        raise NotImplementedError

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed what is searched for; the last questions are kept, so that each is embedded once.

        Returns:
            Unit vectors of shape ``(len(texts), dimension)``, float32, in the order of ``texts``.
        """
        kept: KeptVectors = vars(self).setdefault("_kept_queries", KeptVectors(_KEPT_QUERIES))
        return kept.get(texts, self._encode_queries, self.identity.dimension)

    def _encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions; most models embed them as they do documents."""
        return self.encode(texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts for LangChain: one list of ``dimension`` numbers a text."""
        return self.encode(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """Embed one question for LangChain."""
        return self.encode_queries([text])[0].tolist()


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has, special ones included: rather too many than too few."""
    return len(_PIECE.findall(text)) + _SPECIAL_TOKENS


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


class KeptVectors:
    """The vectors of the last texts, so that each is embedded once.

    Args:
        count: How many are kept.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, texts: Sequence[str], encode: Callable[[Sequence[str]], np.ndarray], dimension: int) -> np.ndarray:
        """Return a vector for each text, embedding only those that are not kept.

        Args:
            texts: The texts.
            encode: Embeds some of them.
            dimension: Numbers in a vector.
        """
        with self._lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:  # embedded without the lock: a search in another thread need not wait
            known.update(zip(new, encode(new), strict=True))
        with self._lock:
            for text in texts:
                self._vectors[text] = known[text]
                self._vectors.move_to_end(text)
            while len(self._vectors) > self._count:
                self._vectors.popitem(last=False)
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, dimension), dtype=np.float32)
