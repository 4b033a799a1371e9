"""Tables of the documents, read back from the passages: rows with their exact words, and columns with their amounts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from toolkit.tables.quantities import Measures, Quantity, usual_decimal

# A column holds amounts where this share of its filled cells does: a table has its "on request" and "sold out".
_FILLED = 0.6
# A name stands over a column in this share of a table's rows; what stands in fewer is punctuation within a cell.
_NAMED = 0.3
_LONGEST_NAME = 60  # letters, as in `toolkit.documents.tables`
# A cell of more words is a sentence: it tells things, and is no name that somebody asks for.
NAME_WORDS = 6


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        label: What tells it from the other rows, in the table's words.
        cells: Its cells by the name of their column; empty ones are left out.
        chunk: Id of the passage that it stands in.
        start: Its first character in that passage.
        end: The character after its last.
    """

    label: str
    cells: dict[str, str]
    chunk: str
    start: int
    end: int


@dataclass(frozen=True)
class Measure:
    """The amounts of one kind in a column.

    Attributes:
        column: The column's name.
        kind: What is measured; see :class:`Quantity`.
        unit: What makes them comparable.
        values: One for each row, None where it has none.
        plain: Whether a cell holds the amount and nothing else.
    """

    column: str
    kind: str
    unit: str
    values: tuple[Quantity | None, ...]
    plain: bool


@dataclass(frozen=True)
class Table:
    """A table of a document.

    Attributes:
        source: The file that it stands in.
        heading: The headings above it, joined by `` > ``.
        title: The title of the document.
        columns: The names of its columns; the first may be empty.
        rows: Its rows, in order.
        measures: The amounts in its columns.
    """

    source: str
    heading: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    measures: tuple[Measure, ...] = field(default=(), compare=False)

    @property
    def naming(self) -> str:
        """The column that names the rows."""
        return self.columns[0]

    @cached_property
    def short_columns(self) -> tuple[str, ...]:
        """The columns whose cells are names, and neither sentences nor amounts."""
        amounts = {measure.column for measure in self.measures}
        return tuple(
            name
            for name in self.columns
            if name not in amounts and all(len(row.cells.get(name, "").split()) <= NAME_WORDS for row in self.rows)
        )

    @property
    def about(self) -> str:
        """What stands over the table: file, title and headings."""
        return f"{re.sub(r'[^a-zA-Z]+', ' ', self.source.rsplit('.', 1)[0])} {self.title} {self.heading}"

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain data; its amounts are found again."""
        rows = [[row.label, row.cells, row.chunk, row.start, row.end] for row in self.rows]
        own = {name: getattr(self, name) for name in ("source", "heading", "title", "columns")}
        return own | {"rows": rows}

    @classmethod
    def from_dict(cls, content: dict[str, Any], measures: Measures) -> Table:
        """Read what :meth:`to_dict` returned."""
        rows = tuple(Row(*row) for row in content["rows"])
        columns = tuple(content["columns"])
        table = cls(content["source"], content["heading"], content["title"], columns, rows)
        return table.measured(measures)

    def measured(self, measures: Measures) -> Table:
        """Return the table with the amounts of its columns."""
        decimal = usual_decimal((cell for row in self.rows for cell in row.cells.values()), measures.language)
        found = [
            measure
            for name in self.columns[1:] or self.columns
            for measure in _measures_of(name, self.rows, measures, decimal)
        ]
        return Table(self.source, self.heading, self.title, self.columns, self.rows, tuple(found))


@dataclass(frozen=True)
class Piece:
    """A passage that tables are read from.

    Attributes:
        id: Its id.
        source: The file.
        heading: Its headings, joined by `` > ``.
        title: The title of the document.
        text: Its exact text.
    """

    id: str
    source: str
    heading: str
    title: str
    text: str


@dataclass(frozen=True)
class _Line:
    piece: Piece
    start: int
    end: int

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Name and value of each part; a part without a name has an empty one."""
        pairs = []
        for part in self.piece.text[self.start : self.end].split("; "):
            name, mark, value = part.partition(": ")
            named = bool(mark) and len(name) <= _LONGEST_NAME
            pairs.append((name, value) if named else ("", part))
        return pairs


def tables_of(pieces: Iterable[Piece], measures: Measures) -> list[Table]:
    """Read the tables back from passages: runs of lines whose parts have the same names.

    Args:
        pieces: The passages of all files, by file and in the order of its text.
        measures: Finds the amounts in cells.

    Returns:
        The tables with two columns and two rows at least, in the order of the passages.
    """
    found = (_table(run) for run in _runs(pieces))
    return [table.measured(measures) for table in found if table]


def _runs(pieces: Iterable[Piece]) -> Iterator[list[_Line]]:
    """Yield runs of lines that begin with the same name; one may go on in the next passage of the file."""
    run: list[_Line] = []
    first: str | None = None
    for piece in pieces:
        if run and (run[-1].piece.source, run[-1].piece.heading) != (piece.source, piece.heading):
            yield run
            run, first = [], None
        for match in re.finditer(r"[^\n]*\n|[^\n]+\Z", piece.text):
            line = _Line(piece, match.start(), match.start() + len(match.group().rstrip()))
            parts = line.parts
            name = parts[0][0] if len(parts) > 1 or parts[0][0] else None
            if run and name != first:
                yield run
                run = []
            first = name
            if name is not None:
                run.append(line)
    if run:
        yield run


def _table(run: Sequence[_Line]) -> Table | None:
    """Make a table of lines that begin with the same name, or None where they are none."""
    counts = Counter(name for line in run for name in {name for name, _ in line.parts[1:]})
    enough = max(2.0, _NAMED * len(run))
    named = [name for name, count in counts.items() if name and count >= enough]
    if len(run) < 2 or not named:
        return None
    head = run[0].parts[0][0]
    order: dict[str, list[int]] = {}
    records: list[dict[str, str]] = []
    for line in run:
        cells: dict[str, str] = {}
        last = head
        for index, (name, value) in enumerate(line.parts):
            if index == 0 or (name in named and name not in cells and name != head):
                last = name if index else head
                cells[last] = value
                order.setdefault(last, []).append(index)
            else:  # a semicolon within a cell
                cells[last] += f"; {name}: {value}" if name else f"; {value}"
        records.append(cells)
    columns = sorted(order, key=lambda name: (sum(order[name]) / len(order[name]), name))
    labels = _labels(records, columns)
    rows = tuple(
        Row(label, cells, line.piece.id, line.start, line.end)
        for label, cells, line in zip(labels, records, run, strict=True)
    )
    piece = run[0].piece
    return Table(piece.source, piece.heading, piece.title, tuple(columns), rows)


def _labels(records: Sequence[dict[str, str]], columns: Sequence[str]) -> list[str]:
    """Name each row by its first cell, and by the next ones where rows share that."""
    labels = [cells[columns[0]] for cells in records]
    for column in columns[1:]:
        repeated = Counter(labels)
        if repeated.most_common(1)[0][1] == 1:
            break
        for index, cells in enumerate(records):
            more = cells.get(column, "")
            if repeated[labels[index]] > 1 and more and len(more.split()) <= NAME_WORDS:
                labels[index] += f", {more}"
    return labels


def _measures_of(name: str, rows: Sequence[Row], measures: Measures, decimal: str) -> Iterator[Measure]:
    """Yield the amounts of a column that most of its filled cells have one of."""
    cells = [row.cells.get(name, "") for row in rows]
    # A number in the name of a row is none of its amounts: that of a "Model 3" in a sentence about it.
    own = [cell.replace(row.label, " ") if row.label in cell else cell for cell, row in zip(cells, rows, strict=True)]
    found = [measures.of(cell, decimal) for cell in own]
    filled = sum(1 for cell in cells if cell)
    keys = Counter(quantity.key for quantities in found for quantity in {q.key: q for q in quantities}.values())
    for (kind, unit), count in keys.items():
        if count < max(2.0, _FILLED * filled):
            continue
        values = [[q for q in quantities if q.key == (kind, unit)] for quantities in found]
        # Of two of a kind nobody knows which is meant.
        if sum(len(each) == 1 for each in values) < max(2.0, _FILLED * filled):
            continue
        one = tuple(each[0] if len(each) == 1 else None for each in values)
        plain = all(
            len(cell) <= len(value.said) + 2 for cell, value in zip(cells, one, strict=True) if value is not None
        )
        if not plain and (kind == "number" or len({value.amount for value in one if value}) == 1):
            continue  # a bare number in a sentence may be anything, and one that stays the same is part of a name
        yield Measure(name, kind, unit, one, plain)
