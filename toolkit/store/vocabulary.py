"""Texts to word numbers: what the BM25 side counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from toolkit.store.manifest import Manifest

# Letters and digits of any script. Single characters stay: "C" and "R" are names.
_WORD = re.compile(r"\w+")


class Vocabulary:
    """The words of a store, each with a number that never changes.

    Args:
        manifest: Where the numbers are kept.
    """

    def __init__(self, manifest: Manifest) -> None:
        import Stemmer
        from bm25s.stopwords import STOPWORDS_EN_PLUS

        self._manifest = manifest
        self._stemmer = Stemmer.Stemmer("english")
        self._stop = frozenset(STOPWORDS_EN_PLUS)
        self._numbers: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the words that were added since, by this process or another."""
        self._numbers.update(self._manifest.words(len(self._numbers)))

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._numbers)

    def stems(self, text: str) -> list[str]:
        """Return the stemmed words of ``text`` in its order, without stop words."""
        words = [word for word in _WORD.findall(text.lower()) if word not in self._stop]
        return self._stemmer.stemWords(words)

    def learn(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Number the words of texts, giving new numbers to new words; to be called within a transaction."""
        split = [self.stems(text) for text in texts]
        new = dict.fromkeys(word for words in split for word in words if word not in self._numbers)
        numbers = {word: len(self._numbers) + index for index, word in enumerate(new)}
        self._manifest.add_words(numbers)
        known = self._numbers | numbers if numbers else self._numbers
        return [np.array([known[word] for word in words], dtype=np.int32) for words in split]

    def known(self, words: Iterable[str]) -> list[int]:
        """Return the numbers of those words that any chunk has."""
        return [self._numbers[word] for word in words if word in self._numbers]
