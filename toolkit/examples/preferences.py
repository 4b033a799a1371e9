"""Preferences: replies that are wanted beside replies that are not, for training such as DPO and KTO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.examples.formats import read_row
from toolkit.examples.replies import Conversations
from toolkit.examples.tables import read_any_rows
from toolkit.prompts import Turn


@dataclass(frozen=True)
class Preference:
    """A judgement on replies to one question.

    Attributes:
        question: What the person wrote.
        history: The exchanges before it in the same conversation.
        chosen: The reply that is wanted; None for a row that only turns one down.
        rejected: The reply that is not; None for a row that only approves of one.
        conversation: As in :class:`toolkit.examples.Example`.
        line: As in :class:`toolkit.examples.Example`.
        source: As in :class:`toolkit.examples.Example`.
    """

    question: str
    history: tuple[Turn, ...]
    chosen: str | None
    rejected: str | None
    conversation: int
    line: int
    source: str = ""

    @property
    def paired(self) -> bool:
        """Whether it compares two replies, as DPO needs; KTO takes two rows with a label each as well."""
        return self.chosen is not None and self.rejected is not None

    def labelled(self) -> list[tuple[str, bool]]:
        """Return its replies, each with whether it is wanted: KTO's ``completion`` and ``label``."""
        pairs = ((self.chosen, True), (self.rejected, False))
        return [(reply, label) for reply, label in pairs if reply is not None]


def read_preferences(path: Path) -> list[Preference]:
    """Read preferences from JSONL, a JSON array, CSV or Parquet.

    A row has ``chosen`` and ``rejected`` with their ``prompt``, or ``prompt``, ``completion`` and ``label``; each is
    text, or messages as TRL has them.

    Raises:
        DataError: The file is missing or has malformed rows, each of which is numbered.

    Example:
        >>> file = Path("preferences.jsonl")
        >>> _ = file.write_text('{"prompt": "Do you deliver?", "chosen": "We do, and gladly.", "rejected": "Yes."}')
        >>> read_preferences(file)[0].rejected
        'Yes.'
    """
    conversations = Conversations()

    def parse(row: Any, line: int) -> Iterator[Preference]:
        checked, exchanges = read_row(row)
        if not checked.judges:
            raise ValueError("expected 'chosen' and 'rejected', or 'completion' and 'label'; it only shows a reply")
        number = conversations.number(checked.conversation, line)
        for item in exchanges:
            yield Preference(
                item.question, item.history, item.chosen, item.rejected, number, line, checked.source or ""
            )

    return read_any_rows(
        path,
        parse,
        missing="Put preferences there, or change the setting that names it.",
        looks_like='{"prompt": "...", "chosen": "...", "rejected": "..."}',
    )
