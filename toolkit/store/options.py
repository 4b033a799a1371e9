"""How a knowledge is searched where the call does not say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Reranker(Protocol):
    """Scores passages for a question by reading both together."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """Return one score a text, higher is better."""
        ...


@dataclass(frozen=True)
class SearchOptions:
    """Choices that hold for every search of a knowledge: of the chain, the retriever and the command line alike.

    Attributes:
        mmr: Balance of fit (1) and variety (0) of the passages; None looks at the fit alone.
        reranker: Name of a cross-encoder that reads the best candidates again, loaded at the first search.
        expand: Chunks before and after a hit that are joined with it where they continue it.
    """

    mmr: float | None = None
    reranker: str | None = None
    expand: int = 0
