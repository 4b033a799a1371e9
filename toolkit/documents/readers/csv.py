"""CSV and its relatives, by the standard library."""

from __future__ import annotations

import csv
import io
import re

from toolkit.documents.model import Extract
from toolkit.documents.outline import Outline, clean
from toolkit.documents.tables import table_text

_SEPARATORS = ",;\t|"
_FIELD_LIMIT = 10_000_000
_NONE = "\x1f"  # in no text that was cleaned


def read_csv(text: str, name: str) -> Extract:
    """Read a table of separated values: each row a line that names its columns."""
    outline = Outline("csv")
    text = clean(text)
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(text), delimiter=_separator(text), skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
    except csv.Error as error:
        outline.warnings.append(f"line {reader.line_num}: {error}; the rows after it are not in")
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    # A column alone has a header as a rule; of more, the first row's looks decide.
    single = bool(rows) and max(map(len, rows)) == 1
    header = True if single and len(rows) > 1 and len(rows[0][0]) <= 40 else None
    outline.block(table_text(rows, header=header))
    return outline.finish()


def _separator(text: str) -> str:
    """Choose the separator that cuts the first lines into the most equal number of cells.

    Where none does, a sign with a blank behind it is punctuation: such a file has one column.
    """
    head = text[:20_000]
    prose = not any(re.search(rf"{re.escape(sign)}(?!\s)", head) for sign in _SEPARATORS)
    best, best_score = _NONE if prose else ",", 0.0
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(head), delimiter=separator) if row][:20]
        except csv.Error:
            continue
        if not widths or max(widths) < 2:
            continue
        common = max(set(widths), key=widths.count)
        score = widths.count(common) / len(widths) * (1 + min(common, 20) / 100) if common > 1 else 0
        if score > best_score:
            best, best_score = separator, score
    return best
