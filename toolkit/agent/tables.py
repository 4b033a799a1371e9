"""The tools over the documents' tables: list them, and compute over one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from toolkit.agent.found import Found, Told, computed, part
from toolkit.answering.evidence import Evidence
from toolkit.errors import DataError
from toolkit.language import Language
from toolkit.tables import Computed, HeldTables, Measure, Table, TableTool

Operation = Literal["rows", "smallest", "largest", "ascending", "descending", "sum", "mean", "count", "difference"]
Comparison = Literal["less", "at most", "equal", "at least", "more"]
# Rows that are named in a list of tables, and those of a result that are shown.
_NAMED, _SHOWN = 30, 40


class TableTools:
    """Computes over the tables of a knowledge folder.

    Args:
        held: Its tables.
        language: Their language.
    """

    def __init__(self, held: HeldTables, language: Language) -> None:
        self._held = held
        self._language = language

    def tools(self) -> list[BaseTool]:
        """Return them for a model; none where no document has a table."""
        if not self._held.tables():
            return []
        made = (self.list_tables, self.use_table)
        return [
            StructuredTool.from_function(one, response_format="content_and_artifact", handle_tool_error=True)
            for one in made
        ]

    def list_tables(self) -> Told:
        """List the tables of the documents: number, file, heading, columns, and the names of the rows."""
        lines = []
        for number, table in enumerate(self._held.tables(), start=1):
            amounts = ", ".join(dict.fromkeys(measure.column for measure in table.measures)) or "none"
            rows = ", ".join(row.label for row in table.rows[:_NAMED])
            more = f" and {len(table.rows) - _NAMED} more" if len(table.rows) > _NAMED else ""
            lines.append(
                f"{number}: {table.source}, {table.heading or table.title}. Columns: {', '.join(table.columns)}. "
                f"Columns of amounts: {amounts}. Rows: {rows}{more}."
            )
        return "\n".join(lines), Found()

    def use_table(
        self,
        table: Annotated[int, "The number of the table, from list_tables"],
        operation: Annotated[Operation, "What to do with the rows"] = "rows",
        column: Annotated[str, "The column of amounts to do it with; not needed for rows and count"] = "",
        rows: Annotated[list[str] | None, "Names of the rows to do it with; leave out for all"] = None,
        where: Annotated[str, "Keep only rows whose amount in this column compares as follows"] = "",
        compared: Annotated[Comparison, "How the amount in `where` compares with `amount`"] = "at most",
        amount: Annotated[str, "The amount to compare with, such as 20 or 20 euros"] = "",
    ) -> Told:
        """Compute over the rows of one table: filter, sort, smallest, largest, sum, mean, count, difference of two."""
        tool = TableTool(self._table(table))
        try:
            kept = self._rows(tool.table, rows)
            if where:
                kept = self._filtered(tool, kept, where, compared, amount)
            done = _done(tool, operation, kept, column)
        except DataError as error:
            raise ToolException(str(error)) from error
        return self._told(done)

    def _table(self, number: int) -> Table:
        tables = self._held.tables()
        if not 1 <= number <= len(tables):
            raise ToolException(f"There is no table {number}; there are 1 to {len(tables)}. Look with list_tables.")
        return tables[number - 1]

    def _rows(self, table: Table, names: Sequence[str] | None) -> list[int]:
        """Return the numbers of rows by their names."""
        if not names:
            return list(range(len(table.rows)))
        wanted = {name.strip().lower() for name in names}
        labels = [row.label.lower() for row in table.rows]
        missing = wanted.difference(labels)
        if missing:
            known = ", ".join(row.label for row in table.rows[:_NAMED])
            raise DataError(f"There is no row {', '.join(sorted(missing))}.", f"There are: {known}.")
        return [number for number, label in enumerate(labels) if label in wanted]

    def _filtered(
        self, tool: TableTool, rows: Sequence[int], column: str, compared: Comparison, amount: str
    ) -> list[int]:
        measure = tool.measure(column)
        found = self._held.measures.of(amount)
        if not found:
            raise DataError(f"{amount!r} is no amount.", "Give a number, with its unit where it has one.")
        asked = found[0]
        if asked.key != (measure.kind, measure.unit) and asked.kind not in ("number", "count"):
            raise DataError(f"{amount!r} cannot be held against {column!r}.", "Give a bare number.")
        value = asked.amount
        if asked.kind in ("number", "count"):  # in the unit that the column is written in
            value = asked.value * _factor(measure)
        return tool.filter(rows, measure, compared, value)

    def _told(self, done: Computed) -> Told:
        """Return what was computed, with the exact words of its rows."""
        numbers = done.rows[:_SHOWN]
        rows = [done.row(number) for number in numbers]
        chunks = self._held.chunks([row.chunk for row in rows])
        passages = {name: chunk.passage(0.0) for name, chunk in chunks.items()}
        evidence: list[Evidence] = [
            part(passages[row.chunk], row.start, row.end, self._language) for row in rows if row.chunk in passages
        ]
        result = _said(done)
        lines = [result, *(f"({item.passage.source}) {' '.join(item.quote.split())}" for item in evidence)]
        if len(done.rows) > len(numbers):
            lines.append(f"({len(done.rows) - len(numbers)} more rows)")
        return "\n".join(lines), computed(result, self._language, evidence)


def _done(tool: TableTool, operation: Operation, rows: Sequence[int], column: str) -> Computed:
    if not rows:
        return Computed(operation, tool.table, ())
    if operation == "count":
        return tool.count(rows)
    if operation == "rows":
        return Computed(operation, tool.table, tuple(rows), tool.measure(column) if column else None)
    measure = tool.measure(column)
    if operation in ("ascending", "descending"):
        return tool.sort(rows, measure, descending=operation == "descending")
    if operation == "difference":
        if len(rows) != 2:
            raise DataError("A difference is that of two rows.", "Name them in `rows`.")
        return tool.compare(rows[0], rows[1], measure)
    if operation in ("smallest", "largest"):
        return tool.smallest(rows, measure) if operation == "smallest" else tool.largest(rows, measure)
    return tool.sum(rows, measure) if operation == "sum" else tool.mean(rows, measure)


def _factor(measure: Measure) -> float:
    """Return what one of a column's numbers is in the base unit: as in its first row with an amount."""
    return next((item.amount / item.value for item in measure.values if item is not None and item.value), 1.0)


def _said(done: Computed) -> str:
    """Return what was computed in words."""
    if not done.rows:
        return "No row is left."
    parts = []
    for number in done.rows[:_SHOWN]:
        value = done.value(number)
        parts.append(f"{done.row(number).label} ({value.said})" if value else done.row(number).label)
    what = f"{done.operation} of {done.measure.column}" if done.measure else done.operation
    return f"{what}: {f'{done.amount}, of ' if done.amount else ''}{', '.join(parts)}"
