"""Text generation with llama.cpp: on a CPU several times as fast as the reference, the same words but for rounding."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from toolkit.engines.base import Abilities, Decoding, ScoredReply, Tokens
from toolkit.engines.llama_model import REPLIES_AT_ONCE, LlamaModel, Stopped
from toolkit.progress import Progress
from toolkit.prompts import Message, render_prompt, stop_token_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")
# What a tokenizer makes of a part of a letter.
_HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"


class LlamaEngine:
    """A base model, and the same with a voice merged into it: two models, so that no reply has half of each.

    Prompts are rendered and cut into tokens by the tokenizer of the base, as for the reference.

    Args:
        tokenizer: That of the base.
        plain: The base.
        voiced: The base with its voice, or nothing.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, plain: LlamaModel, voiced: LlamaModel | None = None) -> None:
        self.tokenizer = tokenizer
        self._plain, self._voiced = plain, voiced
        self._stops = stop_token_ids(tokenizer)
        self._tokenizing = threading.Lock()  # a tokenizer serves one thread at a time

    @property
    def abilities(self) -> Abilities:
        """What it can do: everything; without a voice there is none to switch."""
        return Abilities(adapter=self._voiced is not None, cancel=True, batch=True, token_scores=True)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        on_progress: Progress | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, several at a time.

        Args:
            conversations: Messages up to the one that is to be answered.
            adapter: Whether the voice is on.
            decoding: How replies are drawn.
            on_progress: Called after each reply.

        Returns:
            The replies, in the order of the conversations.

        Raises:
            ModelError: A prompt is too long.
        """

        def reply(messages: Sequence[Message], stopped: Stopped) -> str:
            pieces: list[str] = []
            self._write(messages, adapter, decoding, pieces.append, stopped)
            return "".join(pieces).strip()

        return _each(reply, conversations, on_progress)

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply]:
        """Tell how likely each reply starts with the first token of a text, and write one that does not.

        The voice is off, and the most likely token is taken each time.

        Args:
            conversations: Messages up to the one that is to be answered.
            token_text: The text; it is tokenised by itself, as the replies that a base is trained on are.
            max_new_tokens: Longest reply, in tokens.

        Returns:
            One for each conversation, in their order.

        Raises:
            ModelError: A prompt is too long.
        """
        token = self._first_token(token_text)

        def scored(messages: Sequence[Message], stopped: Stopped) -> ScoredReply:
            pieces: list[str] = []
            prompt = self._tokens(messages)
            score = self._avoid(self._plain, prompt, token, max_new_tokens, pieces.append, stopped)
            return ScoredReply(score, "".join(pieces).strip())

        return _each(scored, conversations)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        cancel: threading.Event | None = None,
    ) -> Generator[str, None, None]:
        """Write one reply and yield its pieces as they come.

        Closing the iterator, or setting ``cancel``, stops the model after the token, or the chunk of the prompt, that
        it is at.

        Args:
            messages: Messages up to the one that is to be answered.
            adapter: Whether the voice is on.
            decoding: How the reply is drawn.
            cancel: Stops the reply when set, from any thread.

        Raises:
            ModelError: The prompt is too long.
        """
        done = threading.Event()  # ours: the caller's event tells the caller whether it was cancelled
        said: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()

        def stopped() -> bool:
            return done.is_set() or (cancel is not None and cancel.is_set())

        def work() -> None:
            try:
                self._write(messages, adapter, decoding, said.put, stopped)
            except BaseException as error:  # noqa: BLE001 - handed to the reading thread, which raises it
                said.put(error)
            finally:
                said.put(None)

        worker = threading.Thread(target=work, name="housevoice-generate", daemon=True)
        worker.start()
        try:
            while (piece := said.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            done.set()
            worker.join()

    def complete(
        self, prompt: str, *, adapter: bool, decoding: Decoding = Decoding(), cancel: threading.Event | None = None
    ) -> list[int]:
        """Go on from a prompt that is rendered already, and return the tokens, special ones among them.

        Args:
            prompt: It, up to the place where the reply starts.
            adapter: Whether the voice is on.
            decoding: How the reply is drawn.
            cancel: Stops the model when set, from any thread.

        Raises:
            ModelError: The prompt is too long.
        """
        pieces: list[str] = []
        self._model(adapter).write(
            self.encoded(prompt),
            decoding.max_new_tokens,
            pieces.append,
            stopped=(cancel or threading.Event()).is_set,
            temperature=decoding.temperature,
            seed=decoding.seed,
            kept=list(self.tokenizer.get_added_vocab()),
        )
        # llama.cpp says letters; what it says is cut into tokens as the prompt was.
        tokens = self.encoded("".join(pieces))
        return tokens if len(tokens) >= decoding.max_new_tokens else [*tokens, self.tokenizer.eos_token_id]

    def count_tokens(self, messages: Sequence[Message], reply: str) -> Tokens:
        """Count the tokens of a prompt and of a reply to it, without the one that ends its turn."""
        return Tokens(len(self._tokens(messages)), len(self.encoded(reply)))

    def encoded(self, text: str) -> list[int]:
        """Return the tokens of a text, with no special ones added."""
        with self._tokenizing:
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _model(self, adapter: bool) -> LlamaModel:
        return self._voiced if adapter and self._voiced is not None else self._plain

    def _write(
        self,
        messages: Sequence[Message],
        adapter: bool,
        decoding: Decoding,
        on_piece: Callable[[str], None],
        stopped: Stopped,
    ) -> None:
        """Write one reply."""
        model, prompt, limit = self._model(adapter), self._tokens(messages), decoding.max_new_tokens
        token = self._first_token(decoding.forbid_first) if decoding.forbid_first else None
        if token is not None and not decoding.temperature and self._is_whole(token):
            self._avoid(model, prompt, token, limit, on_piece, stopped)
            return
        # A draw goes without the token to its end, which llama.cpp can be told in one go.
        model.write(
            prompt,
            limit,
            on_piece,
            stopped=stopped,
            temperature=decoding.temperature,
            seed=decoding.seed,
            forbidden=token,
        )

    def _avoid(
        self,
        model: LlamaModel,
        prompt: list[int],
        token: int,
        max_new_tokens: int,
        on_piece: Callable[[str], None],
        stopped: Stopped,
    ) -> float:
        """Write a greedy reply that does not begin with a token, and return the log-probability that it would."""
        first = model.first(prompt, token, stopped=stopped)
        if first is None:
            return 0.0  # stopped: nobody reads it
        if not self._is_whole(first.best):  # only llama.cpp itself can put the letter together
            model.write(prompt, max_new_tokens, on_piece, stopped=stopped, forbidden=token)
        elif first.best not in self._stops:
            on_piece(self._text(first.best))
            if max_new_tokens > 1:
                model.write([*prompt, first.best], max_new_tokens - 1, on_piece, stopped=stopped)
        return first.log_probability

    def _tokens(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a prompt."""
        with self._tokenizing:
            prompt = render_prompt(self.tokenizer, messages)
        return self.encoded(prompt)

    def _text(self, token: int) -> str:
        """Return the text of a token; of a special one nothing."""
        with self._tokenizing:
            return str(self.tokenizer.decode([token], skip_special_tokens=True))

    def _is_whole(self, token: int) -> bool:
        """Tell whether a token is more than a part of a letter."""
        return _HALF_A_LETTER not in self._text(token)

    def _first_token(self, text: str) -> int:
        """Return the first token of a text that stands at the start of a reply."""
        return self.encoded(text)[0]


def _each(
    do: Callable[[Sequence[Message], Stopped], T],
    conversations: Sequence[Sequence[Message]],
    on_progress: Progress | None = None,
) -> list[T]:
    """Do something for each conversation, several at a time; what failed, or Ctrl-C, stops the others."""
    left = threading.Event()
    with ThreadPoolExecutor(REPLIES_AT_ONCE) as pool:
        tasks = [pool.submit(do, messages, left.is_set) for messages in conversations]
        try:
            found = []
            for done, task in enumerate(tasks, start=1):
                found.append(task.result())
                if on_progress:
                    on_progress("Writing replies", done, len(tasks))
            return found
        except BaseException:
            left.set()
            raise
