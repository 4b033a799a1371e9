"""What watches a tune: its figures on the progress, and the wish to stop with a checkpoint."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolkit.models import release_memory
from toolkit.progress import Progress

if TYPE_CHECKING:
    from types import FrameType

    from transformers import TrainerCallback

# Often enough that little that is no longer used adds up, and rarely enough that the looking costs nothing.
_RELEASE_SECONDS = 10
WHAT = "Tuning the voice"


@dataclass
class StopRequest:
    """Whether somebody wants a tune to stop at its next step."""

    made: bool = False


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take Ctrl-C, and the signal with which a system ends a process, as the wish to stop with a checkpoint.

    Only once: whoever asks again is not made to wait for the step, and is served as anywhere else. Signals reach the
    main thread alone; in another one nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def take(number: int, frame: FrameType | None) -> None:
        request.made = True
        signal.signal(number, before[signal.Signals(number)])

    for number, handler in before.items():
        if handler is not None:  # None: not Python's to give back
            signal.signal(number, take)
    try:
        yield request
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@dataclass
class Figures:
    """The figures of a running tune, as one short text.

    Attributes:
        loss: The last training loss, in nats per token; None before the first.
        held_out: The last loss on held-out rows, likewise.
        learning_rate: The last one.
        started: When the run started, by ``time.perf_counter``.
        first_step: Step that it started after.
        first_tokens: Tokens that were seen before.
    """

    loss: float | None = None
    held_out: float | None = None
    learning_rate: float | None = None
    started: float = field(default_factory=time.perf_counter)
    first_step: int = 0
    first_tokens: int = 0

    def take(self, logs: dict[str, Any]) -> None:
        """Take up what the trainer logs."""
        self.loss = logs.get("loss", self.loss)
        self.learning_rate = logs.get("learning_rate", self.learning_rate)
        self.held_out = logs.get("eval_loss", self.held_out)

    def told(self, state: Any) -> str:
        """Return the figures after a step.

        Args:
            state: The trainer's state.

        Example:
            >>> from types import SimpleNamespace
            >>> figures = Figures(loss=2.3456, learning_rate=4e-4)
            >>> state = SimpleNamespace(global_step=3, max_steps=9, num_input_tokens_seen=300)
            >>> figures.told(state).split(", ")[:2]
            ['loss 2.346', 'learning rate 4.0e-04']
        """
        passed = max(time.perf_counter() - self.started, 1e-9)
        steps = state.global_step - self.first_step
        told = [f"loss {self.loss:.3f}"] if self.loss is not None else []
        if self.held_out is not None:
            told.append(f"held-out {self.held_out:.3f}")
        if self.learning_rate is not None:
            told.append(f"learning rate {self.learning_rate:.1e}")
        told.append(f"{(state.num_input_tokens_seen - self.first_tokens) / passed:.0f} tokens/s")
        told.append(f"{used_memory() / 1e9:.1f} GB")
        left = round(passed / max(steps, 1) * (state.max_steps - state.global_step))
        told.append(f"{left // 60}:{left % 60:02d} left")
        return ", ".join(told)


def used_memory() -> int:
    """Return the most memory that was in use so far, in bytes: of the GPU where there is one, else of the process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # Linux counts in KiB


def wished_by_any(wish: bool, arguments: Any) -> bool:
    """Tell whether any of the processes of a run wishes something: one that stopped alone would keep the rest waiting.

    Args:
        wish: Whether this one does.
        arguments: The trainer's settings.
    """
    if arguments.world_size == 1:
        return wish
    import torch

    found = torch.tensor(int(wish), device=arguments.device)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return bool(found)


def watcher(on_progress: Progress | None, request: StopRequest, *, what: str = WHAT) -> TrainerCallback:
    """Return a trainer callback that reports each step, prints nothing, and stops a run that is asked to.

    Args:
        on_progress: Called after each step.
        request: Whether to stop; the step that is being made is finished and kept as a checkpoint.
        what: What is being done.
    """
    from transformers import TrainerCallback

    figures = Figures()

    class Watcher(TrainerCallback):
        released = time.perf_counter()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            figures.started = time.perf_counter()
            figures.first_step, figures.first_tokens = state.global_step, state.num_input_tokens_seen

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            figures.take(logs or {})

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if time.perf_counter() - self.released > _RELEASE_SECONDS:
                release_memory()
                self.released = time.perf_counter()
            if on_progress and state.is_world_process_zero:
                on_progress(f"{what}: {figures.told(state)}", state.global_step, state.max_steps)
            request.made = wished_by_any(request.made, args)
            if request.made:
                control.should_save = control.should_training_stop = True

    return Watcher()


def patience(measurements: int) -> TrainerCallback:
    """Return a trainer callback that stops a run whose held-out loss gets no better.

    Args:
        measurements: How many in a row without a better one end the run.
    """
    from transformers import EarlyStoppingCallback

    class Patience(EarlyStoppingCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            super().on_train_begin(args, state, control, **kwargs)
            # A run killed after it had stopped, and before its adapter was written, has nothing to go on with.
            if self.early_stopping_patience_counter >= self.early_stopping_patience:
                control.should_training_stop = True

    return Patience(early_stopping_patience=measurements)
