"""Rows of a PDF table under the names of its columns, where the places of the cells leave no doubt.

A row that is named wrongly states what is not so; therefore a table keeps its bars unless its first row is
bold, every cell stands under a name of its own, and there are numbers below it: forms that put a bold label
before each entry look much like a table otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from toolkit.documents.readers.pdf_layout import Cell, Line

_LEAST_NAMES = 3  # two columns are a list of terms as often as a table
_MOST_NAME = 40
_MOST_LABEL = 60
_MOST_MARK = 12  # letters of what stands for a number, such as "n/a"
_NUMERIC = re.compile(r"[-+−(]?[$€£¥]?\d[\d.,:/%)\sA-Z$€£¥-]*$")


def name_columns(lines: Sequence[Line]) -> list[Line]:
    """Return a page's lines with the rows of its tables written as ``Name: value; Name: value``."""
    result: list[Line] = []
    at = 0
    while at < len(lines):
        begins = at == 0 or len(lines[at - 1].cells) < 2 or not _follows(lines[at - 1], lines[at])
        rows = _rows(lines, at) if begins and _may_name(lines[at]) else []
        result.extend(_named(lines[at].cells, rows) or [lines[at]])
        at += 1 + len(rows)
    return result


def _follows(before: Line, line: Line) -> bool:
    return 0 < before.bottom - line.first < 3.2 * max(line.size, before.size)


def _may_name(line: Line) -> bool:
    names = [cell.text for cell in line.cells]
    apart = len(set(names)) == len(names) >= _LEAST_NAMES and all(cell.bold for cell in line.cells)
    return apart and not any(len(name) > _MOST_NAME or _NUMERIC.match(name) for name in names)


def _rows(lines: Sequence[Line], start: int) -> list[Line]:
    """Return the rows of the table whose header is at ``start``, with the labels between them.

    It ends at a gap, at a cell that stands under no name of its own, and at words in a column of numbers.
    Without a column of numbers, or with bold cells throughout, it may be anything else, and has no rows.
    """
    names = lines[start].cells
    rows: list[Line] = []
    for line in lines[start + 1 :]:
        fits = len(line.cells) < 2 and len(line.text) <= _MOST_LABEL or _places(names, line.cells)
        if not fits or not _follows(rows[-1] if rows else lines[start], line):
            break
        rows.append(line)
    placed = [list(zip(_places(names, row.cells), row.cells, strict=False)) for row in rows]
    cells = [pair for row in placed for pair in row if any(map(str.isalnum, pair[1].text))]
    columns = [[_is_number(cell) for place, cell in cells if place == own] for own in range(len(names))]
    numbers = {own for own, column in enumerate(columns) if len(column) > 1 and sum(column) >= 0.6 * len(column)}
    if not numbers or 2 * sum(cell.bold for _, cell in cells) > len(cells):
        return []
    wordy = [{at for at, cell in row if len(cell.text) > _MOST_MARK and not _is_number(cell)} for row in placed]
    rows = rows[: next((index for index, places in enumerate(wordy) if places & numbers), len(rows))]
    while rows and len(rows[-1].cells) < 2:
        rows.pop()
    return rows


def _is_number(cell: Cell) -> bool:
    return bool(_NUMERIC.match(cell.text))


def _named(names: Sequence[Cell], rows: Sequence[Line]) -> list[Line]:
    result = []
    for row in rows:
        if len(row.cells) > 1:
            placed = zip(_places(names, row.cells), row.cells, strict=True)
            parts = [cell.text if at < 0 else f"{names[at].text.rstrip(':')}: {cell.text}" for at, cell in placed]
            row = replace(row, text="; ".join(parts), row=True)
        result.append(row)
    return result


def _places(names: Sequence[Cell], cells: Sequence[Cell]) -> list[int]:
    """Return for each cell the index of its name, -1 for a label left of all of them; nothing in doubt."""
    places: list[int] = []
    for cell in cells:
        over = [index for index, name in enumerate(names) if cell.left < name.right and name.left < cell.right]
        if len(over) == 1 and (not places or over[0] > places[-1]):
            places.append(over[0])
        elif not over and not places and cell.right <= names[0].left:
            places.append(-1)
        else:
            return []
    return places
