"""Putting candidates in order: fusion, smoothing, duplicates, variety. Plain arrays, no state."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

CANDIDATES = 100
NEIGHBOURS = 5
SMOOTHING = 0.4
NEAR_DUPLICATE = 0.9
_ROWS = 4
_WORD = re.compile(r"[\w']+")
_WEIGHTY = re.compile(r"\d|^(?:no|not|never|none|nor|neither|without|except|cannot)$|n't$")


def fuse(
    dense: np.ndarray, lexical: np.ndarray, dense_top: np.ndarray, lexical_top: np.ndarray
) -> np.ndarray:
    """Add the two scores of each candidate, each in standard deviations above the mean of its own best.

    Ranks alone throw away how far the best stands out, which is what tells on which side to rely for a
    question. Every candidate has both scores, whichever side brought it.

    Args:
        dense: Cosines of the candidates, shape ``(n,)``.
        lexical: BM25 scores of the candidates, shape ``(n,)``.
        dense_top: The best cosines of the search, which set mean and deviation.
        lexical_top: The best BM25 scores of the search, zeros among them.

    Returns:
        Fused scores, shape ``(n,)``.
    """
    return 0.5 * (_standard(dense, dense_top) + _standard(lexical, lexical_top))


def _standard(values: np.ndarray, top: np.ndarray) -> np.ndarray:
    deviation = float(top.std()) if len(top) else 0.0
    # One value, or all the same: nothing stands out, and nothing may be divided by zero.
    return (values - top.mean()) / deviation if deviation > 1e-6 else np.zeros_like(values)


def smooth(scores: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Draw each score towards those of the candidate's nearest neighbours among the candidates.

    What lies among good candidates is likely good itself (score regularisation: Diaz, "Regularizing ad hoc
    retrieval scores", 2005). It does the work of pseudo-relevance feedback without a second search.

    Args:
        scores: Shape ``(n,)``.
        vectors: Unit vectors, shape ``(n, dimension)``.

    Returns:
        Smoothed scores, shape ``(n,)``.
    """
    count = min(NEIGHBOURS, len(scores) - 1)
    if count < 1:
        return scores
    # A few rows at a time: a product of this size would be shared among the cores, and waiting for a busy one
    # takes many times as long as the sum itself.
    blocks = [vectors[start : start + _ROWS] @ vectors.T for start in range(0, len(vectors), _ROWS)]
    likeness = np.clip(np.concatenate(blocks), 0.0, None)
    np.fill_diagonal(likeness, 0.0)
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    weight = np.take_along_axis(likeness, nearest, axis=1)
    drawn = (weight * scores[nearest]).sum(1) / (weight.sum(1) + 1e-9)
    return (1.0 - SMOOTHING) * scores + SMOOTHING * drawn


def without_duplicates(texts: Sequence[str], limit: int) -> list[int]:
    """Keep the first of every group of texts that say nearly the same.

    Texts that differ in a number or in a negation are never the same: a newer price or a "not" is just what
    an answer hangs on.

    Args:
        texts: Best first.
        limit: Texts wanted.

    Returns:
        Indices of up to ``limit`` texts, in order.

    Example:
        >>> without_duplicates(["It costs 9 euros.", "It costs 9 euros!", "It costs 8 euros."], 10)
        [0, 2]
    """
    kept: list[int] = []
    sets: list[frozenset[str]] = []
    for index, text in enumerate(texts):
        if len(kept) == limit:
            break
        own = frozenset(_WORD.findall(text.lower()))
        if own and any(_same(own, other) for other in sets):
            continue
        kept.append(index)
        sets.append(own)
    return kept


def _same(left: frozenset[str], right: frozenset[str]) -> bool:
    """Tell whether two sets of words overlap (Jaccard) so far that the texts are near-duplicates."""
    if min(len(left), len(right)) < NEAR_DUPLICATE * max(len(left), len(right)):
        return False
    if len(left & right) < NEAR_DUPLICATE * len(left | right):
        return False
    return not any(_WEIGHTY.search(word) for word in left ^ right)


def diversify(scores: np.ndarray, vectors: np.ndarray, limit: int, balance: float) -> list[int]:
    """Choose candidates that fit and are unlike each other.

    Maximal marginal relevance (Carbonell and Goldstein, 1998): ``balance * fit - (1 - balance) * likeness to
    the chosen``, with the fit scaled to 0..1. LangChain's takes no scores, only the question's cosines: what the
    words say of the fit would be lost (docs/measurements.md).

    Args:
        scores: Shape ``(n,)``.
        vectors: Unit vectors, shape ``(n, dimension)``.
        limit: Candidates wanted.
        balance: 1 is the plain order, 0 is variety only.

    Returns:
        Indices of up to ``limit`` candidates, in the order of choice.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> diversify(np.array([3.0, 2.9, 1.0]), vectors, 2, balance=0.4)
        [0, 2]
    """
    span = float(scores.max() - scores.min()) if len(scores) else 0.0
    fit = (scores - scores.min()) / span if span > 0 else np.ones_like(scores)
    chosen: list[int] = []
    likeness = np.zeros(len(scores))
    left = np.ones(len(scores), dtype=bool)
    while len(chosen) < min(limit, len(scores)):
        value = np.where(left, balance * fit - (1.0 - balance) * likeness, -np.inf)
        best = int(value.argmax())
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
