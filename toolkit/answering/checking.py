"""Checking a reply against its evidence, sentence by sentence, before anyone sees it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from toolkit.answering.evidence import Evidence
from toolkit.language import ENGLISH, Language, names, numbers, stems

if TYPE_CHECKING:
    from toolkit.reader import Reader

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')]?\s+")
_MARK = re.compile(r"\s*\[(\d{1,2})\]")
_WORD = re.compile(r"\w+")
# The reader's own probability: from here on it holds rather that a piece of evidence supports a sentence.
SUPPORTED = 0.5
# A sentence half of whose runs of three words stand in it before is a loop.
_LOOPING_SHARE = 0.5


@dataclass(frozen=True)
class Scales:
    """How what speaks for a sentence is weighed: a logistic regression, fitted on the bot's own replies.

    Attributes:
        support: Weight of the log-odds of the best piece of evidence supporting it, by the reader.
        unknown: Weight of the share of its words that neither evidence, question nor voice knows.
        numbers: Weight of its stating a number that stands nowhere.
        names: Weight of its naming a name that stands nowhere.
        bias: The intercept.
    """

    support: float
    unknown: float
    numbers: float
    names: float
    bias: float

    def held(self, features: np.ndarray) -> bool:
        """Tell whether a sentence with these features is held by its evidence."""
        weights = np.array([self.support, self.unknown, self.numbers, self.names])
        return float(features @ weights) + self.bias >= 0

    def to_dict(self) -> dict[str, float]:
        """Return the weights as plain data."""
        return asdict(self)


# For a bot without example replies to fit on: a number or a name that stands nowhere makes a sentence go, and so does
# a sentence most of whose words are strange while the reader sees no support. Stricter than what is fitted on the
# sample's replies (.22, -2.2, -4.7, -3.3 and 2.8), since there is no voice whose turns of phrase would be lost.
PLAIN = Scales(support=0.25, unknown=-6.0, numbers=-6.0, names=-6.0, bias=3.5)


def sentences_of_reply(text: str) -> list[str]:
    """Cut a reply where the checker cuts it."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    parts = (text[start:end].strip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [part for part in parts if part]


class Support:
    """What a question's evidence says to a sentence.

    Args:
        question: The question that is answered.
        evidence: The evidence that the model was shown, best first.
        voice: Stems that the example replies use of their own: greetings, turns of phrase.
        reader: Judges whether a piece of evidence supports a sentence; None compares words.
        language: The language of all of it.
    """

    def __init__(
        self,
        question: str,
        evidence: Sequence[Evidence],
        voice: Collection[str] = frozenset(),
        reader: Reader | None = None,
        language: Language = ENGLISH,
    ) -> None:
        self.evidence = evidence
        self._reader = reader
        self._language = language
        self._voice = set(voice)
        self._asked = set(stems(question, language))
        known = " ".join([question, *(item.shown for item in evidence)])
        self._known = set(stems(known, language)) | {stem for item in evidence for stem in item.stems}
        self._numbers = numbers(known, language)

    def of(self, sentence: str) -> np.ndarray:
        """Return the probability of each piece of evidence supporting a sentence, of shape (pieces,)."""
        if not self.evidence:
            return np.zeros(0)
        if self._reader is not None:
            return self._reader.support([(sentence, item.shown) for item in self.evidence])
        told = set(stems(sentence, self._language)) - self._voice
        beyond = [len((told - self._asked) & item.stems) for item in self.evidence]
        shared = [len(told & item.stems) for item in self.evidence]
        # Two words in common, one of which the question did not bring along.
        return np.array([(s + b) / (1 + s + b) if b and s >= 2 else 0.0 for s, b in zip(shared, beyond, strict=True)])

    def features(self, sentence: str, support: np.ndarray) -> np.ndarray:
        """Return what :class:`Scales` weighs, of shape (4,)."""
        words = set(stems(sentence, self._language))
        unknown = words - self._known - self._voice
        best = float(np.clip(support.max(initial=0.0), 1e-4, 1 - 1e-4))
        strange = names(sentence, self._language) - self._known - self._voice
        return np.array(
            [
                np.log(best / (1 - best)),
                len(unknown) / len(words) if words else 0.0,
                float(bool(numbers(sentence, self._language) - self._numbers)),
                float(bool(strange)),
            ]
        )


class ReplyChecker:
    """Lets the sentences of a reply through as they come, and leaves out what the evidence does not hold.

    A reply states the best of its evidence first: where the model states another piece before it, or none at all, the
    best is put there in its own words. The last sentence is held back until that is known.

    Args:
        question: The question that is answered.
        support: What its evidence says to a sentence.
        scales: How that is weighed.
    """

    def __init__(self, question: str, support: Support, scales: Scales = PLAIN) -> None:
        self._question = _words(question)
        self._support = support
        self._scales = scales
        self._buffer = ""
        self._held: str | None = None
        self._scores: dict[int, float] = {}
        self.sentences: list[str] = []
        self.replaced: list[str] = []

    @property
    def cited(self) -> list[Evidence]:
        """The evidence that the reply states, the best supported first."""
        order = sorted(self._scores, key=lambda index: -self._scores[index])
        return [self._support.evidence[index] for index in order]

    @property
    def text(self) -> str:
        """The reply as let through so far."""
        return " ".join(self.sentences)

    def feed(self, piece: str) -> Iterator[str]:
        """Take the next piece of the reply and yield the sentences that are complete, held, and not the last."""
        self._buffer += piece
        while match := _SENTENCE_END.search(self._buffer):
            sentence, self._buffer = self._buffer[: match.end()].strip(), self._buffer[match.end() :]
            yield from self._judge(sentence)

    def close(self) -> Iterator[str]:
        """Yield the best evidence where none was stated, and the last sentence."""
        rest, self._buffer = self._buffer.strip(), ""
        if rest and (rest[-1] in ".!?…\"”')]" or (self._held is None and not self.sentences)):
            yield from self._judge(rest)  # a last sentence that ran into the length limit is left out
        last, self._held = self._held, None
        if not self._scores and self._support.evidence:
            yield from self._state_best()
        if last is not None:
            yield from self._let_through(last)

    def _judge(self, written: str) -> Iterator[str]:
        sentence = _MARK.sub("", written).strip()
        if not sentence or self._says_nothing(sentence):
            return
        support = self._support.of(sentence)
        if not self._scales.held(self._support.features(sentence, support)):
            self.replaced.append(sentence)
            return
        if self._held is not None:
            yield from self._let_through(self._held)
            self._held = None
        if support.max(initial=0.0) >= SUPPORTED and support[0] < SUPPORTED and 0 not in self._scores:
            yield from self._state_best()  # a small model tells the neighbouring fact: the best comes first
        self._held = sentence
        self._cite(written, support)

    def _says_nothing(self, sentence: str) -> bool:
        """Tell whether a sentence says again what was said or asked, or runs in a circle, as small models do."""
        words = _words(sentence)
        if words == self._question or any(words == _words(said) for said in [*self.sentences, self._held or ""]):
            return True
        runs = Counter(zip(words, words[1:], words[2:], strict=False))
        return len(words) >= 8 and 1 - len(runs) / max(1, sum(runs.values())) >= _LOOPING_SHARE

    def _state_best(self) -> Iterator[str]:
        """Yield the best evidence in its own words."""
        self._scores[0] = 1.0
        yield from self._let_through(" ".join(self._support.evidence[0].quote.split()))

    def _let_through(self, sentence: str) -> Iterator[str]:
        self.sentences.append(sentence)
        yield sentence

    def _cite(self, written: str, support: np.ndarray) -> None:
        """Note the evidence that a sentence states: what it cites by number, if it holds, or what supports it best."""
        numbered = [int(mark) - 1 for mark in _MARK.findall(written)]
        right = [index for index in numbered if 0 <= index < len(support) and support[index] >= SUPPORTED]
        if not right:  # a fact may stand in more than one place
            right = [index for index, score in enumerate(support) if score >= SUPPORTED]
        for index in right:
            self._scores[index] = max(self._scores.get(index, 0.0), float(support[index]))


def fit_scales(held: np.ndarray, unheld: np.ndarray, most_lost: float) -> Scales:
    """Fit the weighing of sentences.

    Args:
        held: Features of sentences that their evidence holds, of shape (n, 4).
        unheld: Features of sentences that it does not hold, of shape (m, 4).
        most_lost: Share of the sentences that are held which may be left out.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.vstack([held, unheld])
    y = np.repeat([1, 0], [len(held), len(unheld)])
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(x, y)
    weights = model.coef_[0].copy()
    # A strange word, number or name never speaks for a sentence, whatever a small sample says.
    weights = np.where([True, False, False, False], np.maximum(weights, 0), np.minimum(weights, 0))
    threshold = float(np.quantile(held @ weights, most_lost, method="lower"))
    support, unknown, strange_numbers, strange_names = (float(weight) for weight in weights)
    return Scales(support, unknown, strange_numbers, strange_names, bias=-threshold + 1e-6)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
