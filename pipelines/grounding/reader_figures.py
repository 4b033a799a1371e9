"""How good the reader is: on the dev part, on the articles kept for testing, and on ClapNQ."""

from __future__ import annotations

import random
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.grounding.data import Pair, read_pairs, read_rows
from pipelines.grounding.edits import changed, sentences
from pipelines.grounding.reader_rows import AnswerRows, ReaderRow
from pipelines.grounding.reader_support import ReplyRows, SupportRows, human_rows, read_plausible
from toolkit.reader.base import Reading

# Gives the raw logits of "answers" and "supports" and a reading with the span logits, for pairs of texts.
RawReader = Callable[[Sequence[tuple[str, str]]], list[tuple[float, float, Reading]]]
_PER_SET = 1500


def auc(scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative; nan with one class only."""
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def fit_logistic(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit ``sigmoid(features @ w + bias)`` by Newton's method with a little ridge.

    Args:
        features: Shape (rows, features).
        labels: 0 or 1, shape (rows,).
        weights: How much each row counts, shape (rows,).

    Returns:
        The weights with the bias last, shape (features + 1,).
    """
    design = np.column_stack([features, np.ones(len(features))])
    found = np.zeros(design.shape[1])
    found[0] = 1.0
    weights = weights / weights.sum() * len(weights)
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weights * (chance - labels)) + 0.1 * found
        curve = (design * (weights * chance * (1 - chance))[:, None]).T @ design + 0.1 * np.eye(len(found))
        found -= np.linalg.solve(curve, slope)
    return found


def calibrate(answer: dict[str, Any], support: dict[str, Any]) -> dict[str, list[float]]:
    """Fit the calibration on the dev part, each set counting alike.

    Returns:
        ``answerable``: weight of the logit, weight of the best span's score, bias; ``support``: weight, bias.
    """

    def balanced(sets: Sequence[str]) -> np.ndarray:
        counts = Counter(sets)
        return np.array([1 / counts[name] for name in sets])

    spans = np.clip(np.array(answer["span"]), -15, 15)
    both = np.column_stack([answer["logit"], spans])
    labels = np.array(answer["label"], dtype=float)
    found = fit_logistic(both, labels, balanced(answer["set"]))
    kept = np.array(support["logit"])[:, None]
    judged = fit_logistic(kept, np.array(support["label"], dtype=float), balanced(support["set"]))
    return {"answerable": [float(x) for x in found], "support": [float(x) for x in judged]}


def answer_scores(read: RawReader, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Read pairs as they are, those with a title under it, and return logits, span scores, labels and sets."""
    raw = read([(pair.question, shown(pair)) for pair in pairs])
    return {
        "logit": [row[0] for row in raw],
        "span": [row[2].best_span().score for row in raw],
        "label": [pair.answerable for pair in pairs],
        "set": [pair.set for pair in pairs],
    }


def support_scores(read: RawReader, rows: Sequence[ReaderRow]) -> dict[str, Any]:
    """Judge support rows and return logits, labels and sets."""
    raw = read([(row.first, row.second) for row in rows])
    return {
        "logit": [row[1] for row in raw],
        "label": [row.label > 0.5 for row in rows],
        "set": ["human" if row.kind == "support human" else "built" for row in rows],
        "kind": [row.kind for row in rows],
    }


def shown(pair: Pair) -> str:
    """Return the passage as serving shows it: under its document's name where it has one."""
    title = pair.title.replace("_", " ")
    if not title or pair.passage.startswith(title):
        return pair.passage
    return f"{title}: {pair.passage}"


class Exam:
    """The questions that a reader is examined on, read once.

    Args:
        data: Folder with the public rows.
        squad: SQuAD 2.0's file, or None.
        limit: Use only this many of each set, for a try.
    """

    def __init__(self, data: Path, squad: Path | None, limit: int = 0) -> None:
        pairs = read_pairs(data, squad)
        most = limit or _PER_SET
        by_set: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            if pair.part == "dev":
                by_set[pair.set].append(pair)
        chance = random.Random(0)
        self.dev = [p for rows in by_set.values() for p in chance.sample(rows, min(most, len(rows)))]
        self.squad = [pair for pair in pairs if pair.part == "test"]
        if limit:
            self.squad = self.squad[:: max(1, len(self.squad) // limit)]
        clapnq = list(read_rows(data / "clapnq_dev.jsonl.gz"))
        clapnq = clapnq[:: max(1, len(clapnq) // limit)] if limit else clapnq
        self.clapnq = [
            Pair(row["set"], row["question"], row["passage"], row["answer"] or None, bool(row["label"]), row["doc"],
                 row["how"])
            for row in clapnq
        ]  # fmt: skip
        self.support = support_dev(data, squad, self.dev, chance)[: limit * 4 or None]
        self.claims = _claims(self.clapnq, chance)

    def calibration(self, read: RawReader) -> dict[str, list[float]]:
        """Fit the calibration on the dev part."""
        return calibrate(answer_scores(read, self.dev), support_scores(read, self.support))

    def dev_figures(self, read: RawReader, calibration: dict[str, list[float]] | None = None) -> dict[str, Any]:
        """Return the figures of the dev part, a set each."""
        scores = answer_scores(read, self.dev)
        calibration = calibration or self.calibration(read)
        found = {}
        for name in sorted(set(scores["set"])):
            at = [i for i, other in enumerate(scores["set"]) if other == name]
            found[name] = _answer_figures({key: [values[i] for i in at] for key, values in scores.items()}, calibration)
        judged = support_scores(read, self.support)
        return {"answerable": found, "support": _support_figures(judged, calibration)}

    def test_figures(self, read: RawReader, calibration: dict[str, list[float]]) -> dict[str, Any]:
        """Return the figures of what nothing was trained or chosen on."""
        claims = support_scores(read, self.claims)
        return {
            "clapnq_dev": _answer_figures(answer_scores(read, self.clapnq), calibration),
            "squad2": _answer_figures(answer_scores(read, self.squad), calibration),
            "squad2_span": self._spans(read, calibration),
            "clapnq_claims": {"support_auc": _round(auc(claims["logit"], claims["label"])), "rows": len(self.claims)},
        }

    def _spans(self, read: RawReader, calibration: dict[str, list[float]]) -> dict[str, float]:
        """Find the answers of the test questions in their passage and two others of the article."""
        chance = random.Random(1)
        passages: dict[str, dict[str, str]] = defaultdict(dict)
        for pair in self.squad:
            passages[pair.doc].setdefault(pair.passage, shown(pair))
        asked = [pair for pair in self.squad if pair.answerable and pair.answer]
        choices = []
        for pair in asked:
            others = [text for text in passages[pair.doc] if text != pair.passage]
            picked = [pair.passage, *chance.sample(others, min(2, len(others)))]
            choices.append([passages[pair.doc][text] for text in picked])
        raw = read([(p.question, text) for p, texts in zip(asked, choices, strict=True) for text in texts])
        exact = overlap = right = at = 0.0
        for pair, texts in zip(asked, choices, strict=True):
            rows = raw[int(at) : int(at) + len(texts)]
            at += len(texts)
            spans = [row[2].best_span() for row in rows]
            scores = [
                _logit(calibration, row[0], span.score) + span.score for row, span in zip(rows, spans, strict=True)
            ]
            best = int(np.argmax(scores))
            said = texts[best][spans[best].start : spans[best].end]
            exact += _plain(said) == _plain(pair.answer or "")
            overlap += _f1(said, pair.answer or "")
            right += best == 0
        count = max(1, len(asked))
        return {"em": _round(exact / count), "f1": _round(overlap / count), "passage": _round(right / count),
                "questions": len(asked)}  # fmt: skip


def support_dev(data: Path, squad: Path | None, dev: Sequence[Pair], chance: random.Random) -> list[ReaderRow]:
    """Return the support rows of the dev part: those that people judged first, then built ones."""
    rows = human_rows(data, "dev")
    made = SupportRows(AnswerRows(dev), read_plausible(squad, "dev"))
    built = [row for index in range(len(dev)) for row in made.make(index, chance)]
    replies = ReplyRows(data, "dev")
    rows.extend(row for index in range(len(replies)) for row in replies.make(index, chance))
    return rows + chance.sample(built, min(1500, len(built)))


def _claims(pairs: Sequence[Pair], chance: random.Random) -> list[ReaderRow]:
    """Return ClapNQ's answers, which people wrote over the passage, as they are and with one thing changed."""
    rows = []
    for pair in pairs:
        for a, b in sentences(pair.answer or ""):
            said = (pair.answer or "")[a:b]
            rows.append(ReaderRow("support", said, pair.passage, 1.0, kind="claim"))
            if false := changed(said, chance, negate=0.5):
                rows.append(ReaderRow("support", false, pair.passage, 0.0, kind="claim changed"))
    return rows


def _logit(calibration: dict[str, list[float]], logit: Any, span: Any) -> Any:
    """Return the calibrated log-odds of "answers"."""
    a, b, bias = calibration["answerable"]
    return a * np.asarray(logit) + b * np.clip(np.asarray(span), -15, 15) + bias


def _answer_figures(scores: dict[str, Any], calibration: dict[str, list[float]]) -> dict[str, float]:
    """Return AUC of the head alone, of the span score alone and of both, and what a few thresholds do."""
    labels = np.array(scores["label"], dtype=bool)
    chance = 1 / (1 + np.exp(-_logit(calibration, scores["logit"], scores["span"])))
    found = {
        "auc": _round(auc(chance, labels)),
        "auc_head": _round(auc(scores["logit"], labels)),
        "auc_span": _round(auc(scores["span"], labels)),
        "rows": len(labels),
        "answerable": int(labels.sum()),
        "brier": _round(float(np.mean((chance - labels) ** 2))),
    }
    for threshold in (0.1, 0.3, 0.5, 0.7):
        over = chance >= threshold
        found[f"answered_at_{threshold}"] = _round(float(over[labels].mean()) if labels.any() else 0)
        found[f"wrongly_at_{threshold}"] = _round(float(over[~labels].mean()) if (~labels).any() else 0)
    return found


def _support_figures(scores: dict[str, Any], calibration: dict[str, list[float]]) -> dict[str, Any]:
    """Return the AUC of what people judged and of built rows, how each built kind fares, and thresholds."""
    a, bias = calibration["support"]
    logits, labels = np.array(scores["logit"]), np.array(scores["label"], dtype=bool)
    chance = 1 / (1 + np.exp(-np.clip(a * logits + bias, -30, 30)))
    sets, kinds = np.array(scores["set"]), np.array(scores["kind"])
    found: dict[str, Any] = {}
    for name in ("human", "built"):
        at = sets == name
        found[f"auc_{name}"] = _round(auc(logits[at], labels[at]))
        found[f"rows_{name}"] = int(at.sum())
        for threshold in (0.3, 0.5, 0.7):
            over = chance >= threshold
            found[f"{name}_kept_at_{threshold}"] = _round(_mean(over[at & labels]))
            found[f"{name}_wrongly_at_{threshold}"] = _round(_mean(over[at & ~labels]))
    found["kept_at_0.5_by_kind"] = {
        kind: f"{_mean(chance[kinds == kind] >= 0.5):.2f} of {int((kinds == kind).sum())}"
        for kind in sorted(set(kinds))
    }
    return found


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _round(value: float) -> float:
    return round(float(value), 4)


def _plain(text: str) -> str:
    """Return an answer as SQuAD compares it: lower case, without articles and punctuation."""
    text = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _f1(said: str, right: str) -> float:
    """Return the overlap of two answers in words, as SQuAD counts it."""
    a, b = _plain(said).split(), _plain(right).split()
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b)) if common else 0.0
