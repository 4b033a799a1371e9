"""What clients send, read and checked.

What is not named here is taken and not heeded: clients send a good deal, and how a reply is drawn, its length and its
instructions are the bot's own, since its gate and its checks were fitted to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError

from pipelines.serving.errors import ApiError
from pipelines.serving.limits import LONGEST_QUESTION, MAX_BODY
from toolkit.bot import as_turns
from toolkit.prompts import Turn

_BODY_SECONDS = 30.0  # for a body to arrive in: who sends it letter by letter is not waited for
_MOST_TEXTS = 256  # to embed in one request, which nobody can interrupt the others with for long
_TEXT = "text"

Sent = TypeVar("Sent", bound=BaseModel)


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A message of a conversation; a reply that called tools has no content."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """What is said in it; other parts are left out."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == _TEXT and part.text)
        return self.content or ""


class StreamOptions(BaseModel):
    """How a reply is streamed."""

    include_usage: bool | None = None


class ModelRequest(BaseModel):
    """What every request says: which model, and for whom."""

    model: str
    user: str | int | None = None
    safety_identifier: str | None = None

    @property
    def client(self) -> str:
        """Who asks, by the name that a client gives those who use it; empty where it gives none."""
        return str(self.safety_identifier or self.user or "")


class ChatRequest(ModelRequest):
    """The body of ``/v1/chat/completions``."""

    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether the stream ends with the tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


class EmbeddingRequest(ModelRequest):
    """The body of ``/v1/embeddings``."""

    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    input_type: str | None = None


@dataclass(frozen=True)
class Asked:
    """What a conversation comes to.

    Attributes:
        question: The last message of the person.
        history: The exchanges before it, oldest first.
    """

    question: str
    history: list[Turn]

    @property
    def texts(self) -> list[str]:
        """Everything that was said."""
        return [*(text for turn in self.history for text in (turn.question, turn.reply)), self.question]


async def read_body(request: Request, kind: type[Sent]) -> Sent:
    """Read the body of a request.

    Raises:
        ApiError: It is too long, too slow, not JSON, or not what it should be.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY:
                    raise ApiError(413, f"The request is longer than {MAX_BODY} bytes.", code="request_too_large")
    except TimeoutError:
        raise ApiError(408, f"The request did not arrive within {_BODY_SECONDS:.0f} s.", code="timeout") from None
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or None
        raise ApiError(400, f"{place or 'The body'}: {first['msg']}.", param=place) from None


def read_conversation(request: ChatRequest) -> Asked:
    """Find the question and the exchanges before it.

    System messages are left out: the bot has its own. So are exchanges with a message that is too long to be a
    question, which was refused when it was asked.

    Raises:
        ApiError: What is asked for is not what a bot gives, or there is no question, or it is too long.
    """
    _check_wishes(request)
    said = [message for message in request.messages if message.role in ("user", "assistant")]
    if not said or said[-1].role != "user":
        raise ApiError(400, "The last message has to be the user's: it is what the bot answers.", param="messages")
    last = said[-1]
    strange = [part.type for part in last.content if part.type != _TEXT] if isinstance(last.content, list) else []
    if strange:
        raise ApiError(
            400, f"The bot reads text, and no {strange[0]!r:.40}. Send the question as text.", param="messages"
        )
    question = last.text.strip()
    if not question:
        raise ApiError(400, "The last message is empty: there is no question.", param="messages")
    if len(question) > LONGEST_QUESTION:
        raise ApiError(
            400,
            f"The question has {len(question)} characters; the longest has {LONGEST_QUESTION}.",
            param="messages",
            code="context_length_exceeded",
        )
    return Asked(question, _history(said[:-1]))


def read_texts(request: EmbeddingRequest) -> list[str]:
    """Find the texts to embed.

    Raises:
        ApiError: There are none, too many, or they are tokens.
    """
    texts = [request.input] if isinstance(request.input, str) else list(request.input)
    words = [text for text in texts if isinstance(text, str) and text]
    if len(words) < len(texts) or not words:
        message = "The input has to be texts that are not empty. Tokens of another model mean nothing to this one: "
        raise ApiError(400, message + "LangChain sends texts with check_embedding_ctx_length=False.", param="input")
    if len(words) > _MOST_TEXTS:
        raise ApiError(400, f"There are {len(words)} texts; send at most {_MOST_TEXTS} at once.", param="input")
    if request.encoding_format not in (None, "float", "base64"):
        raise ApiError(400, "The encoding_format is either 'float' or 'base64'.", param="encoding_format")
    return words


def _check_wishes(request: ChatRequest) -> None:
    """Refuse what would be answered otherwise than it is asked for.

    Raises:
        ApiError: Several replies, another form than text, or a call of a tool is asked for.
    """
    if request.n is not None and request.n != 1:
        raise ApiError(400, "The bot gives one reply: leave n at 1.", param="n")
    if request.response_format is not None and request.response_format.get("type") != _TEXT:
        raise ApiError(400, "The bot replies in text, and in no other form.", param="response_format")
    if request.tool_choice not in (None, "none", "auto"):
        raise ApiError(400, "The bot calls no tools: leave tool_choice at 'auto'.", param="tool_choice")


def _history(messages: Sequence[ChatMessage]) -> list[Turn]:
    turns = as_turns([{"role": message.role, "content": message.text.strip()} for message in messages])
    return [turn for turn in turns if turn.reply and 0 < len(turn.question) <= LONGEST_QUESTION >= len(turn.reply)]
