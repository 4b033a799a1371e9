"""Example replies: read from the formats and files people have, checked row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.examples.formats import read_row
from toolkit.examples.tables import read_any_rows
from toolkit.prompts import Turn

LOOKS_LIKE = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'


@dataclass(frozen=True)
class Example:
    """One example reply.

    Attributes:
        question: What the person wrote.
        reply: What the house answered.
        history: The exchanges before it in the same conversation.
        conversation: Number of the conversation it comes from; a split never cuts one in two.
        line: Line of the file, from 1; of a JSON array or a Parquet file the row.
        declines: Whether the row is marked as one where the documents do not tell (``"declines": true``).
        source: What the row says that it was made from (``"source": "lamps.md"``); empty where it does not.
    """

    question: str
    reply: str
    history: tuple[Turn, ...]
    conversation: int
    line: int
    declines: bool = False
    source: str = ""


class Conversations:
    """Numbers conversations: by the row that they begin in, or by the name that rows of one share."""

    def __init__(self) -> None:
        self._named: dict[str, int] = {}

    def number(self, name: str | None, line: int) -> int:
        """Return the number of the conversation that the row of a line is from."""
        return line if name is None else self._named.setdefault(name, line)


def read_examples(path: Path, *, min_examples: int = 1) -> list[Example]:
    """Read example replies from JSONL, a JSON array, CSV or Parquet.

    A row is ``messages``, ShareGPT's ``conversations``, ``prompt`` and ``completion``, Alpaca's ``instruction`` and
    ``output``, or a preference, whose chosen reply is an example. Each assistant turn of a conversation becomes an
    example, with the turns before it as its history.

    Raises:
        DataError: The file is missing or has malformed rows (each is numbered), or holds too few examples.

    Example:
        >>> file = Path("replies.jsonl")
        >>> _ = file.write_text('{"prompt": "Do you deliver?", "completion": "We do, and gladly."}')
        >>> read_examples(file)[0].reply
        'We do, and gladly.'
    """
    conversations = Conversations()

    def parse(row: Any, line: int) -> Iterator[Example]:
        checked, exchanges = read_row(row)
        number = conversations.number(checked.conversation, line)
        for item in exchanges:
            if item.chosen is not None:
                yield Example(
                    item.question, item.chosen, item.history, number, line, checked.declines, checked.source or ""
                )

    examples = read_any_rows(
        path, parse, missing="Put example replies there, or change voice.examples.", looks_like=LOOKS_LIKE
    )
    if len(examples) < min_examples:
        raise DataError(
            f"{path} holds {len(examples)} example replies; at least {min_examples} are needed.",
            "Add more, or lower voice.min_examples and expect a weaker voice.",
        )
    return examples
