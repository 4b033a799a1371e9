"""Words as evidence: stems, numbers and names of a text, and how rare a stem is in the documents."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_WORD_OR_MARK = re.compile(rf"{_WORD.pattern}|[^\w\s]")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<![.!?:;\n-] )(?<!^)(?<![\w\"'(“])[A-Z][\w-]*[\w]")
# Words of a question that ask and do not name what is asked about.
_ASKING = frozenset(
    "how what when where which who whom whose why can could do does did is are was were will would should may might "
    "much many long often far big tell know need want get find please explain describe happen mean use thing".split()
)
_UNITS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"}


@functools.cache
def _stop_words() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    return frozenset(STOPWORDS_EN_PLUS) | _ASKING


@functools.lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    # A Stemmer is not safe to share between threads, and the cache makes it rarely needed.
    import Stemmer

    return str(Stemmer.Stemmer("english").stemWord(word))


def stems(text: str) -> list[str]:
    """Return the stems of the content words of a text, in order; number words become digits."""
    found = []
    for match in _WORD.finditer(text.lower()):
        word = match.group().replace("’", "'").removesuffix("'s")
        word = _UNITS.get(word, word)
        if word not in _stop_words() and (len(word) > 1 or word.isdigit()):
            found.append(_stem(word))
    return found


def without_stems(text: str, unwanted: Collection[str]) -> str:
    """Return a text without the words of the given stems."""
    words = (match.group() for match in _WORD_OR_MARK.finditer(text))
    return " ".join(word for word in words if not any(stem in unwanted for stem in stems(word)))


def numbers(text: str) -> set[str]:
    """Return the numbers that a text states, in digits or as words up to ninety, without thousands marks."""
    found = {re.sub(r"(?<=\d),(?=\d{3}\b)", "", match.group()).rstrip(".,:") for match in _NUMBER.finditer(text)}
    return found | {_UNITS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _UNITS and word != "one"}


def names(text: str) -> set[str]:
    """Return the stems of capitalised words that do not start a sentence: what a reply must not make up."""
    return {stem for match in _NAME.finditer(text) for stem in stems(match.group()) if match.group() != "I"}


@dataclass
class Lexicon:
    """How many passages hold each stem.

    Attributes:
        passages: Number of passages counted.
        holding: For each stem, the number of passages that hold it.
    """

    passages: int = 0
    holding: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Lexicon:
        """Count the stems of passages."""
        lexicon = cls()
        for text in texts:
            lexicon.passages += 1
            lexicon.holding.update(set(stems(text)))
        return lexicon

    def weight(self, stem: str) -> float:
        """Return the inverse document frequency of a stem, log((N + 1) / (n + 0.5)) as in Sparck Jones (1972)."""
        return math.log((self.passages + 1) / (self.holding.get(stem, 0) + 0.5))

    def coverage(self, question: Iterable[str], text: Collection[str]) -> float:
        """Return the share of the question's stems, weighted by rarity, that a text holds; 1 for no stems."""
        weights = {stem: self.weight(stem) for stem in question}
        total = sum(weights.values())
        return sum(weight for stem, weight in weights.items() if stem in text) / total if total > 0 else 1.0
