"""A reply as it comes, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.answering import Answer


class AnswerStream:
    """The pieces of a reply as they come; the whole :class:`Answer` is in ``answer`` after the last one.

    Leaving the loop early, or :meth:`close`, stops the model.
    """

    def __init__(self, parts: Iterator[str | Answer]) -> None:
        self._parts = parts
        self.answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next piece."""
        part = next(self._parts)
        if isinstance(part, Answer):
            self.answer = part
            return next(self)
        return part

    def close(self) -> None:
        """Stop the reply."""
        close = getattr(self._parts, "close", None)
        if close:
            close()
