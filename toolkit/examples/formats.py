"""The formats of example replies and preferences, told apart by their keys, each read into the same exchange."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError

from toolkit.files import Filled
from toolkit.prompts import Turn

_Role = Literal["user", "assistant", "system"]
# ShareGPT's names of the roles, and the one that newer APIs have for the system's.
_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "developer": "system"}


def _joined(content: Any) -> Any:
    """Return the text of a message that is written as a list of parts; anything else is left to be checked."""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "\n".join(str(part.get("text", "")) for part in content)
    return content


class _Message(BaseModel):
    role: Annotated[_Role, BeforeValidator(lambda role: _ROLES.get(str(role), role))] = Field(
        validation_alias=AliasChoices("role", "from")
    )
    content: Annotated[Filled, BeforeValidator(_joined)] = Field(validation_alias=AliasChoices("content", "value"))


def _ends_with_a_reply(messages: list[_Message]) -> list[_Message]:
    if not messages or messages[-1].role != "assistant":
        raise PydanticCustomError("no_reply", "must end with an assistant message")
    return messages


def _as_messages(role: _Role) -> BeforeValidator:
    """Let a text stand for one message of a role: a union of both types would report the faults of both."""

    def convert(said: Any) -> Any:
        if isinstance(said, list):
            return said
        if not isinstance(said, str) or not said.strip():
            # A type that files.py has words for.
            raise PydanticCustomError("string_type", "must be a non-empty string")
        return [{"role": role, "content": said}]

    return BeforeValidator(convert)


_Asked = Annotated[list[_Message], _as_messages("user")]
_Replied = Annotated[list[_Message], _as_messages("assistant"), AfterValidator(_ends_with_a_reply)]


@dataclass(frozen=True)
class Exchange:
    """What was asked and replied last, with what was said before.

    Attributes:
        question: What the person wrote.
        history: The exchanges before it.
        chosen: The reply; None where there is only one that was turned down.
        rejected: The reply that was turned down; None where there is none.
    """

    question: str
    history: tuple[Turn, ...]
    chosen: str | None
    rejected: str | None = None


# Files of others have these keys for things of their own; only a name or a number names anything here.
_Name = Annotated[
    str | None, BeforeValidator(lambda name: str(name).strip() or None if isinstance(name, str | int) else None)
]


class Row(BaseModel):
    """One row in any of the formats; keys that are not named are passed over.

    Attributes:
        declines: Whether the documents do not tell.
        source: What the row was made from: a document, a thread, a person.
        conversation: Names the conversation that several rows are from.
    """

    declines: StrictBool = False
    source: _Name = None
    conversation: _Name = None

    @property
    def judges(self) -> bool:
        """Whether it says which replies are wanted, and does not only show one."""
        return False

    def exchanges(self) -> list[Exchange]:
        """Return the exchanges of the row in their order.

        Raises:
            ValueError: What is wrong with it.
        """
        raise NotImplementedError


class _Chat(Row):
    """``messages`` as chat templates have them, or ShareGPT's ``conversations``."""

    messages: list[_Message] = Field(validation_alias=AliasChoices("messages", "conversations"))

    def exchanges(self) -> list[Exchange]:
        found = exchanges_of(self.messages)
        if not found:
            raise ValueError("there is no assistant message to learn from")
        return found


class _Completion(Row):
    """TRL's ``prompt`` and ``completion``, with KTO's ``label`` where there is one."""

    prompt: _Asked
    completion: _Replied
    label: StrictBool | None = None

    @property
    def judges(self) -> bool:
        return self.label is not None

    def exchanges(self) -> list[Exchange]:
        before = sum(item.role == "assistant" for item in self.prompt)
        found = exchanges_of([*self.prompt, *self.completion])[before:]
        if self.label is not False:
            return found
        return [replace(item, chosen=None, rejected=item.chosen) for item in found]


class _Alpaca(Row):
    instruction: Filled
    input: str | None = None
    output: Filled

    def exchanges(self) -> list[Exchange]:
        parts = [self.instruction, (self.input or "").strip()]
        return [Exchange("\n\n".join(filter(None, parts)), (), self.output)]


class _Preference(Row):
    """TRL's ``chosen`` and ``rejected``, with the ``prompt`` apart or at the head of both."""

    prompt: _Asked | None = None
    chosen: _Replied
    rejected: _Replied

    @property
    def judges(self) -> bool:
        return True

    def exchanges(self) -> list[Exchange]:
        chosen, rejected = self._last(self.chosen), self._last(self.rejected)
        if (chosen.question, chosen.history) != (rejected.question, rejected.history):
            raise ValueError("'chosen' and 'rejected' reply to different prompts")
        if chosen.chosen == rejected.chosen:
            raise ValueError("'chosen' and 'rejected' are the same reply")
        return [replace(chosen, rejected=rejected.chosen)]

    def _last(self, replied: list[_Message]) -> Exchange:
        """Return the last exchange of the prompt and a reply, which may have the prompt at its own head.

        Raises:
            ValueError: It has another prompt at its head, or there is none.
        """
        asked, repeated = (_said(part) for part in (self.prompt or [], replied[:-1]))
        if asked and repeated and asked != repeated:
            raise ValueError("'chosen' and 'rejected' must be one reply to the prompt")
        if not asked and not repeated:
            raise ValueError("'prompt' is missing")
        return exchanges_of([*(asked or repeated), replied[-1]])[-1]


def _said(messages: list[_Message]) -> list[_Message]:
    """Return what was said: the system's message is the bot's own matter."""
    return [item for item in messages if item.role != "system"]


def exchanges_of(messages: list[_Message]) -> list[Exchange]:
    """Return an exchange for each assistant message; questions in a row are one.

    Raises:
        ValueError: An assistant message has no user message before it.
    """
    found: list[Exchange] = []
    history: list[Turn] = []
    pending: list[str] = []
    for item in _said(messages):
        if item.role == "user":
            pending.append(item.content)
            continue
        if not pending:
            raise ValueError("an assistant message has no user message before it")
        question = "\n".join(pending)
        found.append(Exchange(question, tuple(history), item.content))
        history.append(Turn(question, item.content))
        pending = []
    return found


# The keys that tell a format, the most telling first: a union of models would report the faults of all of them.
_FORMATS: dict[tuple[str, ...], type[Row]] = {
    ("messages",): _Chat,
    ("conversations",): _Chat,
    ("chosen", "rejected"): _Preference,
    ("prompt", "completion"): _Completion,
    ("instruction", "output"): _Alpaca,
}


def read_row(row: Any) -> tuple[Row, list[Exchange]]:
    """Check one row of any known format.

    Returns:
        The row, for what it says beside its exchanges, and its exchanges in their order.

    Raises:
        ValueError: What is wrong with it; pydantic's where the format is known.
    """
    checked = _format_of(row).model_validate(row)
    return checked, checked.exchanges()


def _format_of(row: Any) -> type[Row]:
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
        "expected 'messages', 'conversations', 'prompt' and 'completion', 'instruction' and 'output', or 'chosen' and "
        f"'rejected'; found {', '.join(map(repr, row)) or 'no keys'}"
    )
