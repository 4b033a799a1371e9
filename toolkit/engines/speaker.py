"""Any LangChain chat model as the chain's own: it is asked only for what it can do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from toolkit.engines.base import Abilities, ScoredReply, Tokens
from toolkit.engines.stops import cut, cut_pieces
from toolkit.prompts import Message

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Of a model that does not batch, LangChain asks from several threads. More at once makes most services refuse.
CALLS_AT_ONCE = 4


class _Scoring(Protocol):
    """A chat model that knows its own tokens."""

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None: ...


class Speaker:
    """Writes with a chat model, and passes on only the arguments that the model can take.

    A model says what it can do in ``abilities``, as :class:`toolkit.engines.HouseChatModel` does. One that says
    nothing, such as the client of a remote service, is passed messages and ``stop``, which every LangChain chat model
    takes; how long and how warm it writes is set where it is made. Its replies are cut at the stop marks here as well,
    and its streams end when they are cancelled.

    Args:
        model: The chat model.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self.model = model
        declared = getattr(model, "abilities", None)
        self._ours = isinstance(declared, Abilities)
        self.abilities = declared if isinstance(declared, Abilities) else Abilities()

    def invoke(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool = False,
        max_new_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        temperature: float | None = None,
        forbid_first: str | None = None,
    ) -> str:
        """Write one reply.

        Args:
            messages: Messages up to the one that is to be answered.
            adapter: Whether the voice is on.
            max_new_tokens: Longest reply, in tokens.
            stop: Marks that end a reply, and are not part of it.
            temperature: 0 is greedy.
            forbid_first: A text whose first token may not be the first of the reply.
        """
        options = self._options(adapter, max_new_tokens, stop, temperature, forbid_first)
        reply = self.model.invoke(list(messages), **options)
        return cut(_text(reply), stop).strip()

    def batch(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool = False,
        max_new_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        temperature: float | None = None,
        forbid_first: str | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, in their order: see :meth:`invoke`."""
        options = self._options(adapter, max_new_tokens, stop, temperature, forbid_first)
        if not self.abilities.batch:
            options["config"] = {"max_concurrency": CALLS_AT_ONCE}
        replies = self.model.batch([list(messages) for messages in conversations], **options)
        return [cut(_text(reply), stop).strip() for reply in replies]

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool = False,
        max_new_tokens: int | None = None,
        stop: Sequence[str] | None = None,
        temperature: float | None = None,
        forbid_first: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Iterator[str]:
        """Yield the pieces of one reply as they come.

        Args:
            messages: Messages up to the one that is to be answered.
            adapter: Whether the voice is on.
            max_new_tokens: Longest reply, in tokens.
            stop: Marks that end a reply, and are not part of it.
            temperature: 0 is greedy.
            forbid_first: A text whose first token may not be the first of the reply.
            cancel: Ends the reply when set, from any thread. A model that cannot be stopped is left alone after the
                piece that it is at.
        """
        options = self._options(adapter, max_new_tokens, stop, temperature, forbid_first)
        if cancel is not None and self.abilities.cancel:
            options["cancel"] = cancel
        chunks = self.model.stream(list(messages), **options)
        try:
            yield from cut_pieces(_pieces(chunks, cancel), stop)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Tell how likely each reply starts as a text does, and write one that does not, the voice off.

        Args:
            conversations: Messages up to the one that is to be answered.
            token_text: The text; only its first token counts.
            max_new_tokens: Longest reply, in tokens; 1 where only the likelihood is wanted.

        Returns:
            One for each conversation, or None from a model that does not know its own tokens.
        """
        if not self.abilities.token_scores:
            return None
        return cast(_Scoring, self.model).scored_replies(conversations, token_text, max_new_tokens)

    def tokens(self, messages: Sequence[Message], reply: str) -> Tokens | None:
        """Count the tokens of a prompt and of a reply to it; None from a model that does not know its tokens."""
        count = getattr(self.model, "count_tokens", None)
        return count(messages, reply) if count else None

    def _options(
        self,
        adapter: bool,
        max_new_tokens: int | None,
        stop: Sequence[str] | None,
        temperature: float | None,
        forbid_first: str | None,
    ) -> dict[str, Any]:
        """Return the keyword arguments that the model can take."""
        options: dict[str, Any] = {}
        if stop:
            options["stop"] = list(stop)
        if self._ours and max_new_tokens is not None:
            options["max_new_tokens"] = max_new_tokens
        if self._ours and temperature is not None:
            options["temperature"] = temperature
        if self.abilities.adapter:
            options["adapter"] = adapter
        if self.abilities.token_scores and forbid_first is not None:
            options["forbid_first"] = forbid_first
        return options


def _pieces(chunks: Iterator[Any], cancel: threading.Event | None) -> Iterator[str]:
    """Yield what chunks say until the reply is cancelled."""
    for chunk in chunks:
        if piece := _text(chunk):
            yield piece
        if cancel is not None and cancel.is_set():
            return


def _text(message: Any) -> str:
    """Return what a message says; remote models may answer in blocks, of which some are no text."""
    return str(message.text)
