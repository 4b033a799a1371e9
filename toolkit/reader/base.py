"""What a reader gives, and what the rest asks of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np


class Span(NamedTuple):
    """A stretch of a passage.

    Attributes:
        start: Its first character.
        end: The character after its last.
        score: Log-odds of the answer standing there against there being none; ``-inf`` where there is no stretch.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Reading:
    """What the reader makes of one passage and a question.

    Attributes:
        answerable: Calibrated log-odds of the passage answering the question.
        offsets: Characters of the passage that each token stands for, of shape (tokens, 2), int.
        start: Logit of each token being the first of the answer, above that of there being none; shape (tokens,).
        end: The same for the last token of the answer.
    """

    answerable: float
    offsets: np.ndarray = field(repr=False, compare=False)
    start: np.ndarray = field(repr=False, compare=False)
    end: np.ndarray = field(repr=False, compare=False)

    @property
    def probability(self) -> float:
        """Probability of the passage answering the question, from 0 to 1."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.answerable))))

    def best_span(self, max_tokens: int = 30) -> Span:
        """Return the likeliest answer of at most ``max_tokens`` tokens."""
        return self._best(0, len(self.offsets), max_tokens)

    def within(self, start: int, end: int, max_tokens: int = 30) -> float:
        """Return the score of the likeliest answer inside the characters from ``start`` to ``end`` of the passage.

        Args:
            start: First character of the stretch, such as a sentence.
            end: The character after its last.
            max_tokens: Longest answer in tokens.

        Returns:
            The score of :class:`Span`; ``-inf`` where no token lies inside.
        """
        inside = (self.offsets[:, 0] >= start) & (self.offsets[:, 1] <= end)
        places = np.flatnonzero(inside)
        return self._best(int(places[0]), int(places[-1]) + 1, max_tokens).score if len(places) else -math.inf

    def _best(self, first: int, last: int, max_tokens: int) -> Span:
        """Return the best span of the tokens from ``first`` up to ``last``, ``last`` left out."""
        if last <= first:
            return Span(0, 0, -math.inf)
        start, end = self.start[first:last], self.end[first:last]
        at, length, score = 0, 1, -math.inf
        for extra in range(min(max_tokens, len(start))):
            sums = start[: len(start) - extra] + end[extra:]
            best = int(np.argmax(sums))
            if sums[best] > score:
                at, length, score = best, extra + 1, float(sums[best])
        begin = self.offsets[first + at, 0]
        return Span(int(begin), int(self.offsets[first + at + length - 1, 1]), score)


class Reader(Protocol):
    """What the rest asks of a reader.

    Attributes:
        identity: Name and fingerprint of the weights: scores of two identities must not be compared.
    """

    identity: str

    def read(self, question: str, passages: Sequence[str]) -> list[Reading]:
        """Read passages with a question in mind, one reading a passage, in order."""
        ...

    def support(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Judge pairs of a sentence and its evidence.

        Returns:
            Probability that the evidence supports the sentence, of shape (pairs,), float32.
        """
        ...


def identity_of(reader: Reader | None) -> str:
    """Return the identity of a reader; empty for none."""
    return reader.identity if reader else ""
