"""One search: both sides asked, their candidates fused, the best returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.store import ranking
from toolkit.store.filters import sql_condition
from toolkit.store.lexical import LexicalIndex
from toolkit.store.manifest import Manifest
from toolkit.store.options import Reranker
from toolkit.store.passages import Candidate, Passage

# A filter that leaves fewer chunks than this is searched exactly, all of it.
EXACT_BELOW = 5000
_BLOCK = 4096

Nearest = Callable[[np.ndarray, int], Sequence[str]]


def hybrid_search(
    manifest: Manifest,
    lexical: LexicalIndex,
    nearest: Nearest | None,
    query: str,
    vector: np.ndarray,
    k: int,
    *,
    filter: Mapping[str, Any] | None = None,
    mmr: float | None = None,
    reranker: Reranker | None = None,
    drop_duplicates: bool = True,
) -> list[Passage]:
    """Find the passages that fit a question.

    Args:
        manifest: The truth about the chunks.
        lexical: The BM25 side.
        nearest: The vector side; None searches the vectors of the manifest exactly.
        query: The question.
        vector: Its unit vector.
        k: Passages wanted.
        filter: What the metadata must be; see :func:`toolkit.store.filters.sql_condition`.
        mmr: Balance of fit (1) and variety (0); None for the plain order.
        reranker: Reads the best candidates again and orders them.
        drop_duplicates: Whether passages that say nearly the same are shown once.

    Returns:
        Up to ``k`` passages, best first.
    """
    wide = max(ranking.CANDIDATES, 3 * k)
    allowed = None if not filter else manifest.numbers(*sql_condition(filter))
    numbers, word_scores = lexical.scores(query)
    if allowed is not None:
        word_scores = np.where(np.isin(numbers, allowed), word_scores, -1.0)
    by_words = _best(word_scores, wide)
    candidates = _dense_candidates(manifest, nearest, vector, wide, allowed)
    have = {candidate.number for candidate in candidates}
    candidates += manifest.candidates([], [n for n in numbers[by_words].tolist() if n not in have])
    if not candidates:
        return []
    vectors = np.stack([candidate.vector for candidate in candidates])
    dense = vectors @ vector
    own = np.array([candidate.number for candidate in candidates])
    words = _look_up(numbers, word_scores, own)
    fused = ranking.fuse(
        dense, words, np.sort(dense)[::-1][:wide], _padded(word_scores[by_words], min(wide, len(numbers)))
    )
    best = np.argsort(-fused, kind="stable")[:wide]
    smoothed = ranking.smooth(fused[best], vectors[best])
    order = np.argsort(-smoothed, kind="stable")
    if mmr is not None:
        order = np.array(ranking.diversify(smoothed, vectors[best], 3 * k, mmr))
    picked = [int(index) for index in order[: max(3 * k, k + 20)]]
    chunks = manifest.chunks([candidates[best[index]].id for index in picked])
    passages = [
        chunks[candidates[best[index]].id].passage(
            _readable(float(smoothed[index])),
            dense=round(float(dense[best[index]]), 6),
            bm25=round(max(0.0, float(words[best[index]])), 6),
        )
        for index in picked
        if candidates[best[index]].id in chunks
    ]
    if reranker is not None:
        passages = _reranked(reranker, query, passages)
    if drop_duplicates:
        passages = [passages[i] for i in ranking.without_duplicates([p.text for p in passages], k)]
    return passages[:k]


def _best(scores: np.ndarray, n: int) -> np.ndarray:
    """Return the indices of the ``n`` best scores above zero, best first."""
    n = min(n, len(scores))
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    top = np.argpartition(-scores, n - 1)[:n]
    top = top[scores[top] > 0]
    return top[np.argsort(-scores[top], kind="stable")]


def _padded(scores: np.ndarray, n: int) -> np.ndarray:
    """Fill up the best word scores with the zeros of chunks that have none of the words.

    Without them a word that one chunk alone has, a part number or a name, would stand out from nothing.
    """
    return np.concatenate([scores, np.zeros(max(0, n - len(scores)), dtype=scores.dtype)])


def _look_up(numbers: np.ndarray, scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the scores of the chunks ``wanted``; 0 for one that the BM25 side does not know yet."""
    if not len(numbers):
        return np.zeros(len(wanted), dtype=np.float32)
    order = np.arange(len(numbers)) if (np.diff(numbers) > 0).all() else np.argsort(numbers, kind="stable")
    place = np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(numbers) - 1)
    found = order[place]
    return np.where(numbers[found] == wanted, np.maximum(scores[found], 0.0), 0.0)


def _dense_candidates(
    manifest: Manifest, nearest: Nearest | None, vector: np.ndarray, n: int, allowed: np.ndarray | None
) -> list[Candidate]:
    """Return about ``n`` nearest chunks among those allowed."""
    if nearest is None or (allowed is not None and len(allowed) <= EXACT_BELOW):
        return exact_nearest(manifest, vector, n, allowed)
    if allowed is None:
        return manifest.candidates(nearest(vector, n), [])
    share = manifest.count() / len(allowed)
    wide = manifest.candidates(nearest(vector, int(2 * n * share)), [])
    within = np.isin([candidate.number for candidate in wide], allowed)
    found = [candidate for candidate, inside in zip(wide, within, strict=True) if inside]
    return found if len(found) >= n else exact_nearest(manifest, vector, n, allowed)


def exact_nearest(
    manifest: Manifest, vector: np.ndarray, n: int, allowed: np.ndarray | None = None
) -> list[Candidate]:
    """Compare a question with every chunk allowed, and return the ``n`` nearest, best first."""
    numbers = manifest.numbers() if allowed is None else allowed
    best: list[Candidate] = []
    for start in range(0, len(numbers), _BLOCK):
        best += manifest.candidates([], numbers[start : start + _BLOCK].tolist())
        cosines = np.stack([candidate.vector for candidate in best]) @ vector if best else np.zeros(0)
        best = [best[index] for index in np.argsort(-cosines, kind="stable")[:n]]
    return best


def _reranked(reranker: Reranker, query: str, passages: list[Passage]) -> list[Passage]:
    """Put passages in the order of a reranker's scores."""
    scores = reranker.score(query, [passage.text for passage in passages])
    scored = [replace(passage, score=float(score)) for passage, score in zip(passages, scores, strict=True)]
    return sorted(scored, key=lambda passage: -passage.score)


def _readable(score: float) -> float:
    """Bring a fused score between 0 and 1, without changing the order."""
    return round(float(1.0 / (1.0 + np.exp(-score))), 6)
