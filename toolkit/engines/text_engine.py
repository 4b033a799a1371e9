"""Text generation with transformers: one at a time as a stream, many at once, adapter on or off per call."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.models import LoadedModel
from toolkit.progress import Progress
from toolkit.prompts import Message, render_prompt, stop_token_ids
from toolkit.tuning import attach_adapter, check_base

if TYPE_CHECKING:
    from transformers import BatchEncoding


# Replies repeat the words of the notes they are written from, so several tokens can be guessed from the prompt and
# checked in one forward pass (prompt lookup decoding); greedy output stays the same.
PROMPT_LOOKUP_TOKENS = 6
# On a GPU the weights are read once for a whole batch; on a CPU 16 rows already use the arithmetic units fully.
BATCH_ROWS = 16


@dataclass(frozen=True)
class Decoding:
    """How a reply is drawn.

    Attributes:
        max_new_tokens: Longest reply, in tokens.
        temperature: 0 is greedy.
        seed: Seed of the draw where the temperature is not 0.
    """

    max_new_tokens: int = 96
    temperature: float = 0.0
    seed: int = 0


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
        self._stops = stop_token_ids(self.tokenizer)
        self._lock = threading.Lock()

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
        prompts = [render_prompt(self.tokenizer, messages) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        replies = [""] * len(prompts)
        for start in range(0, len(order), BATCH_ROWS):
            chosen = order[start : start + BATCH_ROWS]
            inputs = self._encode([prompts[index] for index in chosen])
            with self._ready(adapter, decoding):
                output = self._model.generate(**inputs, **self._arguments(decoding, single=len(chosen) == 1))
            texts = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for index, text in zip(chosen, texts, strict=True):
                replies[index] = text.strip()
            if on_progress:
                on_progress("Writing replies", min(start + BATCH_ROWS, len(order)), len(order))
        return replies

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
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        stop = cancel or threading.Event()
        done = threading.Event()  # ours: the caller's event tells the caller whether it was cancelled

        class Cancelled(StoppingCriteria):
            def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
                import torch

                over = stop.is_set() or done.is_set()
                return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                inputs = self._encode([render_prompt(self.tokenizer, messages)])
                with self._ready(adapter, decoding):
                    # A streamer takes one token at a time, and prompt lookup hands over several; transformers
                    # passes them on together, which the text streamer accepts for a batch of one.
                    self._model.generate(
                        **inputs,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([Cancelled()]),
                        **self._arguments(decoding, single=True),
                    )
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

    def _encode(self, prompts: Sequence[str]) -> BatchEncoding:
        """Tokenise prompts with padding on the left, where generation does not see it."""
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

    def _arguments(self, decoding: Decoding, *, single: bool) -> dict[str, Any]:
        """Return what ``generate`` is called with."""
        arguments: dict[str, Any] = {
            "max_new_tokens": decoding.max_new_tokens,
            "eos_token_id": self._stops,
            "pad_token_id": self.tokenizer.pad_token_id,
            "do_sample": decoding.temperature > 0,
        }
        if decoding.temperature > 0:
            arguments["temperature"] = decoding.temperature
        elif single:
            arguments["prompt_lookup_num_tokens"] = PROMPT_LOOKUP_TOKENS
        return arguments
