"""What a step of a build is: what it is made from, whether that is still so, and how it runs."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from pipelines.parts import Parts

T = TypeVar("T")


class Step(ABC, Generic[T]):
    """One step of a build, with a result of type ``T``.

    A step writes what it was made from into ``parts.lock``; the build writes the lock once nothing can fail any more.
    """

    name: ClassVar[str]

    @abstractmethod
    def made_from(self, parts: Parts) -> str:
        """Name by its content all that the result depends on, without loading a model."""

    @abstractmethod
    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether the result that is there was made from the very same."""

    @abstractmethod
    def kept(self, parts: Parts) -> T:
        """Return the result that is there."""

    @abstractmethod
    def run(self, parts: Parts) -> T:
        """Do the step and return its result."""

    def remarks(self, result: T, seconds: float) -> Iterator[str]:
        """Yield what is worth telling of a result, in sentences."""
        yield from ()


def do(step: Step[T], parts: Parts, seconds: dict[str, float]) -> T:
    """Do a step where what it is made from changed, and tell what came of it.

    Args:
        step: The step.
        parts: What the build works with.
        seconds: Takes up the time of a step that was done, by its name.
    """
    if step.is_fresh(parts):
        result, taken = step.kept(parts), 0.0
    else:
        started = time.perf_counter()
        result = step.run(parts)
        taken = seconds[step.name] = time.perf_counter() - started
    for remark in step.remarks(result, taken):
        parts.note(remark)
    return result


def digest(*content: Any) -> str:
    """Name plain data by its content: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
