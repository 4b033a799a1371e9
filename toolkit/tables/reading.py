"""What a question wants of a table: which operation, on what kind of quantity, compared how with an amount.

A fit on the vectors of questions that were put together from a language's patterns, as the router is: with the bot's
own embedder, and the words of the tables replaced by one that stands for any row.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from toolkit.language import Language, stems
from toolkit.tables.wording import Aspect, Wording

# Questions drawn of each pattern and aspect: with 8 rather than 4 the same share of unseen patterns is read rightly.
_DRAWN = 4
# Strength of the regularisation: of 1, 10 and 100, 10 read most patterns that were left out (90 in 100).
_C = 10.0
_FOLDS = 5


class Encoder(Protocol):
    """What is needed of an embedder."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return normalised vectors of shape (number of texts, dimension), float32."""
        ...


@dataclass
class Head:
    """A logistic regression over a question's vector.

    Attributes:
        classes: What it tells apart.
        weights: Of shape (classes, dimension).
        bias: Of shape (classes,).
    """

    classes: list[str]
    weights: list[list[float]]
    bias: list[float]

    def __post_init__(self) -> None:
        self._weights, self._bias = np.asarray(self.weights, dtype=np.float32), np.asarray(self.bias)

    def read(self, vector: np.ndarray) -> dict[str, float]:
        """Return the probability of each class for a vector of shape (dimension,)."""
        scores = self._weights @ vector + self._bias
        likely = np.exp(scores - scores.max())
        return dict(zip(self.classes, (likely / likely.sum()).tolist(), strict=True))


@dataclass
class Comparisons:
    """A logistic regression over the runs of words around an amount: "no more than" is not "more than".

    An embedder lays both close together.

    Attributes:
        runs: The runs of words that it knows, ``#`` for the amount.
        head: The regression over which of them are there.
    """

    runs: list[str]
    head: Head

    def read(self, before: str, after: str) -> dict[str, float]:
        """Return the probability of each comparison for the words before and after an amount."""
        there = _runs_of(f"{before} # {after}")
        return self.head.read(np.array([run in there for run in self.runs], dtype=np.float32))


def _runs_of(text: str) -> set[str]:
    """Return the runs of one to three words of a text, and of four where the amount is among them."""
    words = re.findall(r"[^\W\d_]+|#", text.lower())
    return {
        " ".join(words[at : at + length])
        for length in (1, 2, 3, 4)
        for at in range(len(words) - length + 1)
        if length < 4 or "#" in words[at : at + length]
    }


@dataclass(frozen=True)
class Wanted:
    """What a question wants, by probabilities.

    Attributes:
        operation: Of each operation; ``none`` for a question that wants no table.
        aspect: Of each kind of quantity.
    """

    operation: dict[str, float]
    aspect: dict[str, float]


@dataclass
class Heads:
    """Fitted readers of what a question wants.

    Attributes:
        operation: Tells the operations apart.
        aspect: Tells the kinds of quantities apart.
        compared: Tells the comparisons apart, from the few words around an amount.
    """

    operation: Head
    aspect: Head
    compared: Comparisons

    def read(self, vector: np.ndarray) -> Wanted:
        """Read the vector of a question, of shape (dimension,)."""
        return Wanted(self.operation.read(vector), self.aspect.read(vector))

    def to_dict(self) -> dict[str, Any]:
        """Return the heads as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Heads:
        """Read what :meth:`to_dict` returned."""
        compared = Comparisons(content["compared"]["runs"], Head(**content["compared"]["head"]))
        return cls(Head(**content["operation"]), Head(**content["aspect"]), compared)


@dataclass(frozen=True)
class Drawn:
    """A question put together from a pattern.

    Attributes:
        text: It.
        operation: What it wants.
        aspect: Of what kind of quantity; empty where the pattern names none.
        pattern: Number of its pattern, over all operations.
    """

    text: str
    operation: str
    aspect: str
    pattern: int


def drawn_questions(wording: Wording, *, seed: int = 0) -> list[Drawn]:
    """Put questions together from every pattern and aspect of a language, each once."""
    chance = random.Random(seed)
    listed = [(operation, pattern) for operation, patterns in wording.patterns.items() for pattern in patterns]
    found: dict[str, Drawn] = {}
    any_row = {"row": wording.row, "rows": wording.rows, "a": wording.row, "b": wording.row}
    for number, (operation, pattern) in enumerate(listed):
        only, pattern = only_aspect(pattern)
        tells = bool(only) or bool(set(slots_of(pattern)) - set(any_row))
        for name, aspect in wording.aspects.items():
            if only and name != only:
                continue
            for _ in range(_DRAWN):
                if text := filled(pattern, words_of_aspect(wording, aspect) | any_row, chance):
                    found[text] = Drawn(text, operation, name if tells else "", number)
    return list(found.values())


def only_aspect(pattern: str) -> tuple[str, str]:
    """Return the one aspect that a pattern goes with, empty for any, and the pattern itself."""
    name, bar, rest = pattern.partition("|")
    return (name, rest) if bar else ("", pattern)


def slots_of(pattern: str) -> list[str]:
    """Return the names in braces of a pattern, each once."""
    return sorted(set(re.findall(r"{(\w+)}", pattern)))


def words_of_aspect(wording: Wording, aspect: Aspect) -> dict[str, Sequence[str]]:
    """Return what the slots of a pattern may be filled with for a kind of quantity."""
    said = [text.format(n=amount) for texts in wording.compared.values() for text in texts for amount in aspect.amount]
    return asdict(aspect) | {"n": aspect.amount, "compared": said}


def filled(pattern: str, choices: Mapping[str, Sequence[str]], chance: random.Random) -> str:
    """Fill a pattern; empty where there is no word for one of its slots."""
    slots = slots_of(pattern)
    if not all(choices.get(slot) for slot in slots):
        return ""
    return " ".join(pattern.format(**{slot: chance.choice(choices[slot]) for slot in slots}).split())


def questions_about_two(wording: Wording, names: Sequence[str], joint: str) -> list[str]:
    """Return questions of a language that join two things, one of each kind of quantity for each pattern.

    Args:
        wording: Questions over tables in the language.
        names: What the questions are about.
        joint: What stands between the two.
    """
    chance, found = random.Random(0), []
    for patterns in wording.patterns.values():
        for only, pattern in map(only_aspect, patterns):
            for name, aspect in wording.aspects.items():
                choices = words_of_aspect(wording, aspect) | {
                    "a": names, "b": names, "row": wording.row, "rows": wording.rows
                }  # fmt: skip
                text = filled(pattern, choices, chance) if only in ("", name) else ""
                found += [text] if joint in text else []
    return found


def fit_comparisons(wording: Wording) -> Comparisons:
    """Fit the reader of comparisons on a language's phrases."""
    from sklearn.linear_model import LogisticRegression

    said = [(_runs_of(text.format(n="#")), name) for name, texts in wording.compared.items() for text in texts]
    runs = sorted(set().union(*(there for there, _ in said)))
    x = np.array([[run in there for run in runs] for there, _ in said], dtype=np.float32)
    model = LogisticRegression(C=_C, max_iter=1000).fit(x, np.array([name for _, name in said]))
    return Comparisons(runs, Head(model.classes_.tolist(), model.coef_.tolist(), model.intercept_.tolist()))


@dataclass(frozen=True)
class Explained:
    """Stems that say nothing of what a question is about, since questions over any table are made of them.

    Attributes:
        common: Those of the patterns and of comparisons.
        aspects: Those of each kind of quantity.
    """

    common: frozenset[str]
    aspects: dict[str, frozenset[str]]

    @classmethod
    def of(cls, wording: Wording, language: Language) -> Explained:
        """Collect them from a language's wording."""
        patterns = [
            only_aspect(text)[1]
            for operation, texts in wording.patterns.items()
            if operation != "none"
            for text in texts
        ]
        compared = [text for texts in wording.compared.values() for text in texts]
        aspects = {
            name: cls._stems([word for words in asdict(aspect).values() for word in words], language)
            for name, aspect in wording.aspects.items()
        }
        return cls(cls._stems([*patterns, *compared], language), aspects)

    @staticmethod
    def _stems(texts: Sequence[str], language: Language) -> frozenset[str]:
        return frozenset(stems(re.sub(r"{\w+}", " ", " ".join(texts)), language))

    @property
    def all(self) -> frozenset[str]:
        """All of them."""
        return self.common.union(*self.aspects.values())

    def of_aspects(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of questions about some kinds of quantities."""
        return self.common.union(*(self.aspects.get(name, frozenset()) for name in names))


class HeadFit:
    """Fits the readers of what a question wants, on questions embedded once.

    Args:
        encoder: The bot's embedder.
        wording: What questions sound like in its language.
        ordinary: Questions that want no table.
    """

    def __init__(self, encoder: Encoder, wording: Wording, ordinary: Sequence[str] = ()) -> None:
        self._drawn = drawn_questions(wording)
        vectors = encoder.encode_queries([item.text for item in self._drawn] + list(ordinary))
        self._vectors = vectors
        self._operations = np.array([item.operation for item in self._drawn] + ["none"] * len(ordinary))
        self._aspects = np.array([item.aspect for item in self._drawn] + [""] * len(ordinary))
        first = sum(map(len, wording.patterns.values()))
        self._patterns = np.array([item.pattern for item in self._drawn] + list(range(first, first + len(ordinary))))
        self._compared = fit_comparisons(wording)
        self.first_ordinary = first

    def heads(self, fold: int | None = None, folds: int = 1) -> Heads:
        """Fit the heads.

        Args:
            fold: Leave out the patterns whose number leaves this rest; None fits on all.
            folds: What it is divided by.
        """
        kept = np.ones(len(self._patterns), dtype=bool) if fold is None else self._patterns % folds != fold
        told = kept & (self._aspects != "")
        return Heads(
            _fit_head(self._vectors[kept], self._operations[kept]),
            _fit_head(self._vectors[told], self._aspects[told]),
            self._compared,
        )

    def read_rightly(self, heads: Heads, fold: int, folds: int) -> float:
        """Return the share of the patterns left out whose operation heads read rightly."""
        out = np.flatnonzero((self._patterns % folds == fold) & (self._patterns < self.first_ordinary))
        read = [heads.operation.read(self._vectors[at]) for at in out]
        said = [max(each, key=lambda name: each[name]) for each in read]
        return float(np.mean([name == self._operations[at] for name, at in zip(said, out, strict=True)]))


def _spread_out(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return vectors around their mean with a spread of one, the mean and the spread: some embedders lay all close."""
    mean = vectors.mean(axis=0)
    spread = float(np.sqrt(((vectors - mean) ** 2).sum(axis=1).mean())) + 1e-6
    return (vectors - mean) / spread, mean, spread


def _fit_head(vectors: np.ndarray, labels: np.ndarray) -> Head:
    from sklearn.linear_model import LogisticRegression

    x, mean, spread = _spread_out(vectors)
    model = LogisticRegression(C=_C, max_iter=1000).fit(x, labels)
    weights = model.coef_ / spread
    return Head(model.classes_.tolist(), weights.tolist(), (model.intercept_ - weights @ mean).tolist())
