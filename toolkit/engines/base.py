"""What an engine is, and what it says it can do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.progress import Progress
from toolkit.prompts import Message


@dataclass(frozen=True)
class Abilities:
    """What a model can do beyond replying; nothing, unless it says so.

    Attributes:
        adapter: Its voice can be on or off per call: it takes ``adapter=``.
        cancel: A reply can be stopped from another thread: it takes ``cancel=``, a ``threading.Event``.
        batch: It writes many replies faster at once than one by one.
        token_scores: It knows its own tokens: it has ``scored_replies`` and takes ``forbid_first=``.
    """

    adapter: bool = False
    cancel: bool = False
    batch: bool = False
    token_scores: bool = False


@dataclass(frozen=True)
class Decoding:
    """How a reply is drawn.

    Attributes:
        max_new_tokens: Longest reply, in tokens.
        temperature: 0 is greedy.
        seed: Seed of the draw where the temperature is not 0.
        forbid_first: A text whose first token may not be the first of the reply.
    """

    max_new_tokens: int = 96
    temperature: float = 0.0
    seed: int = 0
    forbid_first: str | None = None


@dataclass(frozen=True)
class ScoredReply:
    """A short reply that was not to start with a certain token.

    Attributes:
        log_probability: With which the reply would have started with that token.
        text: The reply that starts otherwise.
    """

    log_probability: float
    text: str


@dataclass(frozen=True)
class Tokens:
    """What a model read and wrote.

    Attributes:
        prompt: Tokens of the prompt.
        reply: Tokens of the reply.
    """

    prompt: int
    reply: int


class TextGenerator(Protocol):
    """Writes replies to conversations: what :class:`toolkit.engines.HouseChatModel` puts behind LangChain.

    An engine takes every argument; one that lacks an ability leaves the argument without effect.
    """

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool,
        decoding: Decoding = ...,
        on_progress: Progress | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, in their order."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = ...,
        cancel: threading.Event | None = None,
    ) -> Iterator[str]:
        """Yield the pieces of one reply as they come."""
        ...

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Return how likely each reply starts as a text does, and one that does not; None without the ability."""
        ...
