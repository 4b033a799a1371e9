"""The order in which a person reads a PDF page, where the file draws it in another.

Most programs write a page in reading order, also across columns, and theirs is better than any guess. Some
(spreadsheets, page design) write cells before headlines or the right column before the left; then the
places of the lines decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from toolkit.documents.readers.pdf_layout import Line, join_rows

_MOST_LINES = 1500
_LEAST_COLUMN = 3  # lines; fewer beside each other are labels or cells
_LEAST_WORDS = 15  # letters in the usual line of a column of text
_MOST_COLUMNS = 6


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """Return the lines as they are, or from top to bottom and column by column where their order is astray."""
    if not 3 <= len(lines) <= _MOST_LINES or not all(line.size for line in lines) or not _is_astray(lines):
        return list(lines)
    return join_rows(list(_ordered(list(lines), _MOST_COLUMNS)))


def _is_astray(lines: Sequence[Line]) -> bool:
    """Tell whether lines jump back above what they stand over, or a column comes before the one left of it."""
    back = 0
    runs = _runs(lines)
    for number, run in enumerate(runs[1:], 1):
        first = run[0]
        before = [line for earlier in runs[:number] for line in earlier]
        if any(_overlap(first, line) and line.bottom < first.first - 0.5 * first.size for line in before):
            back += 1
        elif _is_column(run) and _is_column(runs[number - 1]) and _left_of(run, runs[number - 1]):
            back += 2
    return back >= 2


def _runs(lines: Sequence[Line]) -> list[list[Line]]:
    """Cut the lines where one stands higher than the line before it."""
    runs = [[lines[0]]]
    for line in lines[1:]:
        if line.first > runs[-1][-1].bottom + 0.8 * line.size:
            runs.append([])
        runs[-1].append(line)
    return runs


def _overlap(one: Line, other: Line) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared > 0.5 * max(min(one.right - one.left, other.right - other.left), 1.0)


def _is_column(lines: Sequence[Line]) -> bool:
    return len(lines) >= _LEAST_COLUMN and median(len(line.text) for line in lines) >= _LEAST_WORDS


def _left_of(lines: Sequence[Line], others: Sequence[Line]) -> bool:
    right_to_left = sum("\u0590" <= letter <= "\u08ff" for line in lines for letter in line.text[:20])
    apart = max(line.right for line in lines) <= median(line.left for line in others)
    beside = min(line.bottom for line in lines) < max(line.first for line in others)
    return apart and beside and right_to_left < 3 * len(lines)


def _ordered(lines: list[Line], depth: int) -> Iterator[Line]:
    """Yield lines from top to bottom; where a gutter parts them, the left side before the right one."""
    lines = _from_top(lines)
    gutter = _gutter(lines) if depth else None
    if gutter is None:
        yield from lines
        return
    left: list[Line] = []
    right: list[Line] = []
    for line in lines:
        if line.right <= gutter:
            left.append(line)
        elif line.left >= gutter:
            right.append(line)
        else:  # as wide as the page: what stands above it is read first
            yield from _ordered(left, depth - 1)
            yield from _ordered(right, depth - 1)
            yield line
            left, right = [], []
    yield from _ordered(left, depth - 1)
    yield from _ordered(right, depth - 1)


def _from_top(lines: Sequence[Line]) -> list[Line]:
    """Sort by height, and by place from the left what stands on one height."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: -line.first):
        if rows and rows[-1][0].first - line.first < 0.3 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.left)]


def _gutter(lines: Sequence[Line]) -> float | None:
    """Return where the page is best parted into two columns of text, or None."""
    best, most = None, 0.0
    for edge in {round(line.left, 1) for line in lines}:
        place = edge - 1.0
        left = [line for line in lines if line.right <= place]
        right = [line for line in lines if line.left >= place]
        crossing = len(lines) - len(left) - len(right)
        merit = min(len(left), len(right)) - crossing / 2
        if merit > most and _is_column(left) and _is_column(right):
            best, most = place, merit
    return best
