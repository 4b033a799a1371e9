"""What a bot does for its clients: the jobs of the queue, and the models that it goes by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.serving.queueing import Work
from pipelines.serving.requests import Asked

if TYPE_CHECKING:
    import numpy as np

    from toolkit.answering import Answer
    from toolkit.bot import Chatbot
    from toolkit.embedding import Embedder

_TEXTS_AT_ONCE = 16  # that are embedded before it is looked whether anyone still waits


@dataclass(frozen=True)
class Manner:
    """How a bot answers under a model's name.

    Attributes:
        adapter: Whether in the voice.
        knowledge: Whether from the documents.
    """

    adapter: bool = True
    knowledge: bool = True


def manners(bot: Chatbot) -> dict[str, Manner]:
    """Return the models of a bot: itself, and where it has both halves each of them without the other."""
    name = bot.config.name
    found = {name: Manner()}
    if bot.has_voice and bot.knowledge is not None:
        found |= {f"{name}-plain": Manner(adapter=False), f"{name}-voice": Manner(knowledge=False)}
    return found


@dataclass(frozen=True)
class Finished:
    """A reply that is over.

    Attributes:
        answer: The whole answer.
        tokens: Tokens of what was said to the bot, and of its reply; None where nothing can count them.
    """

    answer: Answer
    tokens: tuple[int, int] | None


@dataclass(frozen=True)
class Embedded:
    """Some texts that were embedded.

    Attributes:
        vectors: Of shape ``(n, dimension)``.
        tokens: Tokens of the texts.
    """

    vectors: np.ndarray
    tokens: int


def answering(bot: Chatbot, asked: Asked, manner: Manner) -> Work:
    """Return the work that yields the pieces of a reply, and then what :class:`Finished` holds."""
    # A tokenizer serves one thread at a time: it counts where the model speaks, and not where requests are read.
    count = _token_counter(bot)

    def work(cancel: threading.Event) -> Iterator[str | Finished]:
        stream = bot.stream(
            asked.question, asked.history, adapter=manner.adapter, knowledge=manner.knowledge, cancel=cancel
        )
        try:
            yield from stream
            if stream.answer is not None:
                yield Finished(stream.answer, count and (count(asked.texts), count([stream.answer.text])))
        finally:
            stream.close()

    return work


def embedding(embedder: Embedder, texts: Sequence[str], *, queries: bool) -> Work:
    """Return the work that yields what :class:`Embedded` holds, some texts at a time.

    Args:
        embedder: The embedder.
        texts: What to embed.
        queries: Whether they are what is searched for, and not what is searched.
    """
    encode = embedder.encode_queries if queries else embedder.encode

    def work(cancel: threading.Event) -> Iterator[Embedded]:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            yield Embedded(encode(some), sum(embedder.count_tokens(some)))

    return work


def _token_counter(bot: Chatbot) -> Callable[[Sequence[str]], int] | None:
    """Return what counts the tokens of texts: the base's tokenizer, or else the embedder's; None without either."""
    tokenizer = getattr(getattr(bot.chain.speaker.model, "engine", None), "tokenizer", None)
    if tokenizer is not None:
        return lambda texts: sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    if bot.knowledge is not None:
        embedder = bot.knowledge.embedder
        return lambda texts: sum(embedder.count_tokens(texts))
    return None
