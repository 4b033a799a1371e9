"""The gate: whether the passages found can answer a question at all, with a threshold fitted on the bot's own data.

A small model answers from whatever it is handed, so it is only asked where the evidence speaks for an answer. The
gate is a logistic regression over what retrieval already knows. It is fitted when a bot is built: questions with
their passages are the positives; the same questions with the documents that answer them taken away, the declining
examples, and questions of another world are the negatives. Where the bot has questions of its own to calibrate on,
those count for more: example replies are often written next to the document, and people ask in other words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from toolkit.answering.evidence import Evidence, EvidencePicker
from toolkit.errors import DataError
from toolkit.language import names, numbers, stems, without_stems

FEATURES = (
    "similarity of the closest evidence",
    "words of the question in the first evidence",
    "words of the question in any one evidence",
    "words of the question in all the evidence",
    "weight of the rarest missing word",
    "share of the question that no document knows",
    "a number of the question is missing",
    "lead of the first evidence over the third",
    "kinds of answer that the first evidence does not hold",
    "similarity of the closest evidence beside the subject",
    "words of the question beside the subject in any one evidence",
    "both of the same evidence, the similarity halved where no word is shared",
)

# Units of evidence that the gate looks at: more than the model is shown, since the answer may stand further down.
GATE_UNITS = 6

# Questions to calibrate on count this often, and set the threshold where at least so many are answerable.
_ASKED_WEIGHT = 3.0
_FEWEST_ASKED = 20

# Questions of another world: none of these is about anybody's product or handbook.
FOREIGN_QUESTIONS = (
    "Who wrote the opera Carmen?",
    "What is the capital of Mongolia?",
    "How many moons does Jupiter have?",
    "Can you help me with my calculus homework?",
    "What was the score of the football match last night?",
    "Which president came after Abraham Lincoln?",
    "How do I make a sourdough starter?",
    "What is the boiling point of ethanol?",
    "Write me a poem about autumn leaves.",
    "Who painted the ceiling of the Sistine Chapel?",
    "What will the stock market do next week?",
    "How tall is Mount Kilimanjaro?",
    "Explain how vaccines work.",
    "What is the plot of Hamlet?",
    "Which language is spoken in Suriname?",
    "How do I train for a marathon?",
    "What is the chemical symbol for tungsten?",
    "When did the Roman Empire fall?",
    "Translate good morning into Swahili.",
    "What should I name my new puppy?",
    "How far away is the moon?",
    "Who invented the printing press?",
    "What causes the northern lights?",
    "Is it going to rain in Lisbon tomorrow?",
)


@dataclass
class Gate:
    """A fitted gate.

    Attributes:
        weights: One weight for each of :data:`FEATURES`, for standardised features.
        bias: The intercept.
        mean: Mean of each feature where it was fitted.
        scale: Standard deviation of each feature where it was fitted.
        threshold: Questions with a lower probability are declined.
        report: How it was fitted: counts, and both error rates measured out of fold.
    """

    weights: list[float]
    bias: float
    mean: list[float]
    scale: list[float]
    threshold: float
    report: dict[str, float] = field(default_factory=dict)

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
        return cls(**content)


def gate_features(question: str, evidence: Sequence[Evidence], picker: EvidencePicker) -> np.ndarray:
    """Return what the gate looks at, an array of shape (len(FEATURES),)."""
    lexicon = picker.lexicon
    if not evidence:
        return np.array([0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0], dtype=float)
    asked = stems(question)
    weights = {stem: lexicon.weight(stem) for stem in asked}
    held = set().union(*(item.stems for item in evidence))
    missing = [weight for stem, weight in weights.items() if stem not in held]
    total = sum(weights.values()) or 1.0
    strange = sum(weight for stem, weight in weights.items() if not lexicon.holding.get(stem))
    told = set().union(*(numbers(item.shown) for item in evidence))
    return np.array(
        [
            max(item.similarity for item in evidence),
            evidence[0].coverage,
            max(item.coverage for item in evidence),
            lexicon.coverage(asked, held),
            max(missing, default=0.0) / (lexicon.weight("") or 1.0),
            strange / total,
            float(bool(numbers(question) - told)),
            evidence[0].score - evidence[min(2, len(evidence) - 1)].score,
            float(evidence[0].kinds_missing),
            *_beside_the_subject(question, evidence, picker),
        ]
    )


def _beside_the_subject(
    question: str, evidence: Sequence[Evidence], picker: EvidencePicker
) -> tuple[float, float, float]:
    """Compare question and evidence with the subject that they share taken out of both.

    A question about a thing that the documents describe is close to every sentence about that thing. Whether a
    sentence tells what is asked shows in what is left once the thing's name is gone.
    """
    asked, told, covered = [], [], []
    for item in evidence:
        heading = f"{item.passage.heading} {item.passage.metadata.get('title') or ''} {item.passage.source}"
        subject = set(stems(question)) & (set(stems(heading)) | names(item.quote))
        rest = without_stems(question, subject)
        asked.append(rest or "?")
        told.append(without_stems(item.quote, subject) or ".")
        covered.append(picker.lexicon.coverage(stems(rest), item.stems))
    vectors = picker.encoder.encode([*asked, *told])
    close = (vectors[: len(asked)] * vectors[len(asked) :]).sum(axis=1)
    both = max(float(value) * (0.5 + 0.5 * share) for value, share in zip(close, covered, strict=True))
    return float(close.max()), max(covered), both


def fit_gate(
    answerable: np.ndarray,
    unanswerable: np.ndarray,
    *,
    max_false_refusals: float,
    asked: tuple[np.ndarray, np.ndarray] | None = None,
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
    model = LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000)
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    held_out = cross_val_predict(
        model, (x - mean) / scale, y, cv=folds, method="predict_proba", params={"sample_weight": weight}
    )[:, 1]
    judged = real if (real & (y == 1)).sum() >= _FEWEST_ASKED else ~real
    yes, no = held_out[judged & (y == 1)], held_out[judged & (y == 0)]
    threshold = float(np.quantile(yes, max_false_refusals))
    model.fit((x - mean) / scale, y, sample_weight=weight)
    report = {
        "answerable": float(len(yes)),
        "unanswerable": float(len(no)),
        "false_refusals": float((yes < threshold).mean()),
        "right_refusals": float((no < threshold).mean()) if len(no) else 0.0,
    }
    return Gate(
        model.coef_[0].tolist(), float(model.intercept_[0]), mean.tolist(), scale.tolist(), threshold, report
    )
