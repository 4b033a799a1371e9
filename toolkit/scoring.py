"""Measures of an answer that need no judge model: facts, citations, abstention, and the voice."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.chain import Answer


@dataclass(frozen=True)
class Question:
    """A question to measure on.

    Attributes:
        question: What is asked.
        facts: A right answer holds one string of each inner tuple; empty where nothing is known of them.
        sources: The files that hold the answer.
        unanswerable: Whether the documents do not tell.
        split: Name of the part of the file that it belongs to, or None.
    """

    question: str
    facts: tuple[tuple[str, ...], ...] = ()
    sources: tuple[str, ...] = ()
    unanswerable: bool = False
    split: str | None = None


def read_questions(path: Path, split: str | None = None) -> list[Question]:
    """Read questions, one JSON object a line.

    Args:
        path: The file. A line holds ``question`` and either ``facts`` and ``sources`` or ``"unanswerable": true``.
        split: Only questions whose ``split`` is this.

    Raises:
        DataError: It is missing or malformed; every bad line is numbered.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", "Put questions there, or change evaluation.questions.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    questions, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(json.loads(line)))
        except json.JSONDecodeError as error:
            faults.append(f"line {number}: not JSON: {error.msg} at column {error.colno}")
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise DataError(
            f"{path} has {len(faults)} bad line{'s' if len(faults) > 1 else ''}:\n"
            + "\n".join(f"  - {fault}" for fault in faults[:20]),
            'A line looks like {"question": "...", "facts": [["38 hours", "38 h"]], "sources": ["ember.md"]}.',
        )
    chosen = [question for question in questions if split is None or question.split == split]
    if not chosen:
        raise DataError(f"{path} holds no questions{f' of the split {split!r}' if split else ''}.")
    return chosen


def _question(row: Any) -> Question:
    """Return the question of one line.

    Raises:
        ValueError: What is wrong with it.
    """
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise ValueError("'question' must be a non-empty string")
    facts = row.get("facts", [])
    if not isinstance(facts, list) or not all(isinstance(group, list) and group for group in facts):
        raise ValueError("'facts' must be a list of lists of alternatives")
    return Question(
        question=row["question"].strip(),
        facts=tuple(tuple(str(fact) for fact in group) for group in facts),
        sources=tuple(str(source) for source in row.get("sources", [])),
        unanswerable=bool(row.get("unanswerable", False)),
        split=row.get("split"),
    )


def normalise(text: str) -> str:
    """Return a text in lower case with its words and numbers only, so that wording can be compared."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)
    return " ".join(re.findall(r"\w+(?:[.:]\d+)*|[%°€$£]", plain))


def holds_facts(text: str, facts: Sequence[Sequence[str]]) -> bool:
    """Tell whether a text holds one alternative of every fact, whole words only."""
    said = f" {normalise(text)} "
    return all(any(f" {normalise(fact)} " in said for fact in group) for group in facts)


@dataclass(frozen=True)
class AnswerScores:
    """Shares over a set of questions, each between 0 and 1; None where there was nothing to measure on.

    Attributes:
        answerable: Number of answerable questions.
        unanswerable: Number of unanswerable questions.
        facts: Answerable questions whose answer holds every fact.
        cited: Answerable questions whose answer cites a source that holds the answer.
        retrieved: Answerable questions for which a right source is among the first five passages.
        declined_right: Unanswerable questions that were declined.
        declined_wrong: Answerable questions that were declined.
        seconds: Median time of an answer, in seconds.
    """

    answerable: int
    unanswerable: int
    facts: float | None
    cited: float | None
    retrieved: float | None
    declined_right: float | None
    declined_wrong: float | None
    seconds: float | None


def score_answers(questions: Sequence[Question], answers: Sequence[Answer]) -> AnswerScores:
    """Measure answers against what their questions ask for."""
    pairs = list(zip(questions, answers, strict=True))
    yes = [(question, answer) for question, answer in pairs if not question.unanswerable]
    no = [answer for question, answer in pairs if question.unanswerable]
    sourced = [(question, answer) for question, answer in yes if question.sources]
    return AnswerScores(
        answerable=len(yes),
        unanswerable=len(no),
        facts=_share([not a.abstained and holds_facts(a.text, q.facts) for q, a in yes if q.facts]),
        cited=_share([any(c.source in q.sources for c in a.citations) for q, a in sourced]),
        retrieved=_share([any(p.source in q.sources for p in a.passages[:5]) for q, a in sourced]),
        declined_right=_share([answer.abstained for answer in no]),
        declined_wrong=_share([answer.abstained for _, answer in yes]),
        seconds=_median([answer.seconds["total"] for _, answer in pairs]),
    )


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _median(values: Sequence[float]) -> float | None:
    import statistics

    return statistics.median(values) if values else None


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
        with_adapter=_share(classifier.recognises(with_adapter)) or 0.0,
        without_adapter=_share(classifier.recognises(without)) or 0.0,
        examples=_share(classifier.recognises(examples)) or 0.0,
    )
