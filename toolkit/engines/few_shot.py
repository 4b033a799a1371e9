"""The voice without an adapter: example replies in the prompt, those nearest to what is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from toolkit.engines.base import Abilities, Decoding, ScoredReply, TextGenerator
from toolkit.progress import Progress
from toolkit.prompts import LETTERS_PER_TOKEN, Message, ShownReply, question_in, with_examples

if TYPE_CHECKING:
    import numpy as np


class _QuestionEncoder(Protocol):
    def encode_queries(self, texts: Sequence[str]) -> np.ndarray: ...


class FewShotEngine:
    """An engine whose voice is on where example replies stand in the prompt.

    Args:
        inner: What writes.
        examples: The example replies that may be shown.
        encoder: Compares questions: unit vectors.
        room: How much of a prompt they may take, in tokens of about four letters.
    """

    def __init__(
        self, inner: TextGenerator, examples: Sequence[ShownReply], encoder: _QuestionEncoder, room: int
    ) -> None:
        self.inner = inner
        self._examples = list(examples)
        self._encoder = encoder
        self._letters = room * LETTERS_PER_TOKEN

    @property
    def abilities(self) -> Abilities:
        """What the engine can do, and a voice besides."""
        return replace(self.inner.abilities, adapter=True)

    def nearest(self, question: str) -> list[ShownReply]:
        """Return the example replies whose questions are nearest, as many as there is room for, the nearest last."""
        if not self._examples:
            return []
        close = self._vectors @ self._encoder.encode_queries([question])[0]
        room, chosen = self._letters, []
        for index in (-close).argsort(kind="stable"):
            item = self._examples[int(index)]
            if item.letters <= room:
                room -= item.letters
                chosen.append(item)
        return chosen[::-1]

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        on_progress: Progress | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, in their order."""
        asked = [self._laid_out(messages, adapter) for messages in conversations]
        return self.inner.generate(asked, adapter=False, decoding=decoding, on_progress=on_progress)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        cancel: threading.Event | None = None,
    ) -> Iterator[str]:
        """Yield the pieces of one reply as they come."""
        return self.inner.stream(self._laid_out(messages, adapter), adapter=False, decoding=decoding, cancel=cancel)

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Return what the engine tells: thinking needs no voice."""
        return self.inner.scored_replies(conversations, token_text, max_new_tokens)

    def _laid_out(self, messages: Sequence[Message], voice: bool) -> list[Message]:
        return with_examples(messages, self.nearest(question_in(messages))) if voice else list(messages)

    @cached_property
    def _vectors(self) -> np.ndarray:
        return self._encoder.encode_queries([item.question for item in self._examples])
