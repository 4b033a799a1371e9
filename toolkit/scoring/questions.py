"""Questions to measure on, read and checked line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.files import read_rows


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
    questions = read_rows(
        path,
        _questions_of,
        missing="Put questions there, or change evaluation.questions.",
        looks_like='{"question": "...", "facts": [["38 hours", "38 h"]], "sources": ["ember.md"]}',
    )
    chosen = [question for question in questions if split is None or question.split == split]
    if not chosen:
        raise DataError(f"{path} holds no questions{f' of the split {split!r}' if split else ''}.")
    return chosen


def _questions_of(row: Any, line: int) -> Iterator[Question]:
    """Yield the question of one line.

    Raises:
        ValueError: What is wrong with it.
    """
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise ValueError("'question' must be a non-empty string")
    facts = row.get("facts", [])
    if not isinstance(facts, list) or not all(isinstance(group, list) and group for group in facts):
        raise ValueError("'facts' must be a list of lists of alternatives")
    yield Question(
        question=row["question"].strip(),
        facts=tuple(tuple(str(fact) for fact in group) for group in facts),
        sources=tuple(str(source) for source in row.get("sources", [])),
        unanswerable=bool(row.get("unanswerable", False)),
        split=row.get("split"),
    )
