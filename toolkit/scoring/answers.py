"""Measures of answers that need no judge model: facts, citations and declining."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.scoring.questions import Question

if TYPE_CHECKING:
    from toolkit.answering import Answer


def normalise(text: str) -> str:
    """Return a text in lower case with its words and numbers only, so that wording can be compared."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)
    return " ".join(re.findall(r"\w+(?:[.:]\d+)*|[%°€$£]", plain))


def holds_facts(text: str, facts: Sequence[Sequence[str]]) -> bool:
    """Tell whether a text holds one alternative of every fact, whole words only.

    Example:
        >>> holds_facts("It costs 1,250 euros.", [["1250 euros", "EUR 1250"]])
        True
        >>> holds_facts("It burns for 138 hours.", [["38 hours"]])
        False
    """
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
        facts=share_of([not a.abstained and holds_facts(a.text, q.facts) for q, a in yes if q.facts]),
        cited=share_of([any(c.source in q.sources for c in a.citations) for q, a in sourced]),
        retrieved=share_of([any(p.source in q.sources for p in a.passages[:5]) for q, a in sourced]),
        declined_right=share_of([answer.abstained for answer in no]),
        declined_wrong=share_of([answer.abstained for _, answer in yes]),
        seconds=_median([answer.seconds["total"] for _, answer in pairs]),
    )


def share_of(hits: Sequence[bool]) -> float | None:
    """Return the share of hits, or None where there was nothing to hit."""
    return sum(hits) / len(hits) if hits else None


def _median(values: Sequence[float]) -> float | None:
    import statistics

    return statistics.median(values) if values else None
