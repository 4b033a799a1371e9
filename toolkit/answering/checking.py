"""Checking a reply against its evidence, sentence by sentence, before anyone sees it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.answering.evidence import Encoder, Evidence, heading_of, spoken, unlisted
from toolkit.errors import DataError
from toolkit.language import ENGLISH, Language, names, numbers, stems

if TYPE_CHECKING:
    from toolkit.reader import Reader

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')]?\s+")
MARK = re.compile(r"\s*\[(\d{1,2})\]")
_WORD = re.compile(r"\w+")
# Outweighs whatever else speaks for a sentence.
_NEVER = 1e6
# The reader's own probability: from here on it holds rather that a piece of evidence supports a sentence.
SUPPORTED = 0.5
# A sentence half of whose runs of three words stand in it before is a loop.
_LOOPING_SHARE = 0.5


@dataclass(frozen=True)
class Frames:
    """The turns of phrase of a voice: what its replies say whatever they are about.

    Attributes:
        texts: One sentence each.
        near: Cosine from which on a sentence is one of them, or one turned a little otherwise.
        encoder: The embedder of the bot's knowledge. It is handed over when the bot is opened, and not stored.
    """

    texts: tuple[str, ...]
    near: float
    encoder: Encoder | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _vectors(self) -> np.ndarray:
        assert self.encoder is not None
        return self.encoder.encode(self.texts)

    def closeness(self, sentence: str) -> float:
        """Return the cosine of a sentence and the nearest turn of phrase."""
        assert self.encoder is not None
        return float((self._vectors @ self.encoder.encode([sentence])[0]).max(initial=-1.0))

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored as plain data."""
        return {"texts": list(self.texts), "near": self.near}


@dataclass(frozen=True)
class Scales:
    """How what speaks for a sentence is weighed: fitted on the bot's own replies.

    A sentence stands that says nothing strange, by a logistic regression, and that is either supported by a piece of
    evidence or a turn of phrase. Made of nothing but words that the voice uses, a sentence may still be untrue.

    Attributes:
        support: Weight of the log-odds of the best piece of evidence supporting it, by the reader.
        unknown: Weight of the share of its words that neither evidence, question nor voice knows.
        numbers: Weight of its stating a number that stands nowhere.
        names: Weight of its naming a name that stands nowhere.
        bias: The intercept.
        frames: The turns of phrase, or None where none are known: then no sentence needs to be one.
    """

    support: float
    unknown: float
    numbers: float
    names: float
    bias: float
    frames: Frames | None = None

    def held(self, features: np.ndarray) -> bool:
        """Tell whether a sentence with these features, of shape (4,), says nothing strange to its evidence."""
        weights = np.array([self.support, self.unknown, self.numbers, self.names])
        return float(features @ weights) + self.bias >= 0

    def rests(self, sentence: str, support: np.ndarray) -> bool:
        """Tell whether a sentence rests on a piece of evidence, or is a turn of phrase that needs none.

        Args:
            sentence: It.
            support: Probability of each piece of evidence supporting it, of shape (pieces,).
        """
        if support.max(initial=0.0) >= SUPPORTED or self.frames is None or self.frames.encoder is None:
            return True
        return self.frames.closeness(sentence) >= self.frames.near

    def exact(self) -> Scales:
        """Return the same, with no number let through that stands nowhere, however the voice was fitted."""
        return replace(self, numbers=-_NEVER)

    def with_encoder(self, encoder: Encoder) -> Scales:
        """Return the same with what measures how near a sentence is to a turn of phrase."""
        return replace(self, frames=self.frames and replace(self.frames, encoder=encoder))

    def to_dict(self) -> dict[str, Any]:
        """Return what was fitted as plain data."""
        frames = self.frames.to_dict() if self.frames else None
        return {part.name: getattr(self, part.name) for part in fields(self)} | {"frames": frames}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Scales:
        """Read what was fitted.

        Raises:
            DataError: It was fitted on other features than this version weighs.
        """
        if set(content) != {part.name for part in fields(cls)}:
            raise DataError(
                "The weighing of sentences was fitted by another version.",
                "Fit it again with: housevoice build <bot.yaml>",
            )
        frames = content["frames"]
        return cls(**content | {"frames": frames and Frames(tuple(frames["texts"]), frames["near"])})


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
        self.language = language
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
        told = set(stems(sentence, self.language)) - self._voice
        beyond = [len((told - self._asked) & item.stems) for item in self.evidence]
        shared = [len(told & item.stems) for item in self.evidence]
        # Two words in common, one of which the question did not bring along.
        return np.array([(s + b) / (1 + s + b) if b and s >= 2 else 0.0 for s, b in zip(shared, beyond, strict=True)])

    def touches(self, sentence: str) -> bool:
        """Tell whether a sentence is about what was asked or what the evidence says, rather than a turn of phrase."""
        return bool(numbers(sentence, self.language) or set(stems(sentence, self.language)) & self._known - self._voice)

    def features(self, sentence: str, support: np.ndarray) -> np.ndarray:
        """Return what :class:`Scales` weighs, of shape (4,)."""
        words = set(stems(sentence, self.language))
        unknown = words - self._known - self._voice
        best = float(np.clip(support.max(initial=0.0), 1e-4, 1 - 1e-4))
        strange = names(sentence, self.language) - self._known - self._voice
        return np.array(
            [
                np.log(best / (1 - best)),
                len(unknown) / len(words) if words else 0.0,
                float(bool(numbers(sentence, self.language) - self._numbers)),
                float(bool(strange)),
            ]
        )


class ReplyChecker:
    """Lets the sentences of a reply through as they come, and leaves out what the evidence does not hold.

    A reply states the best of its evidence first: where the model states another piece before it, or none at all, the
    best is put there. The last sentence is held back until that is known.

    Args:
        question: The question that is answered.
        support: What its evidence says to a sentence.
        scales: How that is weighed.
        plainly: Answers from one piece of evidence: a row of a table or a whole list is no sentence that one says.
            None, or where the evidence does not hold what it returns, the evidence is put in its own words.
        whole: Whether all the evidence is said, each piece in its own words, and the model adds turns of phrase alone.
    """

    def __init__(
        self,
        question: str,
        support: Support,
        scales: Scales = PLAIN,
        plainly: Callable[[Evidence], str] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._question = words_of(question)
        self._support = support
        self._scales = scales
        self._plainly = plainly
        self._whole = whole
        self._buffer = ""
        self._held: str | None = None
        self._written = 0
        self._opens = False  # whether what is held back is the first that was written
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
        stated = bool(self._scores) or not self._support.evidence
        if last is not None and self._opens and not stated:  # a greeting comes first, and not last
            yield from self._let_through(last)
            last = None
        if not stated:
            yield from self._state_best()
        if last is not None:
            yield from self._let_through(last)

    def _judge(self, written: str) -> Iterator[str]:
        sentence = unlisted(MARK.sub("", written))
        self._written += 1
        if not sentence or self._says_nothing(sentence):
            return
        support = self._support.of(sentence)
        said = self._support.features(sentence, support)
        if not (self._scales.held(said) and self._scales.rests(sentence, support)):
            self.replaced.append(sentence)
            return
        if self._whole and (support.max(initial=0.0) >= SUPPORTED or self._support.touches(sentence)):
            return
        if self._held is not None:
            yield from self._let_through(self._held)
            self._held = None
        if support.max(initial=0.0) >= SUPPORTED and support[0] < SUPPORTED and 0 not in self._scores:
            yield from self._state_best()  # a small model tells the neighbouring fact: the best comes first
        self._opens = self._written == 1
        self._held = sentence
        self._cite(written, support)

    def _says_nothing(self, sentence: str) -> bool:
        """Tell whether a sentence says again what was said or asked, or runs in a circle, as small models do."""
        words = words_of(sentence)
        said = [self._question, *map(words_of, [*self.sentences, self._held or ""])]
        language = self._support.language
        told = set(stems(sentence, language))
        again = [set(stems(text, language)) for text in [*self.sentences, self._held or ""]]
        if not words or words in said or (told and any(told <= earlier for earlier in again)):
            return True
        runs = Counter(zip(words, words[1:], words[2:], strict=False))
        return len(words) >= 8 and 1 - len(runs) / max(1, sum(runs.values())) >= _LOOPING_SHARE

    def _state_best(self) -> Iterator[str]:
        """Yield what the best evidence says, or all of it."""
        if self._whole:
            for index, evidence in enumerate(self._support.evidence):
                self._scores[index] = 1.0
                yield from self._let_through(evidence.quote)
            return
        self._scores[0] = 1.0
        best = self._support.evidence[0]
        written = spoken(self._plainly(best).removeprefix(heading_of(best.passage))) if self._plainly else ""
        if written and not self._says_nothing(written) and self._states(written, 0):
            yield from self._let_through(written)
        else:
            yield from self._let_through(spoken(best.quote))

    def _states(self, sentence: str, index: int) -> bool:
        """Tell whether a sentence says what a piece of evidence says, and nothing strange."""
        support = self._support.of(sentence)
        return bool(support[index] >= SUPPORTED and self._scales.held(self._support.features(sentence, support)))

    def _let_through(self, sentence: str) -> Iterator[str]:
        self.sentences.append(sentence)
        yield sentence

    def _cite(self, written: str, support: np.ndarray) -> None:
        """Note the evidence that a sentence states: what it cites by number, if it holds, or what supports it best."""
        numbered = [int(mark) - 1 for mark in MARK.findall(written)]
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


def fit_near(turns: np.ndarray, others: np.ndarray, most_lost: float) -> float:
    """Fit from which closeness on a sentence is a turn of phrase.

    It is where a logistic regression parts the two, and never so high that more turns of phrase than may be are lost:
    a voice that seldom says the same again is let speak.

    Args:
        turns: How close turns of phrase are to those of other replies, cosines of shape (n,).
        others: How close other sentences are, of shape (m,).
        most_lost: Share of the turns of phrase which may be left out.
    """
    from sklearn.linear_model import LogisticRegression

    highest = float(np.quantile(turns, most_lost, method="lower")) - 1e-6
    if not len(others):
        return highest
    y = np.repeat([1, 0], [len(turns), len(others)])
    model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000)
    model.fit(np.concatenate([turns, others])[:, None], y)
    weight, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    return min(highest, -bias / weight) if weight > 0 else highest


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters, without what stands between them."""
    return _WORD.findall(text.lower())
