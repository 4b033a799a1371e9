"""Words as evidence: stems, numbers and names of a text, and how rare a stem is in the documents."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from toolkit.language.languages import ENGLISH, Language

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WORD_OR_MARK = re.compile(rf"{_WORD.pattern}|[^\w\s]")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<![.!?:;\n-] )(?<!^)(?<![\w\"'(“])[A-Z][\w-]*[\w]")


@functools.lru_cache(maxsize=65536)
def _stem(word: str, stemmer: str) -> str:
    # A Stemmer is not safe to share between threads, and the cache makes it rarely needed.
    import Stemmer

    return str(Stemmer.Stemmer(stemmer).stemWord(word)) if stemmer else word


def stems(text: str, language: Language = ENGLISH) -> list[str]:
    """Return the stems of the content words of a text, in order; number words become digits."""
    found = []
    for match in _WORD.finditer(text.lower()):
        word = match.group().replace("’", "'").removesuffix("'s")
        word = language.number_words.get(word, word)
        if word not in language.stop_words and (len(word) > 1 or word.isdigit()):
            found.append(_stem(word, language.stemmer))
    return found


def without_stems(text: str, unwanted: Collection[str], language: Language = ENGLISH) -> str:
    """Return a text without the words of the given stems."""
    words = (match.group() for match in _WORD_OR_MARK.finditer(text))
    return " ".join(word for word in words if not any(stem in unwanted for stem in stems(word, language)))


def numbers(text: str, language: Language = ENGLISH) -> set[str]:
    """Return the numbers that a text states, in digits or as words, without thousands marks.

    The word for one is left out: it is an article as often as a number.
    """
    found = {re.sub(r"(?<=\d),(?=\d{3}\b)", "", match.group()).rstrip(".,:") for match in _NUMBER.finditer(text)}
    spelt = {language.number_words.get(word) for word in re.findall(r"[^\W\d_]+", text.lower())}
    return found | {number for number in spelt if number and number != "1"}


def names(text: str, language: Language = ENGLISH) -> set[str]:
    """Return the stems of capitalised words that do not start a sentence: what a reply must not make up.

    Nothing in a language that writes its common nouns with a capital.
    """
    if language.nouns_in_capitals:
        return set()
    found = (match.group() for match in _NAME.finditer(text))
    return {stem for name in found if name != "I" for stem in stems(name, language)}


@dataclass
class Lexicon:
    """How many passages hold each stem.

    Attributes:
        passages: Number of passages counted.
        holding: For each stem, the number of passages that hold it.
        language: The language of the passages.
    """

    passages: int = 0
    holding: Counter[str] = field(default_factory=Counter)
    language: Language = ENGLISH

    @classmethod
    def of(cls, texts: Iterable[str], language: Language = ENGLISH) -> Lexicon:
        """Count the stems of passages."""
        lexicon = cls(language=language)
        for text in texts:
            lexicon.passages += 1
            lexicon.holding.update(set(stems(text, language)))
        return lexicon

    def stems(self, text: str) -> list[str]:
        """Return the stems of a text in the language of the passages."""
        return stems(text, self.language)

    def weight(self, stem: str) -> float:
        """Return the inverse document frequency of a stem, log((N + 1) / (n + 0.5)) as in Sparck Jones (1972)."""
        return math.log((self.passages + 1) / (self.holding.get(stem, 0) + 0.5))

    def coverage(self, question: Iterable[str], text: Collection[str]) -> float:
        """Return the share of the question's stems, weighted by rarity, that a text holds; 1 for no stems."""
        weights = {stem: self.weight(stem) for stem in question}
        total = sum(weights.values())
        return sum(weight for stem, weight in weights.items() if stem in text) / total if total > 0 else 1.0
