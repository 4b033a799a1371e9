"""Tables as lines that make sense alone: every cell with the name of its column."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.documents.outline import one_line

_NUMBER = re.compile(r"^[\s$€£¥(+-]*\d[\d.,:/%\s()e-]*$", re.IGNORECASE)


def table_text(rows: Sequence[Sequence[str]], *, header: bool | None = None) -> str:
    """Write a table as one line a row.

    Args:
        rows: Cells as text; rows may differ in length.
        header: Whether the first row names the columns; None to judge by its looks.

    Returns:
        ``Name: value; Name: value`` lines under a header, ``value | value`` lines without one.
    """
    cleaned = [[one_line(cell) for cell in row] for row in rows]
    cleaned = [row for row in cleaned if any(row)]
    if not cleaned:
        return ""
    caption = []
    # A cell alone in the first row is the table's title.
    while header is not True and len(cleaned) > 2 and _cells(cleaned[0]) == 1 < _cells(cleaned[1]):
        caption.append(next(filter(None, cleaned.pop(0))))
    body = _body_text(cleaned, header)
    return "\n".join([*caption, body])


def _cells(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell)


def _body_text(cleaned: Sequence[Sequence[str]], header: bool | None) -> str:
    if header is None:
        header = looks_like_header(cleaned)
    if not header or len(cleaned) < 2:
        return "\n".join(" | ".join(filter(None, row)) for row in cleaned)
    names = cleaned[0]
    return "\n".join(_named_row(names, row) for row in cleaned[1:])


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Judge whether the first row names the columns: filled, distinct, short, and without numbers."""
    first, width = list(rows[0]), max(len(row) for row in rows)
    while first and not first[-1]:
        first.pop()
    if len(rows) < 2 or width < 2 or len(first) < max(2, width - 1):
        return False
    names = [cell for cell in first if cell]
    # An empty corner is usual; more holes than that are a layout, not a header.
    if len(names) < len(first) - 1 or len(set(names)) < len(names):
        return False
    return all(len(name) <= 60 and not _NUMBER.match(name) for name in names)


def _named_row(names: Sequence[str], row: Sequence[str]) -> str:
    parts = []
    for index, cell in enumerate(row):
        name = names[index].rstrip(":") if index < len(names) else ""
        name = name if any(map(str.isalnum, name)) else ""  # a dash or a dot for a corner names nothing
        if cell and name and name != cell:
            parts.append(f"{name}: {cell}")
        elif cell:
            parts.append(cell)
    return "; ".join(parts)


def filled_down(rows: Sequence[Sequence[str | None]]) -> list[list[str]]:
    """Write what is merged over several rows into each that has cells of its own: it then makes sense alone.

    Args:
        rows: Cells as text; None for one that continues the cell above it.
    """
    result: list[list[str]] = []
    above: list[str] = []
    for row in rows:
        above = [(above[i] if i < len(above) else "") if cell is None else cell for i, cell in enumerate(row)]
        result.append(above if any(row) else [""] * len(row))
    return result
