"""Text generation with transformers: one at a time as a stream, many at once, adapter on or off per call."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.engines.base import Abilities, Decoding, ScoredReply, Tokens
from toolkit.engines.static_decoder import StaticDecoder, decodes_statically
from toolkit.models import LoadedModel
from toolkit.progress import Progress
from toolkit.prompts import Message, render_prompt, stop_token_ids
from toolkit.tuning import attach_adapter, check_base, is_in_layers, takes_padding

if TYPE_CHECKING:
    from transformers import BatchEncoding, StoppingCriteriaList, TextIteratorStreamer


# Replies repeat the words of the notes they are written from, so several tokens can be guessed from the prompt and
# checked in one forward pass (prompt lookup decoding); greedy output stays the same.
PROMPT_LOOKUP_TOKENS = 6
# On a GPU the weights are read once for a whole batch; on a CPU 16 rows already use the arithmetic units fully.
BATCH_ROWS = 16


class TextEngine:
    """A base model with at most one adapter, that is on or off per call.

    One model serves one call at a time: switching an adapter touches the layers themselves, so calls from several
    threads wait for each other.

    Args:
        loaded: The base model.
        adapter: A PEFT folder, or nothing for the base alone.

    Raises:
        AdapterMismatch: The adapter was trained on another base.
    """

    def __init__(self, loaded: LoadedModel, adapter: Path | None = None) -> None:
        self.loaded = loaded
        self.tokenizer = loaded.tokenizer
        self.has_adapter = adapter is not None
        self._model: Any = loaded.model
        if adapter is not None:
            check_base(adapter, name=loaded.name, fingerprint=loaded.fingerprint)
            self._model = attach_adapter(loaded.model, adapter)
        # Several guessed tokens in one pass go past virtual tokens, and past the place that activated LoRA begins at.
        self._guesses = adapter is None or is_in_layers(self._model)
        self._pads = takes_padding(self._model)
        self._stops = stop_token_ids(self.tokenizer)
        self._static = StaticDecoder(loaded.model) if decodes_statically(loaded.model) else None
        self._lock = threading.Lock()
        self._encoding = threading.Lock()  # a tokenizer cannot be used by two threads at once

    @property
    def model(self) -> Any:
        """The model, with its adapter where it has one: a ``peft.PeftModel``, which is switched on or off per call."""
        return self._model

    @property
    def abilities(self) -> Abilities:
        """What it can do: everything; without an adapter there is no voice to switch."""
        return Abilities(adapter=self.has_adapter, cancel=True, batch=self._pads, token_scores=True)

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        on_progress: Progress | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, in batches of similar length.

        Args:
            conversations: Messages up to the one that is to be answered.
            adapter: Whether the adapter is on.
            decoding: How replies are drawn.
            on_progress: Called after each batch.

        Returns:
            The replies, in the order of the conversations.
        """
        replies = [""] * len(conversations)
        done = 0
        for chosen, inputs in self._batches(conversations, BATCH_ROWS if self._pads or not adapter else 1):
            with self._ready(adapter, decoding):
                if len(chosen) == 1:
                    output = self._written(inputs, decoding, adapter)
                else:
                    output = self._model.generate(**inputs, **self._arguments(decoding, adapter, False))
            texts = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for index, text in zip(chosen, texts, strict=True):
                replies[index] = text.strip()
            done += len(chosen)
            if on_progress:
                on_progress("Writing replies", done, len(conversations))
        return replies

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply]:
        """Tell how likely each reply starts with the first token of a text, and write one that does not.

        The adapter is off, and the most likely token is taken each time.

        Args:
            conversations: Messages up to the one that is to be answered.
            token_text: The text; it is tokenised by itself, as the replies that a base is trained on are.
            max_new_tokens: Longest reply, in tokens.

        Returns:
            One for each conversation, in their order.
        """
        token, decoding = self._first_token(token_text), Decoding(max_new_tokens, forbid_first=token_text)
        replies = [ScoredReply(0.0, "")] * len(conversations)
        for chosen, inputs in self._batches(conversations, BATCH_ROWS):
            with self._ready(False, decoding):
                # ``generate`` and not the model itself: it knows what positions a base gives to padded prompts, asks
                # for the logits of the last place alone, and hands over those from before a token was forbidden.
                output = self._model.generate(
                    **inputs,
                    **self._arguments(decoding, False, False),
                    output_logits=True,
                    return_dict_in_generate=True,
                )
            scores = output.logits[0].float().log_softmax(dim=-1)[:, token].tolist()
            written = output.sequences[:, inputs["input_ids"].shape[1] :]
            texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
            for index, score, text in zip(chosen, scores, texts, strict=True):
                replies[index] = ScoredReply(score, text.strip())
        return replies

    def count_tokens(self, messages: Sequence[Message], reply: str) -> Tokens:
        """Count the tokens of a prompt and of a reply to it, without the one that ends its turn."""
        return Tokens(len(self.encoded(render_prompt(self.tokenizer, messages))), len(self.encoded(reply)))

    def encoded(self, text: str) -> list[int]:
        """Return the tokens of a text, with no special ones added."""
        with self._encoding:
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        cancel: threading.Event | None = None,
    ) -> Generator[str, None, None]:
        """Write one reply and yield its pieces as they come.

        Closing the iterator, or setting ``cancel``, stops the model after the token it is at.

        Args:
            messages: Messages up to the one that is to be answered.
            adapter: Whether the adapter is on.
            decoding: How the reply is drawn.
            cancel: Stops the reply when set, from any thread.
        """
        from transformers import TextIteratorStreamer

        stop = cancel or threading.Event()
        done = threading.Event()  # ours: the caller's event tells the caller whether it was cancelled
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                inputs = self._encode([render_prompt(self.tokenizer, messages)])
                with self._ready(adapter, decoding):
                    # A streamer takes one token at a time, and prompt lookup hands over several; transformers
                    # passes them on together, which the text streamer accepts for a batch of one.
                    self._written(inputs, decoding, adapter, stop, done, streamer=streamer)
            except BaseException as error:  # noqa: BLE001 - handed to the reading thread, which raises it
                failures.append(error)
            finally:
                streamer.end()

        worker = threading.Thread(target=work, name="housevoice-generate", daemon=True)
        worker.start()
        try:
            yield from streamer
        finally:
            done.set()
            worker.join()
        if failures:
            raise failures[0]

    def complete(
        self, prompt: str, *, adapter: bool, decoding: Decoding = Decoding(), cancel: threading.Event | None = None
    ) -> list[int]:
        """Go on from a prompt that is rendered already, and return the tokens, special ones among them.

        Args:
            prompt: It, up to the place where the reply starts.
            adapter: Whether the adapter is on.
            decoding: How the reply is drawn.
            cancel: Stops the model when set, from any thread.
        """
        inputs = self._encode([prompt])
        with self._ready(adapter, decoding):
            output = self._written(inputs, decoding, adapter, cancel or threading.Event())
        return output[0, inputs["input_ids"].shape[1] :].tolist()

    def _written(
        self,
        inputs: BatchEncoding,
        decoding: Decoding,
        adapter: bool,
        *stops: threading.Event,
        streamer: TextIteratorStreamer | None = None,
    ) -> Any:
        """Write one reply, and return the tokens of prompt and reply, of shape (1, length)."""
        if self._static and decoding.temperature == 0 and (self._guesses or not adapter):
            try:
                return self._replayed(self._static, inputs, decoding, adapter, stops, streamer)
            except Exception as error:  # noqa: BLE001 - of driver, library or model: the other way needs no recording
                if streamer and not streamer.next_tokens_are_prompt:
                    raise  # it has begun to speak
                logging.getLogger(__name__).warning("Tokens are not recorded on this GPU: %s", error)
                self._static = None
        watched = {"stopping_criteria": _stopping(*stops)} if stops else {}
        return self._model.generate(**inputs, streamer=streamer, **watched, **self._arguments(decoding, adapter, True))

    def _replayed(
        self,
        decoder: StaticDecoder,
        inputs: BatchEncoding,
        decoding: Decoding,
        adapter: bool,
        stops: Sequence[threading.Event],
        streamer: TextIteratorStreamer | None,
    ) -> Any:
        """Write one reply by a recorded step."""
        import torch

        prompt, written = inputs["input_ids"], list[int]()
        forbidden = self._first_token(decoding.forbid_first) if decoding.forbid_first else None
        on = self.has_adapter and adapter
        for token in decoder.tokens(prompt, decoding.max_new_tokens, adapter=on, forbidden=forbidden):
            if streamer and not written:
                streamer.put(prompt.cpu())  # not before: another way may be gone, and it passes over one prompt alone
            written.append(token)
            if streamer:
                streamer.put(torch.tensor([token]))
            if token in self._stops or any(event.is_set() for event in stops):
                break
        return torch.cat([prompt, torch.tensor([written], dtype=prompt.dtype, device=prompt.device)], dim=1)

    def _batches(
        self, conversations: Sequence[Sequence[Message]], rows: int
    ) -> Iterator[tuple[list[int], BatchEncoding]]:
        """Yield batches of at most ``rows`` conversations of similar length: their indices, and their tokens."""
        prompts = [render_prompt(self.tokenizer, messages) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            yield chosen, self._encode([prompts[index] for index in chosen])

    def _first_token(self, text: str) -> int:
        """Return the first token of a text that stands at the start of a reply."""
        return int(self.tokenizer(text, add_special_tokens=False)["input_ids"][0])

    def _encode(self, prompts: Sequence[str]) -> BatchEncoding:
        """Tokenise prompts with padding on the left, where generation does not see it."""
        with self._encoding:
            inputs = self.tokenizer(
                list(prompts), return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
            )
        return inputs.to(self._model.device)

    @contextlib.contextmanager
    def _ready(self, adapter: bool, decoding: Decoding) -> Iterator[None]:
        """Hold the model with the adapter on or off."""
        import torch

        with self._lock, torch.inference_mode():
            off = self.has_adapter and not adapter
            with self._model.disable_adapter() if off else contextlib.nullcontext():
                if decoding.temperature > 0:
                    torch.manual_seed(decoding.seed)
                yield

    def _arguments(self, decoding: Decoding, adapter: bool, single: bool) -> dict[str, Any]:
        """Return what ``generate`` is called with, for one prompt or for several."""
        arguments: dict[str, Any] = {
            "max_new_tokens": decoding.max_new_tokens,
            "eos_token_id": self._stops,
            "pad_token_id": self.tokenizer.pad_token_id,
            "do_sample": decoding.temperature > 0,
        }
        if decoding.forbid_first:
            arguments["begin_suppress_tokens"] = [self._first_token(decoding.forbid_first)]
        if decoding.temperature > 0:
            arguments["temperature"] = decoding.temperature
        elif single and (self._guesses or not adapter):
            arguments["prompt_lookup_num_tokens"] = PROMPT_LOOKUP_TOKENS
        return arguments


def _stopping(*events: threading.Event) -> StoppingCriteriaList:
    """Return what stops a model after the token it is at, once one of the events is set."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Cancelled(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            over = any(event.is_set() for event in events)
            return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

    return StoppingCriteriaList([Cancelled()])
