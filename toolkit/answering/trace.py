"""The trace of an answer: what was done for it, one step after another, with what went in and what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.engines.base import Tokens


@dataclass(frozen=True)
class Step:
    """One thing that was done for an answer.

    Attributes:
        name: What it was: ``route``, ``table``, ``rewrite``, ``search``, ``evidence``, ``thinking``, ``gate``,
            ``draft``, ``prompt``, ``reply``, ``plain``, ``checks``; ``parts`` of a compound question; of an agent also
            ``model``, ``tool`` and ``limit``.
        inputs: What it was given, as plain data.
        outputs: What came of it, as plain data.
        seconds: How long it took. Of what was done for many questions at once it is the question's share.
        adapter: Whether the voice was on; None where no model was asked.
        tokens: What the model read and wrote; None where no model was asked, or where it does not know.
    """

    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    seconds: float
    adapter: bool | None = None
    tokens: Tokens | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain data."""
        tokens = {"prompt": self.tokens.prompt, "reply": self.tokens.reply} if self.tokens else None
        return {
            "name": self.name,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "seconds": round(self.seconds, 6),
            "adapter": self.adapter,
            "tokens": tokens,
        }


@dataclass(frozen=True)
class Trace:
    """The steps of an answer, in their order.

    Attributes:
        steps: They.
    """

    steps: tuple[Step, ...] = ()

    def __iter__(self) -> Iterator[Step]:
        """Go through the steps."""
        return iter(self.steps)

    def __len__(self) -> int:
        """Return how many steps there are."""
        return len(self.steps)

    def step(self, name: str) -> Step | None:
        """Return the last step of a name, or None."""
        return next((step for step in reversed(self.steps) if step.name == name), None)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the steps as plain data."""
        return [step.to_dict() for step in self.steps]

    @classmethod
    def from_dict(cls, content: Sequence[dict[str, Any]]) -> Trace:
        """Return the trace that :meth:`to_dict` wrote."""
        from toolkit.engines.base import Tokens

        return cls(
            tuple(Step(**row | {"tokens": Tokens(**row["tokens"]) if row["tokens"] else None}) for row in content)
        )


OnStep = Callable[[Step], None]


@dataclass
class Tracer:
    """Notes the steps of one answer while they are done.

    Attributes:
        on_step: Told each step as it is done.
        steps: Those done so far.
    """

    on_step: OnStep | None = None
    steps: list[Step] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def begin(self) -> None:
        """Begin the next step now: what was done since the last one is none of it."""
        self._since = time.perf_counter()

    def done(
        self,
        name: str,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        *,
        adapter: bool | None = None,
        tokens: Tokens | None = None,
        seconds: float | None = None,
    ) -> None:
        """Note a step: see :class:`Step`.

        Args:
            name: What it was.
            inputs: What it was given.
            outputs: What came of it.
            adapter: Whether the voice was on.
            tokens: What the model read and wrote.
            seconds: How long it took; without, all the time since the last step, or since :meth:`begin`.
        """
        now = time.perf_counter()
        step = Step(name, inputs, outputs, now - self._since if seconds is None else seconds, adapter, tokens)
        self.steps.append(step)
        if self.on_step:
            self.on_step(step)
        self._since = time.perf_counter()

    @property
    def trace(self) -> Trace:
        """The steps done so far."""
        return Trace(tuple(self.steps))
