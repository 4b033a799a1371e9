"""A measure of the voice that needs no judge model: a classifier that tells two ways of writing apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.scoring.answers import share_of


@dataclass(frozen=True)
class VoiceScores:
    """How well a classifier tells the voice from the base model's own.

    Attributes:
        prompts: Prompts that were replied to; none was trained on.
        with_adapter: Share of replies with the adapter that it recognises as the voice.
        without_adapter: Share of replies without the adapter that it takes for the voice.
        examples: Share of the held-out example replies themselves that it recognises: what could be reached.
    """

    prompts: int
    with_adapter: float
    without_adapter: float
    examples: float


class VoiceClassifier:
    """A logistic regression over words and letters that tells one way of writing from another.

    Args:
        voice: Texts in the voice.
        others: Texts that are not.
    """

    def __init__(self, voice: Sequence[str], others: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        self._model = make_pipeline(
            make_union(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"),
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=20000),
            ),
            LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000),
        )
        self._model.fit([*voice, *others], [1] * len(voice) + [0] * len(others))

    def recognises(self, texts: Sequence[str]) -> list[bool]:
        """Tell for each text whether it is in the voice."""
        return [bool(label) for label in self._model.predict(list(texts))]


def score_voice(
    classifier: VoiceClassifier, with_adapter: Sequence[str], without: Sequence[str], examples: Sequence[str]
) -> VoiceScores:
    """Measure replies to the same prompts with and without the adapter."""
    return VoiceScores(
        prompts=len(with_adapter),
        with_adapter=share_of(classifier.recognises(with_adapter)) or 0.0,
        without_adapter=share_of(classifier.recognises(without)) or 0.0,
        examples=share_of(classifier.recognises(examples)) or 0.0,
    )
