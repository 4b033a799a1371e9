"""The gate: whether the passages found can answer a question at all, with a threshold fitted on the bot's own data.

A small model answers from whatever it is handed, so it is only asked where the evidence speaks for an answer. The
gate is a logistic regression over what reader and retrieval know. It is fitted when a bot is built: questions with
their passages are the positives; the same questions with what answers them taken away, the declining examples, and
questions of another world are the negatives. Where the bot has questions of its own to calibrate on, those count for
more: example replies are often written next to the document, and people ask in other words.

What the base thinks of the evidence is a second opinion, weighed with the first on those questions. Without any, it is
weighed with what the reader makes of the passages, as was fitted once on another bot's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from toolkit.answering.evidence import CLEAREST, Evidence, EvidencePicker, Picked, clipped
from toolkit.errors import DataError
from toolkit.language import names, numbers, without_stems

FEATURES = (
    "log-odds of an answer in the best passage, by its span",
    "log-odds of an answer in the second best passage",
    "log-odds of the best passage answering",
    "similarity of the closest evidence",
    "words of the question in the first evidence",
    "words of the question in any one evidence",
    "words of the question in all the evidence",
    "weight of the rarest missing word",
    "share of the question that no document knows",
    "a number of the question is missing",
    "similarity of the closest evidence beside the subject",
    "both of the same evidence, the similarity halved where no word is shared",
)

# Units of evidence that the gate looks at: more than the model is shown, since the answer may stand further down.
GATE_UNITS = 6

# Questions to calibrate on count this often, and set the threshold where at least so many are answerable.
_ASKED_WEIGHT = 3.0
_FEWEST_ASKED = 20
# Strength of the regularisation: between .03 and 1 the AUC out of fold on the sample's questions is .82 to .81.
_C = 0.3


@dataclass(frozen=True)
class SecondOpinion:
    """How the gate's own judgement, the reader's and the base's are weighed: a logistic regression on their log-odds.

    Attributes:
        gate: Weight of the gate's log-odds that the evidence answers.
        span: Weight of the reader's log-odds of an answer in the best passage.
        untold: Weight of the base's log-odds that it does not tell.
        bias: The intercept.
        threshold: Questions with a lower probability are declined.
    """

    gate: float
    span: float
    untold: float
    bias: float
    threshold: float

    def probability(self, answerable: float, span: float, untold: float) -> float:
        """Return the probability that the evidence answers the question.

        Args:
            answerable: The gate's own probability.
            span: The reader's log-odds.
            untold: The base's log-odds that the evidence does not tell.
        """
        told = self.gate * _log_odds(answerable) + self.span * span + self.untold * untold
        return float(1.0 / (1.0 + np.exp(-(told + self.bias))))


# Fitted on the 216 questions of the sample's split for choosing settings, with the bundled base and reader: out of fold
# its AUC is .815, and on the sample's test questions, which draw on other documents, .95. The thresholds decline these
# shares of the answerable ones of the former, out of fold.
_KNOWN = {"gate": 0.0, "span": 0.08, "untold": -0.386, "bias": 0.929}
_KNOWN_THRESHOLDS = ((0.05, 0.225), (0.08, 0.261), (0.10, 0.277), (0.15, 0.383), (0.20, 0.452))


def known_opinion(max_false_refusals: float) -> SecondOpinion:
    """Return the weighing for a bot without questions to calibrate on, on the bundled base and reader."""
    shares, thresholds = zip(*_KNOWN_THRESHOLDS, strict=True)
    return SecondOpinion(**_KNOWN, threshold=float(np.interp(max_false_refusals, shares, thresholds)))


@dataclass
class Gate:
    """A fitted gate.

    Attributes:
        weights: One weight for each of :data:`FEATURES`, for standardised features.
        bias: The intercept.
        mean: Mean of each feature where it was fitted.
        scale: Standard deviation of each feature where it was fitted.
        threshold: Questions with a lower probability are declined.
        near: Cosine of question and evidence from which on a decline names the nearest heading: nine of ten answerable
            questions reach it.
        reader: Identity of the reader that it was fitted with; another one's scores must not be put in.
        report: How it was fitted: counts, and both error rates measured out of fold.
        second: How the base's opinion is weighed; None where it was not asked.
    """

    weights: list[float]
    bias: float
    mean: list[float]
    scale: list[float]
    threshold: float
    near: float = 0.0
    reader: str = ""
    report: dict[str, float] = field(default_factory=dict)
    second: SecondOpinion | None = None

    def judge(self, features: np.ndarray, untold: float | None = None) -> tuple[float, bool]:
        """Return the probability that the evidence answers the question, and whether that is too little.

        Args:
            features: What :func:`gate_features` returned.
            untold: The base's log-odds that the evidence does not tell, where it was asked.
        """
        probability = self.probability(features)
        if self.second is not None and untold is not None:
            probability = self.second.probability(probability, float(features[0]), untold)
        return probability, probability < self.threshold_for(untold)

    def threshold_for(self, untold: float | None) -> float:
        """Return the probability under which is declined: another one where the base was asked."""
        return self.threshold if self.second is None or untold is None else self.second.threshold

    def probability(self, features: np.ndarray) -> float:
        """Return the probability that the evidence answers the question."""
        standard = (features - np.asarray(self.mean)) / np.asarray(self.scale)
        return float(1.0 / (1.0 + np.exp(-(standard @ np.asarray(self.weights) + self.bias))))

    def save(self, file: Path) -> None:
        """Write the gate as JSON."""
        file.write_text(json.dumps(asdict(self) | {"features": FEATURES}, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Gate:
        """Read a gate.

        Raises:
            DataError: It was fitted on other features than this version computes.
        """
        content = json.loads(file.read_text(encoding="utf-8"))
        if tuple(content.pop("features")) != FEATURES:
            raise DataError(f"{file} was fitted by another version.", "Fit it again with: housevoice build <bot.yaml>")
        second = content.pop("second", None)
        return cls(**content, second=SecondOpinion(**second) if second else None)


def gate_features(question: str, picked: Picked, picker: EvidencePicker) -> np.ndarray:
    """Return what the gate looks at, an array of shape (len(FEATURES),)."""
    lexicon, evidence = picker.lexicon, picked.evidence[:GATE_UNITS]
    if not evidence:
        return np.array([-CLEAREST, -CLEAREST, -CLEAREST, 0, 0, 0, 0, 1, 1, 1, 0, 0], dtype=float)
    asked = lexicon.stems(question)
    weights = {stem: lexicon.weight(stem) for stem in asked}
    held = set().union(*(item.stems for item in evidence))
    missing = [weight for stem, weight in weights.items() if stem not in held]
    total = sum(weights.values()) or 1.0
    strange = sum(weight for stem, weight in weights.items() if not lexicon.holding.get(stem))
    told = set().union(*(numbers(item.shown, lexicon.language) for item in evidence))
    return np.array(
        [
            *_reading(picked),
            max(item.similarity for item in evidence),
            evidence[0].coverage,
            max(item.coverage for item in evidence),
            lexicon.coverage(asked, held),
            max(missing, default=0.0) / (lexicon.weight("") or 1.0),
            strange / total,
            float(bool(numbers(question, lexicon.language) - told)),
            *_beside_the_subject(question, evidence, picker),
        ]
    )


def _reading(picked: Picked) -> tuple[float, float, float]:
    """Return what the reader makes of the passages: both best spans, and the best passage as a whole."""
    if not picked.readings:
        return 0.0, 0.0, 0.0
    spans = sorted((clipped(reading.best_span().score) for reading in picked.readings), reverse=True)
    return spans[0], spans[min(1, len(spans) - 1)], clipped(max(reading.answerable for reading in picked.readings))


def _beside_the_subject(question: str, evidence: Sequence[Evidence], picker: EvidencePicker) -> tuple[float, float]:
    """Compare question and evidence with the subject that they share taken out of both.

    A question about a thing that the documents describe is close to every sentence about that thing. Whether a
    sentence tells what is asked shows in what is left once the thing's name is gone.
    """
    lexicon, language = picker.lexicon, picker.lexicon.language
    asked, told, covered = [], [], []
    for item in evidence:
        heading = f"{item.passage.heading} {item.passage.metadata.get('title') or ''} {item.passage.source}"
        subject = set(lexicon.stems(question)) & (set(lexicon.stems(heading)) | names(item.quote, language))
        rest = without_stems(question, subject, language)
        asked.append(rest or "?")
        told.append(without_stems(item.quote, subject, language) or ".")
        covered.append(lexicon.coverage(lexicon.stems(rest), item.stems))
    vectors = picker.vectors([*asked, *told])
    close = (vectors[: len(asked)] * vectors[len(asked) :]).sum(axis=1)
    both = max(float(value) * (0.5 + 0.5 * share) for value, share in zip(close, covered, strict=True))
    return float(close.max()), both


def fit_gate(
    answerable: np.ndarray,
    unanswerable: np.ndarray,
    *,
    max_false_refusals: float,
    asked: tuple[np.ndarray, np.ndarray] | None = None,
    untold: np.ndarray | None = None,
    reader: str = "",
) -> Gate:
    """Fit the gate and its threshold.

    The threshold is the highest that declines at most ``max_false_refusals`` of the answerable questions, judged
    on folds that were not fitted on.

    Args:
        answerable: Features of shape (n, len(FEATURES)).
        unanswerable: Features of shape (m, len(FEATURES)).
        max_false_refusals: Share of answerable questions that may be declined.
        asked: The same two for questions as people ask them. They weigh more, and where enough of them are
            answerable the threshold and the report are theirs alone.
        untold: The base's log-odds that the evidence does not tell, for all ``asked``: of shape (n + m,).
        reader: Identity of the reader behind the features.

    Raises:
        DataError: Fewer than 5 of either kind.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if len(answerable) < 5 or len(unanswerable) < 5:
        raise DataError("There are too few questions to fit the gate on.", "Add documents or example replies.")
    groups = [answerable, unanswerable, *(part for part in asked or () if len(part))]
    x = np.vstack(groups)
    sizes = [len(answerable), len(unanswerable), *(len(part) for part in asked or ())]
    y = np.concatenate([np.full(size, 1 - index % 2) for index, size in enumerate(sizes)])
    real = np.arange(len(y)) >= sizes[0] + sizes[1]
    weight = np.where(real, _ASKED_WEIGHT, 1.0)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    model = LogisticRegression(C=_C, class_weight="balanced", max_iter=1000)
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    held_out = cross_val_predict(
        model, (x - mean) / scale, y, cv=folds, method="predict_proba", params={"sample_weight": weight}
    )[:, 1]
    by_people = (real & (y == 1)).sum() >= _FEWEST_ASKED
    judged = real if by_people else ~real
    yes, no = held_out[judged & (y == 1)], held_out[judged & (y == 0)]
    # Lower: between two of few questions, more of them would be declined than may be.
    threshold = float(np.quantile(yes, max_false_refusals, method="lower"))
    model.fit((x - mean) / scale, y, sample_weight=weight)
    report = {
        "answerable": float(len(yes)),
        "unanswerable": float(len(no)),
        "false_refusals": float((yes < threshold).mean()),
        "right_refusals": float((no < threshold).mean()) if len(no) else 0.0,
    }
    second = None
    if untold is not None and by_people:
        second, held_out = _second_opinion(held_out[real], untold, y[real], max_false_refusals)
        yes, no = held_out[y[real] == 1], held_out[y[real] == 0]
        report |= {"false_refusals": float((yes < second.threshold).mean()),
                   "right_refusals": float((no < second.threshold).mean())}  # fmt: skip
    similarity = x[judged & (y == 1), FEATURES.index("similarity of the closest evidence")]
    return Gate(
        weights=model.coef_[0].tolist(),
        bias=float(model.intercept_[0]),
        mean=mean.tolist(),
        scale=scale.tolist(),
        threshold=threshold,
        near=float(np.quantile(similarity, 0.1)),
        reader=reader,
        report=report,
        second=second,
    )


def _second_opinion(
    own: np.ndarray, untold: np.ndarray, y: np.ndarray, max_false_refusals: float
) -> tuple[SecondOpinion, np.ndarray]:
    """Weigh the gate's own probabilities, from folds that it was not fitted on, with what the base thinks.

    Returns:
        The weighing, and the probabilities that it gives out of fold, of the shape of ``own``.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x = np.stack([[_log_odds(value) for value in own], untold], axis=1)
    model = LogisticRegression(C=_C, class_weight="balanced", max_iter=1000)
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    held_out = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    threshold = float(np.quantile(held_out[y == 1], max_false_refusals, method="lower"))
    model.fit(x, y)
    gate, base = (float(weight) for weight in model.coef_[0])
    return SecondOpinion(gate, 0.0, base, float(model.intercept_[0]), threshold), held_out


def _log_odds(probability: float) -> float:
    kept = min(1 - 1e-6, max(1e-6, probability))
    return float(np.log(kept / (1 - kept)))
