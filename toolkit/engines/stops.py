"""Stop marks: where a reply ends before the model thinks so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def cut(text: str, stop: Sequence[str] | None) -> str:
    """Return a reply up to the first stop mark."""
    end = _end(text, stop or ())
    return text if end is None else text[:end]


def cut_pieces(pieces: Iterable[str], stop: Sequence[str] | None) -> Iterator[str]:
    """Yield the pieces of a reply up to the first stop mark: together they are what :func:`cut` returns.

    What may turn out to be the beginning of a mark is held back until the next piece tells.
    """
    text, sent = "", 0
    for piece in pieces:
        text += piece
        end = _end(text, stop or ())
        upto = end if end is not None else len(text) - _held_back(text, stop or ())
        if upto > sent:
            yield text[sent:upto]
            sent = upto
        if end is not None:
            return
    if sent < len(text):
        yield text[sent:]


def _end(text: str, stop: Sequence[str]) -> int | None:
    """Return where the first mark begins; one that nothing stands before does not end a reply."""
    start = len(text) - len(text.lstrip()) + 1
    return min((at for mark in stop if (at := text.find(mark, start)) >= 0), default=None)


def _held_back(text: str, stop: Sequence[str]) -> int:
    """Return how many letters at the end may be the beginning of a mark."""
    sizes = (size for mark in stop for size in range(1, len(mark)) if text.endswith(mark[:size]))
    return max(sizes, default=0)
