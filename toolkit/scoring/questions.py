"""Questions to measure on, read and checked line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictBool, StringConstraints, TypeAdapter

from toolkit.errors import DataError
from toolkit.files import Filled, read_rows

# A fact may be written as a number.
_Fact = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), Field(coerce_numbers_to_str=True)]
_Alternatives = Annotated[tuple[_Fact, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Question:
    """A question to measure on.

    Attributes:
        question: What is asked.
        facts: A right answer holds one string of each inner tuple; empty where nothing is known of them.
        sources: The files that hold the answer.
        unanswerable: Whether the documents do not tell.
        split: Name of the part of the file that it belongs to, or None.
        paraphrases: The same question in other words: what ``housevoice eval --perturb`` asks as well.
    """

    question: Filled
    facts: tuple[_Alternatives, ...] = ()
    sources: tuple[Filled, ...] = ()
    unanswerable: StrictBool = False
    split: Filled | None = None
    paraphrases: tuple[Filled, ...] = ()


_ROWS = TypeAdapter(Question)


def read_questions(path: Path, split: str | None = None) -> list[Question]:
    """Read questions, one JSON object a line.

    Args:
        path: The file. A line holds ``question`` and either ``facts`` and ``sources`` or ``"unanswerable": true``.
        split: Only questions whose ``split`` is this.

    Raises:
        DataError: It is missing or malformed; every bad line is numbered.

    Example:
        >>> file = Path("questions.jsonl")
        >>> _ = file.write_text('{"question": "How long does it burn?", "facts": [["38 hours", "38 h"]]}')
        >>> read_questions(file)[0].facts
        (('38 hours', '38 h'),)
    """
    questions = read_rows(
        path,
        _questions_of,
        missing="Put questions there, or change evaluation.questions.",
        looks_like='{"question": "...", "facts": [["38 hours", "38 h"]], "sources": ["ember.md"]}',
    )
    return of_split(questions, split, path)


def of_split(questions: Sequence[Question], split: str | None, path: Path) -> list[Question]:
    """Choose the questions of a split.

    Args:
        questions: Questions that were read.
        split: Only those whose ``split`` is this; None for all.
        path: Where they were read from, to be named.

    Raises:
        DataError: There is none.
    """
    chosen = [question for question in questions if split is None or question.split == split]
    if not chosen:
        raise DataError(f"{path} holds no questions{f' of the split {split!r}' if split else ''}.")
    return chosen


def _questions_of(row: Any, line: int) -> Iterator[Question]:
    """Yield the question of one line.

    Raises:
        ValidationError: What is wrong with it.
    """
    yield _ROWS.validate_python(row)
