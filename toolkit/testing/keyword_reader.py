"""A double of the reader: instant, deterministic, and sure of what shares words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from toolkit.language import ENGLISH, Language, numbers, stems
from toolkit.language.sentences import split_sentences
from toolkit.reader import Reading

_WORD = re.compile(r"\w+")
# Log-odds of a sentence that holds all that is asked, and minus that for one that holds nothing of it.
_SURE = 4.0


class KeywordReader:
    """Reads by shared words: a sentence answers as far as it holds the words of the question.

    The answer is the words of such a sentence that the question does not bring along. A sentence is supported as far
    as the evidence holds its words, if it holds two of them, and not at all where the sentence states a number that the
    evidence does not.

    Args:
        language: The language of the texts.
        identity: Give another to get a reader that does not match.

    Attributes:
        asked: Every question that passages were read for, in order: what a test counts.

    Example:
        >>> reader = KeywordReader()
        >>> lamp, kite = reader.read("How long does the lamp burn?", ["The lamp burns for 38 hours.", "Silk kites."])
        >>> lamp.answerable > 0 > kite.answerable
        True
        >>> reader.support([("It burns for 38 hours.", "The lamp burns for 38 hours."), ("Ahoy!", "A lamp.")]).tolist()
        [1.0, 0.0]
    """

    def __init__(self, language: Language = ENGLISH, identity: str = "keywords@1") -> None:
        self.identity = identity
        self.language = language
        self.asked: list[str] = []

    def read(self, question: str, passages: Sequence[str]) -> list[Reading]:
        """Read passages with a question in mind, one reading a passage, in order."""
        self.asked.append(question)
        asked = set(stems(question, self.language))
        return [self._reading(asked, passage) for passage in passages]

    def support(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Judge pairs of a sentence and its evidence: probabilities of shape (pairs,), float32."""
        return np.array([self._supports(*pair) for pair in pairs], dtype=np.float32)

    def _reading(self, asked: set[str], passage: str) -> Reading:
        offsets: list[tuple[int, int]] = []
        scores: list[float] = []
        best = 0.0
        for start, end in split_sentences(passage):
            share = len(asked & set(stems(passage[start:end], self.language))) / max(1, len(asked))
            best = max(best, share)
            for match in _WORD.finditer(passage, start, end):
                told = not asked & set(stems(match.group(), self.language))
                offsets.append(match.span())
                scores.append(_SURE * (share - 0.5) - (0.0 if told else 1.0))
        logits = np.array(scores, dtype=np.float32)
        return Reading(_SURE * (2 * best - 1), np.array(offsets, dtype=int).reshape(-1, 2), logits, logits)

    def _supports(self, sentence: str, evidence: str) -> float:
        said, told = set(stems(sentence, self.language)), set(stems(evidence, self.language))
        if len(said & told) < 2 or numbers(sentence, self.language) - numbers(evidence, self.language):
            return 0.0
        return len(said & told) / len(said)
