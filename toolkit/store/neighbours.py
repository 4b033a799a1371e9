"""Hits joined with the chunks beside them that continue them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from toolkit.store.passages import Chunk, Passage

# More characters than this between two chunks of a file, and the one does not continue the other.
_GAP = 200


def join_neighbours(passages: Sequence[Passage], neighbours: Callable[[str], list[Chunk]]) -> list[Passage]:
    """Join each hit with the chunks beside it that continue it.

    Two chunks continue each other when they are from the same file and section and nearly touch. A hit that
    became part of a better one is not shown again.

    Args:
        passages: Hits, best first.
        neighbours: Gives the chunks around one, itself included, in the order of the text.
    """
    joined: list[Passage] = []
    used: set[str] = set()
    for passage in passages:
        if passage.id in used:
            continue
        run = [chunk for chunk in _run_around(passage.id, neighbours(passage.id)) if chunk.id not in used]
        run = _run_around(passage.id, run)
        if not run:
            joined.append(passage)
            continue
        used.update(chunk.id for chunk in run)
        joined.append(replace(passage, text=_text(run), metadata={**passage.metadata, **_span(run)}))
    return joined


def _run_around(name: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the longest run of chunks around ``name`` in which each continues the one before."""
    place = next((index for index, chunk in enumerate(chunks) if chunk.id == name), None)
    if place is None:
        return []
    first = last = place
    while first > 0 and _continues(chunks[first - 1], chunks[first]):
        first -= 1
    while last + 1 < len(chunks) and _continues(chunks[last], chunks[last + 1]):
        last += 1
    return list(chunks[first : last + 1])


def _continues(left: Chunk, right: Chunk) -> bool:
    """Tell whether one chunk goes on where the other ends."""
    same = all(left.metadata.get(key) == right.metadata.get(key) for key in ("sha256", "heading"))
    end, start = left.metadata.get("end"), right.metadata.get("start")
    if not same or not isinstance(end, int) or not isinstance(start, int):
        return False
    return left.metadata["start"] < start and start - end <= _GAP


def _text(run: Sequence[Chunk]) -> str:
    """Put the texts of a run together; what two of them share is said once."""
    text = run[0].text
    for left, right in zip(run, run[1:], strict=False):
        shared = int(left.metadata["end"]) - int(right.metadata["start"])
        if shared > 0:
            text += right.text[shared:]
        else:
            text += ("\n\n" if re.search(r"\n|^.{81,}$", left.text) else " ") + right.text
    return text


def _span(run: Sequence[Chunk]) -> dict[str, int]:
    """Return the span of a run in its file."""
    return {"start": int(run[0].metadata["start"]), "end": int(run[-1].metadata["end"])}
