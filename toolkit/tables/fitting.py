"""Fitting the reading of questions over tables: on a language's patterns, filled with the words of the bot's tables."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from toolkit.language import Lexicon
from toolkit.progress import Progress
from toolkit.tables.asking import Asker, aspect_of
from toolkit.tables.candidates import FEATURES, Candidate
from toolkit.tables.grounding import IndexedTable
from toolkit.tables.model import Row, Table
from toolkit.tables.quantities import Measures
from toolkit.tables.reading import (
    Encoder,
    Explained,
    HeadFit,
    Heads,
    filled,
    only_aspect,
    slots_of,
    words_of_aspect,
)
from toolkit.tables.wording import Wording
from toolkit.tables.wordings import wording_of

# Questions that are asked of the bot's own tables to learn when an understanding is right; each takes a few
# milliseconds.
_ASKED = 800
# Share of the questions that want no table which may be taken for one that does, out of fold.
_MOST_TAKEN = 0.01
# What is wrongly computed costs twice what is wrongly left to the passages, which answer some of that as well.
_WRONG_COSTS = 2.0
_C = 1.0
_FOLDS = 8
_UNEXPLAINED = FEATURES.index("weight of the words that nothing explains")
_FEWEST = 20  # of each kind, for a fit to mean anything


@dataclass
class TableSense:
    """What a bot knows of questions over its tables: fitted when it is built.

    Attributes:
        heads: Read what a question wants.
        weights: One for each of :data:`FEATURES`, standardised.
        bias: The intercept.
        mean: Mean of each feature where it was fitted.
        scale: Standard deviation of each feature where it was fitted.
        threshold: A question less likely understood is left to the passages.
        report: Counts, and how it does out of fold.
    """

    heads: Heads
    weights: list[float]
    bias: float
    mean: list[float]
    scale: list[float]
    threshold: float
    report: dict[str, float]

    def probability(self, features: np.ndarray) -> float:
        """Return the probability that a question was understood rightly, by its features."""
        standard = (features - np.asarray(self.mean)) / np.asarray(self.scale)
        return float(1.0 / (1.0 + np.exp(-(standard @ np.asarray(self.weights) + self.bias))))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"features": list(FEATURES)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TableSense | None:
        """Read what :meth:`to_dict` returned; None where another version made it, which a build mends."""
        content = dict(content)
        if tuple(content.pop("features", ())) != FEATURES:
            return None
        return cls(**content | {"heads": Heads.from_dict(content["heads"])})


@dataclass(frozen=True)
class _Asked:
    text: str
    operation: str
    table: Table
    kind: str

    def means(self, candidate: Candidate) -> bool:
        """Tell whether that is what was asked."""
        measure = candidate.measure or (candidate.condition.measure if candidate.condition else None)
        return (
            candidate.operation == self.operation
            and candidate.grounded.table.table is self.table
            and (measure is None or aspect_of(measure.kind) == aspect_of(self.kind))
        )


def fit_sense(
    encoder: Encoder,
    lexicon: Lexicon,
    tables: Sequence[Table],
    ordinary: Sequence[str] = (),
    *,
    on_progress: Progress | None = None,
) -> TableSense | None:
    """Fit the reading of questions over tables.

    Args:
        encoder: The bot's embedder.
        lexicon: How rare words are, and their language.
        tables: The tables of its documents.
        ordinary: Questions that its people answer without a table: those to calibrate on, and those of the examples.
        on_progress: Called with what is being done, done, total.

    Returns:
        What was fitted; None without tables that can be computed over, or in a language without such questions.
    """
    wording = wording_of(lexicon.language)
    usable = [table for table in tables if table.measures]
    if wording is None or not usable:
        return None
    explained, measures = Explained.of(wording, lexicon.language), Measures(lexicon.language)
    indexed = [IndexedTable(table, lexicon) for table in tables]
    fit = HeadFit(encoder, wording, ordinary)
    judged, read = _Judged(), []
    for fold in range(_FOLDS):  # what is learnt of patterns and ordinary questions that the heads have not seen
        blind, known = fit.heads(fold, _FOLDS), _Embedded(encoder)
        read.append(fit.read_rightly(blind, fold, _FOLDS))
        asker = Asker(indexed, blind, known, measures, lexicon, wording, explained)
        asked = _asked_of(usable, wording, _patterns(wording, fold), lexicon, random.Random(fold))
        without = {id(table): asker.but(table) for table in usable}
        plain = [text for number, text in enumerate(ordinary, start=fit.first_ordinary) if number % _FOLDS == fold]
        known.embed([asker.read_as(text) for text in [*(item.text for item in asked), *plain]])
        known.embed([without[id(item.table)].read_as(item.text) for item in asked])
        for item in asked:
            judged.add(asker.candidates(item.text), item)
            judged.add(_strange(without[id(item.table)].candidates(item.text)))
        for text in plain:
            judged.add(asker.candidates(text), ordinary=True)
        if on_progress:
            on_progress("Learning to read questions over tables", fold + 1, _FOLDS)
    return _accepting(fit.heads(), float(np.mean(read)), judged, len(ordinary))


class _Embedded:
    """An encoder of texts that were embedded before, many at once: one by one takes three times as long."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> None:
        """Embed those that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors |= dict(zip(new, self._encoder.encode_queries(new), strict=True))

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return their vectors, of shape (number of texts, dimension)."""
        return np.stack([self._vectors[text] for text in texts])


def _strange(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the ways to understand a question without the table it was asked of, where they leave words unexplained.

    Where another table knows all of its words it may well be asked of that one.
    """
    return [candidate for candidate in candidates if candidate.features[_UNEXPLAINED] > 0]


class _Judged:
    """Ways to understand questions, and whether each is right."""

    def __init__(self) -> None:
        self.features: list[np.ndarray] = []
        self.right: list[bool] = []
        self.question: list[int] = []
        self.ordinary: set[int] = set()
        self._questions = 0

    def add(self, candidates: Sequence[Candidate], asked: _Asked | None = None, *, ordinary: bool = False) -> None:
        """Take the candidates of one question, none of them right where it was not asked of a table."""
        for candidate in candidates:
            if candidate.compute():
                self.features.append(candidate.features)
                self.right.append(asked is not None and asked.means(candidate))
                self.question.append(self._questions)
        if ordinary:
            self.ordinary.add(self._questions)
        self._questions += 1


def _patterns(wording: Wording, fold: int) -> list[tuple[str, str]]:
    """Return the patterns of a fold, each with its operation."""
    listed = [(operation, pattern) for operation, patterns in wording.patterns.items() for pattern in patterns]
    return [item for number, item in enumerate(listed) if number % _FOLDS == fold]


def _asked_of(
    tables: Sequence[Table],
    wording: Wording,
    patterns: Sequence[tuple[str, str]],
    lexicon: Lexicon,
    chance: random.Random,
) -> list[_Asked]:
    """Ask patterns of the tables: each filled with the names, amounts and cells of one."""
    found = []
    for index in range(_ASKED // _FOLDS):
        operation, pattern = patterns[index % len(patterns)]
        only, pattern = only_aspect(pattern)
        table = chance.choice(tables)
        fitting = [measure for measure in table.measures if only in ("", aspect_of(measure.kind))]
        if not fitting:
            continue
        measure = chance.choice(fitting)
        chosen = _group(table, lexicon, chance)
        amounts = [value.said for value in measure.values if value is not None]
        if chosen is None or len(chosen[1]) < 2 or not amounts:
            continue
        group, rows = chosen
        a, b = chance.sample([row.label for row in rows], 2)
        others = [name for name in table.short_columns if name != table.naming]
        cells = [row.cells[name] for row in rows for name in others if row.cells.get(name)]
        plain = "a" in slots_of(pattern) or operation == "none"
        choices = words_of_aspect(wording, wording.aspects[aspect_of(measure.kind)]) | {
            "row": [group], "rows": [group], "a": [a], "b": [b] if plain else cells, "n": amounts,
            "compared": [said.format(n=chance.choice(amounts)) for each in wording.compared.values() for said in each],
        }  # fmt: skip
        if text := filled(pattern, choices, chance):
            found.append(_Asked(text, operation, table, measure.kind))
    return found


def _group(table: Table, lexicon: Lexicon, chance: random.Random) -> tuple[str, list[Row]] | None:
    """Return what several rows are called, and them: a word that their names share, or the column of the names."""
    held: dict[str, list[Row]] = {}
    for row in table.rows:
        for word in set(row.cells.get(table.naming, "").split()):
            if word.isalpha() and lexicon.stems(word):
                held.setdefault(word, []).append(row)
    groups = {word: rows for word, rows in held.items() if 2 <= len(rows) < len(table.rows)}
    if lexicon.stems(table.naming):
        groups[table.naming] = list(table.rows)
    return chance.choice(list(groups.items())) if groups else None


def _accepting(heads: Heads, read: float, judged: _Judged, of: int) -> TableSense | None:
    """Fit when an understanding is to be trusted: by questions, each of which is held out as a whole."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    y, question = np.array(judged.right, dtype=bool), np.array(judged.question)
    if y.sum() < _FEWEST or (~y).sum() < _FEWEST:
        return None
    x = np.vstack(judged.features)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    model = LogisticRegression(C=_C, max_iter=1000)
    held_out = cross_val_predict(
        model, (x - mean) / scale, y, groups=question, cv=GroupKFold(_FOLDS), method="predict_proba"
    )[:, 1]
    model.fit((x - mean) / scale, y)
    # Of each question the best counts.
    best = [max(np.flatnonzero(question == number), key=lambda at: held_out[at]) for number in np.unique(question)]
    plain = np.array([question[at] in judged.ordinary for at in best])
    sure, right = held_out[best], y[best]
    threshold = _threshold(sure, right, sure[plain], int(_MOST_TAKEN * of))
    taken = sure >= threshold
    return TableSense(
        heads=heads,
        weights=model.coef_[0].tolist(),
        bias=float(model.intercept_[0]),
        mean=mean.tolist(),
        scale=scale.tolist(),
        threshold=threshold,
        report={
            "asked": float((~plain).sum()),
            "taken": float(taken[right].mean()),
            "right_of_taken": float(right[taken & ~plain].mean()) if (taken & ~plain).any() else 0.0,
            "ordinary": float(of),
            "ordinary_taken": float(taken[plain].sum()) / max(1, of),
            "operations_read": read,
        },
    )


def _threshold(sure: np.ndarray, right: np.ndarray, ordinary: np.ndarray, allowed: int) -> float:
    """Return the threshold from which on a question is likely enough understood, and few ordinary ones are taken.

    The probabilities are of ways to understand a question; that the best of them is right is calibrated over questions
    (Platt, 1999).

    Args:
        sure: Probability of the best understanding of each question, of shape (n,).
        right: Whether it is right, of shape (n,).
        ordinary: The probabilities of the ordinary questions among them.
        allowed: Ordinary questions that may be taken.
    """
    from sklearn.linear_model import LogisticRegression

    odds = np.log(sure / (1 - sure))[:, None]
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(odds, right)
    weight, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    strict = float(np.sort(ordinary)[::-1][allowed]) + 1e-9 if len(ordinary) > allowed else 0.0
    # As likely right as it costs: w / (1 + w) for wrong answers that weigh w times those left to the passages.
    enough = (np.log(_WRONG_COSTS) - bias) / weight if weight > 0 else np.inf
    return max(strict, float(1 / (1 + np.exp(-enough))))
