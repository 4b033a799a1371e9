"""The BM25 side: built by bm25s from the words in the manifest, kept on the disk, and brought up to date.

The index is a main part that lies on the disk and a small part with what came since; chunks that are gone
are passed over. Only when the changes outgrow a tenth of the main part is it built anew. SQLite's FTS5 would keep
it in the manifest itself, and takes 40 times as long for a question (docs/measurements.md).

Formula: BM25 as Lucene has it, k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, 2009; Kamphuis et al., 2020).
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.store.checksum import crc_of
from toolkit.store.manifest import Manifest
from toolkit.store.vocabulary import Vocabulary

K1, B = 1.2, 0.75
SETTING = "bm25"
_CHECKSUMS = "checksums.json"
_ARRAYS = ("numbers", "data", "indices", "indptr")
MIN_CHANGES = 1000
_CHANGED_SHARE = 0.1


@dataclass(frozen=True)
class Part:
    """BM25 scores of some chunks.

    Attributes:
        numbers: Number of the chunk in each row, ascending, int64.
        data: Scores, column by column (one column a word), float32.
        indices: Row of each score, int32.
        indptr: Where each word's scores begin, shape ``(words + 1,)``, int64.
    """

    numbers: np.ndarray
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    @classmethod
    def build(cls, manifest: Manifest, numbers: np.ndarray, words: int) -> Part:
        """Score the words of chunks with bm25s."""
        import bm25s

        rows = [row.tolist() for row in manifest.words_of(numbers)]
        if not any(rows):
            return cls(numbers, np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(words + 1, np.int64))
        model = bm25s.BM25(k1=K1, b=B, method="lucene", csc_backend="scipy")
        scores = model.build_index_from_ids(list(range(words)), rows, show_progress=False)
        return cls(numbers, scores["data"], scores["indices"], scores["indptr"].astype(np.int64))

    def frequency(self, word: int) -> int:
        """Return how many of the chunks have a word."""
        return int(self.indptr[word + 1] - self.indptr[word]) if word + 1 < len(self.indptr) else 0

    def scores(self, weights: Sequence[tuple[int, float]]) -> np.ndarray:
        """Add up the scores of words, each times its weight; one score a row, float32."""
        total = np.zeros(len(self.numbers), dtype=np.float32)
        for word, weight in weights:
            if self.frequency(word):
                where = slice(self.indptr[word], self.indptr[word + 1])
                total[self.indices[where]] += self.data[where] * np.float32(weight)
        return total

    def save(self, folder: Path) -> None:
        """Write the arrays into a new folder, with a checksum of each."""
        folder.mkdir()
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        checksums = {name: crc_of(folder / f"{name}.npy") for name in _ARRAYS}
        (folder / _CHECKSUMS).write_text(json.dumps(checksums), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Part:
        """Map the arrays of a folder into memory.

        Raises:
            OSError: They are not there.
            ValueError: They are damaged.
        """
        kept = json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8"))
        if kept != {name: crc_of(folder / f"{name}.npy") for name in _ARRAYS}:
            raise ValueError(f"{folder} is damaged")
        data = np.load(folder / "data.npy", mmap_mode="r", allow_pickle=False)
        indices = np.load(folder / "indices.npy", mmap_mode="r", allow_pickle=False)
        numbers = np.load(folder / "numbers.npy", allow_pickle=False)
        indptr = np.load(folder / "indptr.npy", allow_pickle=False)
        return cls(numbers, data, indices, indptr)


class LexicalIndex:
    """BM25 over the chunks of a manifest.

    Args:
        folder: The knowledge folder.
        manifest: Its manifest.
        vocabulary: Its words.

    Attributes:
        vocabulary: Its words.
        saved: Whether the main part on the disk is the one in use.
    """

    def __init__(self, folder: Path, manifest: Manifest, vocabulary: Vocabulary) -> None:
        self._folder = folder
        self._manifest = manifest
        self.vocabulary = vocabulary
        self._main = self._load()
        self.saved = self._main is not None
        self._extra: Part | None = None
        self._gone = np.zeros(0, dtype=np.int64)
        self.refresh()

    def _load(self) -> Part | None:
        name = self._manifest.setting(SETTING)
        if not name:
            return None
        try:
            return Part.load(self._folder / name)
        except (OSError, ValueError, EOFError):
            return None

    def refresh(self) -> None:
        """Take up what changed in the manifest."""
        self.vocabulary.refresh()
        live = self._manifest.numbers()
        words = len(self.vocabulary)
        main = self._main
        if main is not None:
            new = np.setdiff1d(live, main.numbers, assume_unique=True)
            gone = np.setdiff1d(main.numbers, live, assume_unique=True)
            if len(new) + len(gone) <= max(MIN_CHANGES, _CHANGED_SHARE * len(main.numbers)):
                self._gone = np.searchsorted(main.numbers, gone)
                if self._extra is None or not np.array_equal(self._extra.numbers, new):
                    self._extra = Part.build(self._manifest, new, words) if len(new) else None
                return
        self._main = Part.build(self._manifest, live, words)
        self._extra, self._gone, self.saved = None, np.zeros(0, dtype=np.int64), False

    def save(self) -> None:
        """Keep the main part on the disk, where it was built anew; for the one writer only."""
        if self.saved or self._main is None:
            return
        old = self._manifest.setting(SETTING)
        name = f"bm25-{uuid.uuid4().hex[:12]}"
        try:
            self._main.save(self._folder / name)
        except OSError:
            # It can be built again: a full disk must not fail what the manifest has acknowledged.
            shutil.rmtree(self._folder / name, ignore_errors=True)
            return
        self._manifest.set_setting(SETTING, name)
        self.saved = True
        for path in self._folder.glob("bm25-*"):
            if path.name not in (name, old):
                shutil.rmtree(path, ignore_errors=True)

    def scores(self, query: str) -> tuple[np.ndarray, np.ndarray]:
        """Score every chunk for a question.

        Returns:
            Numbers of the chunks, int64, and their scores, float32; chunks that are gone score -1.
        """
        counts = Counter(self.vocabulary.known(self.vocabulary.stems(query)))
        parts = [part for part in (self._main, self._extra) if part is not None]
        total = sum(len(part.numbers) for part in parts)
        frequency = {word: sum(part.frequency(word) for part in parts) for word in counts}
        scored = [
            part.scores(
                [
                    (
                        word,
                        count * _idf(frequency[word], total) / _idf(part.frequency(word), len(part.numbers)),
                    )
                    for word, count in counts.items()
                ]
            )
            for part in parts
        ]
        if len(self._gone):
            scored[0][self._gone] = -1.0
        return np.concatenate([part.numbers for part in parts]), np.concatenate(scored)


def _idf(frequency: int, total: int) -> float:
    """Return how much a word tells, as Lucene has it: ``ln(1 + (N - n + 0.5) / (n + 0.5))``."""
    return float(np.log1p((total - frequency + 0.5) / (frequency + 0.5)))
