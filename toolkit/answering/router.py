"""What kind of message it is: talk that wants no facts, a question, or an attempt to give the bot other orders.

Fitted at build time, with the bot's own embedder, on messages of each kind in the bot's language and on the questions
that its own people answer: so that no cosine of one embedder stands in the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from toolkit.language import Language

if TYPE_CHECKING:
    from toolkit.answering.evidence import Encoder

Kind = Literal["question", "takeover", "talk"]
KINDS: tuple[Kind, ...] = ("question", "takeover", "talk")

# Strength of the regularisation: of 1, 10 and 100 mistake 8, 5 and 5 in 100 out of fold with the bundled embedder.
_C = 10.0
# A longer message is read by its end as well: the question comes after the story.
_LONGEST_TALK_WORDS = 30


@dataclass
class Router:
    """A fitted router: a logistic regression over a message's vector.

    Attributes:
        weights: Of shape (kinds, dimension).
        bias: Of shape (kinds,).
        report: How many messages of each kind it was fitted on, and the share of them it mistakes out of fold.
    """

    weights: list[list[float]]
    bias: list[float]
    report: dict[str, float]

    def kind(self, message: str, vector: np.ndarray) -> Kind:
        """Tell the kind of a message.

        Args:
            message: What was said.
            vector: Its normalised vector, of shape (dimension,).
        """
        scores = np.asarray(self.weights) @ vector + np.asarray(self.bias)
        likely = np.exp(scores - scores.max())
        found = KINDS[int(scores.argmax())]
        # What looks like a takeover is declined unread, so it has to be likelier than both others together.
        if found == "takeover" and likely.max() < likely.sum() / 2:
            found = "question"
        return "question" if found == "talk" and len(message.split()) > _LONGEST_TALK_WORDS else found

    def to_dict(self) -> dict[str, Any]:
        """Return the router as plain data."""
        return asdict(self)


def fit_router(
    encoder: Encoder,
    language: Language,
    questions: Sequence[str] = (),
    talk: Sequence[str] = (),
    subjects: Sequence[str] = (),
) -> Router | None:
    """Fit a router.

    Args:
        encoder: The bot's embedder.
        language: The bot's language; one without messages of each kind gives no router.
        questions: Questions that the bot's people answer from the documents.
        talk: Messages that they answer without any.
        subjects: What the documents are about: talk about these is told from questions about them.

    Returns:
        The router, or None where there is nothing to fit it on: every message is a question then.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    asked_about = [text.format(subject=subject) for text in language.asked_about for subject in subjects]
    talk_about = [text.format(subject=subject) for text in language.talk_about for subject in subjects]
    said: dict[Kind, list[str]] = {
        "question": [*language.questions, *language.asked, *asked_about, *questions],
        "takeover": list(language.takeover),
        "talk": [*language.talk, *talk_about, *talk],
    }
    if any(len(said[kind]) < 5 for kind in KINDS):
        return None
    texts = [text for kind in KINDS for text in said[kind]]
    x = encoder.encode_queries(texts)
    # Some embedders lay all texts close together, and the strength of the regularisation is that of spread-out ones.
    mean = x.mean(axis=0)
    spread = float(np.sqrt(((x - mean) ** 2).sum(axis=1).mean())) + 1e-6
    x = (x - mean) / spread
    y = np.repeat(np.arange(len(KINDS)), [len(said[kind]) for kind in KINDS])
    model = LogisticRegression(C=_C, max_iter=1000)
    held_out = cross_val_predict(model, x, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    model.fit(x, y)
    report: dict[str, float] = {kind: float((y == index).sum()) for index, kind in enumerate(KINDS)}
    report["mistaken"] = float((held_out != y).mean())
    weights = model.coef_ / spread
    return Router(weights.tolist(), (model.intercept_ - weights @ mean).tolist(), report)
