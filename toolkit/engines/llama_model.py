"""A GGUF in this process, loaded with llama.cpp: several replies at once, each to be stopped."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError
from toolkit.exporting.llama_cpp import server_settings, start_server

# Replies that are written at once: the weights are read once for a token of each.
REPLIES_AT_ONCE = 8
# Tokens of a prompt that are read before it is looked whether anybody still waits for the reply. Two cores read some
# 450 a second; more at once were read no more than 5% faster.
CHUNK = 128
# Prompt lookup: the tokens that followed the last two before are guessed to follow again, so many at a time. Replies
# repeat the words of their notes.
_MATCHED_TOKENS, _GUESSED_TOKENS = 2, 6
# Tokens of all prompts and replies that are held at once, at first: what is held of them takes memory whether it is
# used or not, 47 MiB with the bundled base. A prompt that does not fit makes it twice as many.
_FIRST_CONTEXT = 2048
# Added to the logit of a token that is to be drawn, whatever the others are.
_CERTAIN = 1e4
# How often a reply that waits for a place looks whether it was cancelled, in seconds.
_POLL = 0.1

Stopped = Callable[[], bool]


@dataclass(frozen=True)
class First:
    """How a reply may begin.

    Attributes:
        log_probability: With which a certain token begins it.
        best: The likeliest token but for that one.
    """

    log_probability: float
    best: int


@dataclass
class _Place:
    """One of the places in which replies are written.

    Attributes:
        number: As llama.cpp counts them.
        read: The last prompt that was read there, which is kept until the room is wanted.
        size: Tokens that it and its reply have at most.
        used: When it was last taken; places are taken in turns.
        taken: Tokens that are set aside for the reply that is written there; 0 where none is.
        goes_on: Whether that reply's prompt goes on from what was read.
    """

    number: int
    read: tuple[int, ...] = ()
    size: int = 0
    used: int = 0
    taken: int = 0
    goes_on: bool = False

    def is_begun(self, prompt: tuple[int, ...]) -> bool:
        """Tell whether a prompt goes on from the one that was read here, as the next turn of a conversation does."""
        return 0 < len(self.read) < len(prompt) and prompt[: len(self.read)] == self.read


class LlamaModel:
    """A GGUF, loaded.

    One that is asked for more replies than it has places for lets them wait, first come, first served. A prompt that
    goes on from another one, as the next turn of a conversation does, is read from there. Any other is read from its
    first token, whatever else was read before: numbers that are added up in another order round otherwise, and who asks
    the same twice is to be told the same.

    Args:
        file: The GGUF.
        longest: Tokens of the longest prompt with its reply that the model can read.

    Raises:
        ModelError: It cannot be loaded.
    """

    def __init__(self, file: Path, longest: int) -> None:
        self._file, self._longest = file, longest
        self._waiting: deque[object] = deque()
        self._turn = threading.Condition()
        self._open(min(_FIRST_CONTEXT, longest))

    def _open(self, context: int) -> None:
        """Load the GGUF, with room for so many tokens."""
        self._server: Any = None  # what was loaded before goes first
        settings = server_settings(self._file, context, REPLIES_AT_ONCE)
        import xllamacpp  # only now: how its threads wait is settled when it is first imported

        settings.n_batch = settings.n_ubatch = CHUNK
        settings.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        settings.speculative.ngram_simple.size_n = _MATCHED_TOKENS
        settings.speculative.ngram_simple.size_m = _GUESSED_TOKENS
        settings.api_keys = [secrets.token_urlsafe()]  # it also listens: nobody gets in
        with tempfile.TemporaryDirectory(prefix="hv") as folder:
            if os.name == "posix":
                # A socket in a folder of ours, that is gone once it is open: there is no port, and no way in.
                settings.hostnames = [str(Path(folder) / "s.sock")]
            self._server = start_server(settings)
        self._context = context
        self._places = [_Place(number) for number in range(REPLIES_AT_ONCE)]

    def first(self, prompt: Sequence[int], token: int, *, stopped: Stopped) -> First | None:
        """Tell how likely a token is to begin the reply to a prompt, and which other one is the likeliest.

        Args:
            prompt: Tokens.
            token: The token.
            stopped: Tells whether nobody waits any more.

        Returns:
            Both, or None where it was stopped.

        Raises:
            ModelError: The prompt is too long, or the token ends a reply or is a part of a letter: of these llama.cpp
                tells nothing.
        """
        found: list[Any] = []
        # The token is drawn for certain, and llama.cpp tells how likely it was by itself.
        asked = {"logit_bias": [[token, _CERTAIN]], "n_probs": 2, "temperature": 0}

        def take(choice: dict[str, Any]) -> None:
            found.extend((choice["logprobs"] or {}).get("content", ()))

        self._ask(prompt, 1, asked, take, stopped)
        if not found and stopped():
            return None
        if not found:
            raise ModelError(f"llama.cpp does not tell how likely the token {token} is.", "Score another text.")
        best = next(other["id"] for other in found[0]["top_logprobs"] if other["id"] != token)
        return First(float(found[0]["logprob"]), int(best))

    def write(
        self,
        prompt: Sequence[int],
        max_new_tokens: int,
        on_piece: Callable[[str], None],
        *,
        stopped: Stopped,
        temperature: float = 0.0,
        seed: int = 0,
        forbidden: int | None = None,
        kept: Sequence[str] = (),
    ) -> None:
        """Write the reply to a prompt.

        Args:
            prompt: Tokens.
            max_new_tokens: Longest reply, in tokens.
            on_piece: Called with each piece of the reply.
            stopped: Tells whether nobody waits any more; asked after each token, and after each chunk of the prompt.
            temperature: 0 is greedy.
            seed: Seed of the draw where the temperature is not 0.
            forbidden: A token that is never drawn.
            kept: Special tokens that are said as others are; without, they are passed over.

        Raises:
            ModelError: The prompt is too long.
        """
        # What transformers draws from where a model does not say otherwise: the 50 likeliest tokens.
        drawn = {"temperature": temperature, "seed": seed, "top_k": 50, "top_p": 1.0, "min_p": 0.0}
        asked: dict[str, Any] = drawn if temperature > 0 else {"temperature": 0, "top_k": 1}
        if forbidden is not None:
            asked["logit_bias"] = [[forbidden, False]]
        if kept:
            asked["preserved_tokens"] = list(kept)

        def take(choice: dict[str, Any]) -> None:
            if choice["text"]:
                on_piece(choice["text"])

        self._ask(prompt, max_new_tokens, asked, take, stopped)

    def _ask(
        self,
        prompt: Sequence[int],
        max_new_tokens: int,
        asked: dict[str, Any],
        take: Callable[[dict[str, Any]], None],
        stopped: Stopped,
    ) -> None:
        """Let llama.cpp answer, and hand over what it says as it comes."""
        failures: list[Exception] = []

        def heard(chunk: dict[str, Any]) -> bool:
            """Take what llama.cpp says, and tell it whether to stop; it would pass over an exception."""
            try:
                if "error" in chunk:
                    raise ModelError(f"llama.cpp could not answer: {chunk['error']['message']}.")
                for choice in chunk["choices"]:
                    take(choice)
                return stopped()
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
                return True

        request = asked | {"prompt": list(prompt), "n_predict": max_new_tokens, "stream": True, "return_progress": True}
        with self._place(tuple(prompt), max_new_tokens, stopped) as place:
            if place is not None:
                where = {"id_slot": place.number, "cache_prompt": place.goes_on}
                self._server.handle_completions(request | where, heard)
        if failures:
            raise failures[0]

    @contextlib.contextmanager
    def _place(self, prompt: tuple[int, ...], max_new_tokens: int, stopped: Stopped) -> Iterator[_Place | None]:
        """Wait for a place, and keep it; yields None where there is none because it was stopped."""
        tokens = len(prompt) + max_new_tokens + _GUESSED_TOKENS
        if tokens > self._longest:
            raise ModelError(
                f"A prompt of {len(prompt)} tokens, with its reply, is longer than this base reads: {self._longest}.",
                "Ask for less: fewer passages (knowledge.k), or a shorter conversation.",
            )
        place, ticket = None, object()
        with self._turn:
            self._waiting.append(ticket)
            try:
                while place is None and not stopped():
                    if self._waiting[0] is ticket:
                        place = self._take_place(prompt, tokens)
                    if place is None:
                        self._turn.wait(_POLL)
            finally:
                self._waiting.remove(ticket)
                self._turn.notify_all()
        try:
            yield place
        finally:
            if place is not None:
                with self._turn:
                    place.taken = 0
                    self._turn.notify_all()

    def _take_place(self, prompt: tuple[int, ...], tokens: int) -> _Place | None:
        """Return a free place for a reply: the one that read its beginning, or the oldest; None where there is no room.

        Too little room for any reply is made more once nobody writes.
        """
        free = [place for place in self._places if not place.taken]
        if tokens > self._context and len(free) == len(self._places):
            context = self._context
            while context < tokens:
                context *= 2
            before = self._context
            try:
                self._open(min(context, self._longest))
            except ModelError:  # no memory for it: shorter prompts go on to be answered
                self._open(before)
                raise
            free = self._places
        if not free:
            return None
        begun = [place for place in free if place.is_begun(prompt)]
        best = max(begun, key=lambda place: len(place.read)) if begun else min(free, key=lambda place: place.used)
        # What free places hold makes way, but what a place held before it was taken only once its prompt is read.
        taken = max(tokens, best.size)
        if taken + sum(place.taken for place in self._places) > self._context:
            return None
        best.read, best.size, best.taken, best.goes_on = prompt, tokens, taken, bool(begun)
        best.used = 1 + max(place.used for place in self._places)
        return best
