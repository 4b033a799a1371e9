"""Example replies: read from the formats people have, checked line by line, split by conversation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, StrictBool

from toolkit.errors import DataError
from toolkit.files import Filled, read_rows
from toolkit.prompts import Turn

_Role = Literal["user", "assistant", "system"]
# ShareGPT's names of the roles.
_ROLES = {"human": "user", "gpt": "assistant"}


class _Row(BaseModel):
    """One line in any of the formats; keys that are not named are passed over."""

    declines: StrictBool = False

    def turns(self) -> list[tuple[_Role, str]]:
        """Return roles and contents in their order."""
        raise NotImplementedError


class _Message(BaseModel):
    role: Annotated[_Role, BeforeValidator(lambda role: _ROLES.get(str(role), role))] = Field(
        validation_alias=AliasChoices("role", "from")
    )
    content: Filled = Field(validation_alias=AliasChoices("content", "value"))


class _Chat(_Row):
    """``messages`` as chat templates have them, or ShareGPT's ``conversations``."""

    messages: list[_Message] = Field(validation_alias=AliasChoices("messages", "conversations"))

    def turns(self) -> list[tuple[_Role, str]]:
        return [(item.role, item.content) for item in self.messages]


class _Completion(_Row):
    prompt: Filled
    completion: Filled

    def turns(self) -> list[tuple[_Role, str]]:
        return [("user", self.prompt), ("assistant", self.completion)]


class _Alpaca(_Row):
    instruction: Filled
    input: str | None = None
    output: Filled

    def turns(self) -> list[tuple[_Role, str]]:
        parts = [self.instruction, (self.input or "").strip()]
        return [("user", "\n\n".join(filter(None, parts))), ("assistant", self.output)]


# The keys that tell a format: a union of models would report the faults of all of them.
_FORMATS: dict[tuple[str, ...], type[_Row]] = {
    ("messages",): _Chat,
    ("conversations",): _Chat,
    ("prompt", "completion"): _Completion,
    ("instruction", "output"): _Alpaca,
}


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

    Example:
        >>> file = Path("replies.jsonl")
        >>> _ = file.write_text('{"prompt": "Do you deliver?", "completion": "We do, and gladly."}')
        >>> read_examples(file)[0].reply
        'We do, and gladly.'
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
        ValueError: What is wrong with the row; pydantic's where the format is known.
    """
    checked = _format_of(row).model_validate(row)
    history: list[Turn] = []
    pending: list[str] = []
    for role, content in checked.turns():
        if role == "system":
            continue
        if role == "user":
            pending.append(content)
            continue
        if not pending:
            raise ValueError("an assistant message has no user message before it")
        question = "\n".join(pending)
        yield Example(question, content, tuple(history), line, line, checked.declines)
        history.append(Turn(question, content))
        pending = []
    if not history:
        raise ValueError("there is no assistant message to learn from")


def _format_of(row: Any) -> type[_Row]:
    """Tell the format of a row by its keys.

    Raises:
        ValueError: It is none of the known ones.
    """
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")
    for keys, model in _FORMATS.items():
        if row.keys() >= set(keys):
            return model
    raise ValueError(
        "expected 'messages', 'conversations', 'prompt' and 'completion', or 'instruction' and 'output'; "
        f"found {', '.join(map(repr, row)) or 'no keys'}"
    )


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
