"""Example replies: read from the formats people have, checked line by line, split by conversation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.files import read_rows
from toolkit.prompts import Turn

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True)
class Example:
    """One example reply.

    Attributes:
        question: What the person wrote.
        reply: What the house answered.
        history: The exchanges before it in the same conversation.
        conversation: Number of the conversation it comes from; a split never cuts one in two.
        line: Line of the file, from 1.
        declines: Whether the row is marked as one where the documents do not tell (``"declines": true``).
    """

    question: str
    reply: str
    history: tuple[Turn, ...]
    conversation: int
    line: int
    declines: bool = False


def read_examples(path: Path, *, min_examples: int = 1) -> list[Example]:
    """Read example replies: ``messages``, Alpaca, ShareGPT or prompt/completion, one JSON object a line.

    Each assistant turn of a conversation becomes an example, with the turns before it as its history.

    Raises:
        DataError: The file is missing or has malformed lines (each is numbered), or holds too few examples.
    """
    examples = read_rows(
        path,
        _examples_of,
        missing="Put example replies there, or change voice.examples.",
        looks_like='{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}',
    )
    if len(examples) < min_examples:
        raise DataError(
            f"{path} holds {len(examples)} example replies; at least {min_examples} are needed.",
            "Add more, or lower voice.min_examples and expect a weaker voice.",
        )
    return examples


def _examples_of(row: Any, line: int) -> Iterator[Example]:
    """Turn one row of any known format into examples.

    Raises:
        ValueError: What is wrong with the row.
    """
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")
    turns = _turns_of(row)
    history: list[Turn] = []
    pending: list[str] = []
    for role, content in turns:
        if role == "system":
            continue
        if role == "user":
            pending.append(content)
            continue
        if not pending:
            raise ValueError("an assistant message has no user message before it")
        question = "\n".join(pending)
        yield Example(question, content, tuple(history), line, line, bool(row.get("declines", False)))
        history.append(Turn(question, content))
        pending = []
    if not history:
        raise ValueError("there is no assistant message to learn from")


def _turns_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (role, content) pairs of a row in any known format."""
    if "messages" in row or "conversations" in row:
        key = "messages" if "messages" in row else "conversations"
        if not isinstance(row[key], list):
            raise ValueError(f"'{key}' must be a list")
        return [_turn(item, index) for index, item in enumerate(row[key], start=1)]
    if "prompt" in row and "completion" in row:
        return [("user", _text(row["prompt"], "prompt")), ("assistant", _text(row["completion"], "completion"))]
    if "instruction" in row and "output" in row:
        asked = _text(row["instruction"], "instruction")
        if row.get("input"):
            asked += "\n\n" + _text(row["input"], "input")
        return [("user", asked), ("assistant", _text(row["output"], "output"))]
    raise ValueError(
        "expected 'messages', 'conversations', 'prompt' and 'completion', or 'instruction' and 'output'; "
        f"found {', '.join(map(repr, row)) or 'no keys'}"
    )


def _turn(item: Any, index: int) -> tuple[str, str]:
    """Return the role and the content of one message."""
    if not isinstance(item, dict):
        raise ValueError(f"message {index} must be an object")
    role = _ROLES.get(str(item.get("role", item.get("from"))))
    if role is None:
        raise ValueError(f"message {index} has no known role (user, assistant or system)")
    return role, _text(item.get("content", item.get("value")), f"content of message {index}")


def _text(value: Any, what: str) -> str:
    """Return a non-empty string or say what is missing."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} must be a non-empty string")
    return value.strip()


def split_examples(examples: Sequence[Example], held_out: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into rows to train on and rows to measure on, by conversation.

    Conversations that ask the same thing (same words but for case and punctuation) stay together, so that no
    question is on both sides. The choice depends on the text and the seed only: adding rows moves no other row.

    Returns:
        Training examples and held-out examples, in the order of the file.
    """
    train: list[Example] = []
    held: list[Example] = []
    first_of: dict[int, str] = {}
    for example in examples:
        key = first_of.setdefault(example.conversation, re.sub(r"\W+", " ", example.question.lower()).strip())
        number = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") / 2**64
        (held if number < held_out else train).append(example)
    return train, held
