"""A bot on each engine, to be asked in turns."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from toolkit.bot import BotFolder, Chatbot, check_lock, read_config, read_lock
from toolkit.bot.chatbot import open_knowledge, open_reader
from toolkit.engines import Decoding, HouseChatModel, TextGenerator
from toolkit.engines.llama_files import Voice
from toolkit.engines.opening import open_engine
from toolkit.prompts import Message, answer_messages, render_prompt, template_hash

if TYPE_CHECKING:
    from toolkit.reader import Reader
    from toolkit.store import Knowledge

OURS, PEER = "llamacpp", "transformers"
_WRITTEN = Decoding(max_new_tokens=48)


class Heard:
    """An engine that remembers what it was asked, and is else as it is.

    Args:
        engine: The engine.

    Attributes:
        thoughts: Log-odds that nothing tells, since it was last emptied.
    """

    def __init__(self, engine: TextGenerator) -> None:
        self._engine: Any = engine
        self.thoughts: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def scored_replies(self, *given: Any) -> Any:
        """Score, as the engine does."""
        found = self._engine.scored_replies(*given)
        for item in found:
            self.thoughts.append(
                item.log_probability - math.log(max(1e-6, -math.expm1(min(0.0, item.log_probability))))
            )
        return found


@dataclass(frozen=True)
class Sides:
    """A bot on each engine.

    Attributes:
        folder: Its folder.
        bots: By engine.
    """

    folder: Path
    bots: dict[str, Chatbot]

    def engine(self, name: str) -> Heard:
        """Return an engine, its model loaded."""
        model: Any = self.bots[name].chain.speaker.model
        found: Heard = model.engine
        return found

    def fitting(self, tokens: int, number: int) -> list[Message]:
        """Lay out a prompt of about so many tokens: passages of the bot, other ones for each number."""
        bot = self.bots[PEER]
        tokenizer = self.engine(PEER).tokenizer
        assert bot.knowledge is not None
        found = [passage.text for passage in bot.search("What is there?", k=60)]
        found = found[number % len(found) :] + found[: number % len(found)]
        words = " ".join(found).split()

        def laid_out(count: int) -> list[Message]:
            # What stands first is another one each time: nothing of it was read before.
            return answer_messages(f"Run {number}. {bot.config.chain.system}", "What of it?", [" ".join(words[:count])])

        count = next(
            count
            for count in range(0, len(words), 5)
            if len(tokenizer(render_prompt(tokenizer, laid_out(count)))["input_ids"]) >= tokens
        )
        return laid_out(count)


def open_bot(folder: Path, name: str, knowledge: Knowledge | None, reader: Reader | None) -> Chatbot:
    """Load a bot on an engine.

    Args:
        folder: Its folder.
        name: The engine.
        knowledge: Its documents.
        reader: What reads its passages.
    """
    place = BotFolder(folder)
    config = read_config(place)
    lock = read_lock(place)
    voice = Voice(place.adapter, config.voice.method) if config.voice and place.has_adapter() else None
    engine = open_engine(
        config.base.model_copy(update={"engine": name}),
        voice,
        lambda found, tokenizer: check_lock(lock, fingerprint=found, template=template_hash(tokenizer)),
    )
    model = HouseChatModel(engine=cast(TextGenerator, Heard(engine)))
    return Chatbot.assemble(place, config, model, knowledge, reader)


def open_sides(folder: Path) -> Sides:
    """Load a bot on each engine; documents and reader are the same."""
    place = BotFolder(folder)
    config = read_config(place)
    knowledge, reader = open_knowledge(place, config), open_reader(config)
    return Sides(folder, {name: open_bot(folder, name, knowledge, reader) for name in (OURS, PEER)})


@dataclass(frozen=True)
class Timed:
    """A reply that was timed.

    Attributes:
        text: The reply.
        first: Seconds to its first piece.
        seconds: Seconds to its end.
        tokens: Its tokens.
    """

    text: str
    first: float
    seconds: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second after the first piece."""
        return (self.tokens - 1) / max(1e-9, self.seconds - self.first)


def timed(engine: Heard, messages: Sequence[Message], *, adapter: bool, decoding: Decoding = _WRITTEN) -> Timed:
    """Let an engine write a reply, and time it."""
    began, first, text = time.perf_counter(), 0.0, ""
    for piece in engine.stream(messages, adapter=adapter, decoding=decoding):
        first = first or time.perf_counter() - began
        text += piece
    seconds = time.perf_counter() - began
    tokens = len(engine.tokenizer(text, add_special_tokens=False)["input_ids"])
    return Timed(text, first, seconds, tokens)


def begun_with(word: object, messages: Sequence[Message]) -> list[Message]:
    """Put a word before all else, so that an engine that keeps what it read has to read the prompt anew."""
    return [{**messages[0], "content": f"{word} {messages[0]['content']}"}, *messages[1:]]


def shown(what: str, done: int, total: int) -> None:
    """Tell on stderr how far something is."""
    print(f"\r{what}: {done} of {total} ", end="" if done < total else "\n", file=sys.stderr, flush=True)
