"""From the lines of a PDF page to headings, paragraphs and table rows.

A PDF knows no paragraphs: it places glyphs. What belongs together is told by where lines begin and end, by
the space between them and by the size of their letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from toolkit.documents.outline import fenced

_MARK = re.compile(r"^(?:[-•▪◦·*–●○■□▶➢‣]\s*\S|\(?\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s)")
_SENTENCE_END = (".", "!", "?", ":", ";", "。")
_NUMBER = re.compile(r"[-+(]?[$€£¥]?\d[\d.,:/%)-]*$")
_HEADING_SCALE = 1.15
_MOST_HEADING = 120


@dataclass(frozen=True)
class Cell:
    """What stands between two gaps of a line, with its place in points, and whether its first letter is bold."""

    text: str
    left: float
    right: float
    bold: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a page, or several that hyphens join.

    Args:
        text: What it says.
        left: Where it begins, in points.
        right: Where it ends, in points.
        bottom: Its height above the lower edge of the page, in points; of several joined lines the last one's.
        size: Height of the font, in points; 0 where places are unknown.
        mono: Whether its letters have one width, as those of code do.
        first: Like ``bottom``, of the first of several joined lines.
        cells: Its parts, where gaps as between columns cut it; else one.
        row: Whether it is a row of a table whose columns it names.
    """

    text: str
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    size: float = 0.0
    mono: bool = False
    first: float = 0.0
    cells: tuple[Cell, ...] = ()
    row: bool = False


def join_rows(lines: Sequence[Line]) -> list[Line]:
    """Put together what stands on one height: the cells of a row arrive as lines of their own."""
    rows: list[Line] = []
    for line in lines:
        last = rows[-1] if rows else None
        beside = last is not None and line.size and abs(line.first - last.bottom) < 0.3 * line.size
        if last is not None and beside and line.left >= last.right:
            gap = " | " if line.left - last.right > 1.5 * line.size else " "
            mono = line.mono and (last.mono or last.text.isdecimal())  # code, or code with its line's number
            text = last.text + ("  " if mono else gap) + line.text
            rows[-1] = replace(
                last, text=text, right=line.right, bottom=line.bottom, mono=mono, cells=_cells(last, line, gap)
            )
        else:
            rows.append(line)
    return rows


def _cells(left: Line, right: Line, gap: str) -> tuple[Cell, ...]:
    if gap != " " or not left.cells or not right.cells:
        return left.cells + right.cells
    one, other = left.cells[-1], right.cells[0]
    return (*left.cells[:-1], Cell(f"{one.text} {other.text}", one.left, other.right, one.bold), *right.cells[1:])


def body_size(pages: Sequence[Sequence[Line]]) -> float:
    """Return the size of most letters, in points; 0 where sizes are unknown."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def heading_sizes(pages: Sequence[Sequence[Line]], body: float) -> list[float]:
    """Return the sizes that headings have, largest first; none where large letters are too many for that."""
    if not body:
        return []
    large: Counter[float] = Counter()
    total = 0
    for page in pages:
        for line in page:
            total += len(line.text)
            if line.size >= body * _HEADING_SCALE and _may_be_heading(line.text):
                large[round(line.size, 1)] += len(line.text)
    if sum(large.values()) > 0.25 * total:
        return []
    return sorted(large, reverse=True)[:6]


def blocks(lines: Sequence[Line], headings: Sequence[float]) -> Iterator[tuple[int, str]]:
    """Yield ``(level, text)`` of a page: level 0 is a paragraph, 1 and more a heading."""
    right = max((line.right for line in lines), default=0.0)
    leading = _leading(lines)
    current = ""
    level = 0
    previous: Line | None = None
    code: list[Line] = []
    for line in [*lines, Line("")]:
        if line.mono:
            code.append(line)
            continue
        if code:
            if current:
                yield level, current
            yield 0, _code(code)
            current, level, previous, code = "", 0, None, []
        if not line.text:
            break
        size = round(line.size, 1)
        own = headings.index(size) + 1 if size in headings and _may_be_heading(line.text) else 0
        joint = _joint(previous, line, right, leading) if previous is not None and own == level else "\n\n"
        if own and joint == "\n":
            joint = " "  # a heading that runs over two lines
        if joint == "\n\n":
            if current:
                yield level, current
            current, level = line.text, own
        else:
            current += joint + line.text
        previous = line
    if current:
        yield level, current


def _code(lines: Sequence[Line]) -> str:
    """Return lines of code between fences, set in as they were."""
    edge = min(line.left for line in lines)
    widths = [(line.right - line.left) / len(line.text) for line in lines if len(line.text) > 1]
    width = max(sum(widths) / len(widths), 1.0) if widths else 6.0
    return fenced("\n".join(" " * min(round((line.left - edge) / width), 80) + line.text for line in lines))


def plain_type(pages: Sequence[list[Line]]) -> list[list[Line]]:
    """Take letters of one width for plain ones where most of a document is in them: a typescript is no code."""
    mono = sum(len(line.text) for page in pages for line in page if line.mono)
    total = sum(len(line.text) for page in pages for line in page)
    if 2 * mono <= total:
        return list(pages)
    return [[replace(line, mono=False) for line in page] for page in pages]


def _may_be_heading(text: str) -> bool:
    return 3 <= len(text) <= _MOST_HEADING and sum(map(str.isalpha, text)) >= 0.5 * len(text.replace(" ", ""))


def _leading(lines: Sequence[Line]) -> float:
    """Return the usual distance from one line to the next, in points."""
    drops = [(a.bottom - b.first, max(a.size, 1.0)) for a, b in pairwise(lines)]
    usual = Counter(round(2 * drop) / 2 for drop, size in drops if 0 < drop < 2.5 * size)
    return usual.most_common(1)[0][0] if usual else 0.0


def _joint(previous: Line, line: Line, right: float, leading: float) -> str:
    """Return what stands between two lines: a blank, a line break or a paragraph break."""
    size = max(line.size, previous.size, 1.0)
    drop = previous.bottom - line.first
    if _has_cells(previous) and _has_cells(line) and 0 < drop < 3.2 * size:
        return "\n"  # rows of a table stay together, and its first with them: it may name the columns
    if drop > max(1.35 * leading, 1.1 * size) or drop < -0.5 * size:  # a gap, or the top of the next column
        near = drop < max(2.2 * leading, 2 * size)  # a large sign within a line pushes the next one down
        continues = near and line.text[:1].islower() and not previous.text.endswith(_SENTENCE_END)
        return " " if continues else "\n\n"
    if previous.row or line.row or _MARK.match(line.text) or _is_row(line.text) or _is_row(previous.text):
        return "\n"
    if line.text[:1].islower() and not previous.text.endswith(_SENTENCE_END):
        return " "
    full = previous.right >= right - max(0.12 * right, 4 * size)
    return " " if full else "\n"


def _has_cells(line: Line) -> bool:
    return line.row or " | " in line.text


def _is_row(text: str) -> bool:
    if " | " in text:
        return True
    words = text.split()
    return sum(1 for word in words if _NUMBER.match(word)) >= max(2, 0.4 * len(words))
