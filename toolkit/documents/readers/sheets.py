"""Spreadsheets (XLSX, XLS, ODS), by calamine."""

from __future__ import annotations

import datetime
import io
from collections.abc import Sequence
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline
from toolkit.documents.readers.package import office_date
from toolkit.documents.tables import table_text


def read_workbook(data: bytes, name: str, kind: str) -> Extract:
    """Read each sheet under its name; a blank row ends a table.

    Raises:
        Unreadable: If it is damaged or encrypted.
    """
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError as error:
        raise Unreadable("the workbook is encrypted with a password; save it without one") from error
    except (CalamineError, OSError, ValueError) as error:
        raise Unreadable(f"a damaged workbook ({error})") from error
    outline = Outline(kind)
    outline.date = office_date(data) if kind == "xlsx" else ""
    for sheet in book.sheet_names:
        try:
            rows = _rows(book.get_sheet_by_name(sheet))
        except (CalamineError, OSError, ValueError) as error:
            outline.warnings.append(f"sheet {sheet}: {error}")
            continue
        tables = list(_tables(rows))
        if tables:
            outline.heading(1, sheet)
        for table in tables:
            outline.block(table_text(table))
    return outline.finish()


def _rows(sheet: Any) -> list[list[Any]]:
    """Return a sheet's cells; what is merged over several rows stands in each that has cells of its own."""
    rows: list[list[Any]] = sheet.to_python(skip_empty_area=True)
    top, left = sheet.start or (0, 0)
    for (first, column), (last, _) in sheet.merged_cell_ranges or ():
        for number in range(first + 1 - top, min(last + 1 - top, len(rows))):
            if any(cell != "" for cell in rows[number]):
                rows[number][column - left] = rows[first - top][column - left]
    return rows


def _tables(rows: Sequence[Sequence[Any]]) -> list[list[list[str]]]:
    """Cut a sheet at its blank rows, and drop the columns that a table leaves empty."""
    tables: list[list[list[str]]] = []
    current: list[list[str]] = []
    for row in [*rows, []]:
        cells = [cell_text(cell) for cell in row]
        if any(cells):
            current.append(cells)
        elif current:
            used = [i for i in range(len(current[0])) if any(r[i] for r in current)]
            tables.append([[r[i] for i in used] for r in current])
            current = []
    return tables


def cell_text(value: Any) -> str:
    """Write a cell as its reader sees it: whole numbers without a point, midnight dates without a time."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="minutes")
    return str(value).strip()
