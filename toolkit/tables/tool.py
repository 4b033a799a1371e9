"""What can be computed over one table: filter, sort, smallest, largest, sum, mean, count, look up and compare."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.errors import DataError
from toolkit.tables.model import Measure, Row, Table
from toolkit.tables.quantities import Quantity, decimal_sign

# Amounts of these kinds can be compared and not added: half past two and ten past nine make nothing.
_NO_SUMS = ("time", "date", "temperature", "angle", "concentr")
_EXACT = 1e-9  # amounts this close, by their size, are the same
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "less": operator.lt, "at most": operator.le, "more": operator.gt, "at least": operator.ge,
    "equal": lambda value, other: abs(value - other) <= _EXACT * max(1.0, abs(other)),
}  # fmt: skip
COMPARISONS = tuple(_COMPARED)


@dataclass(frozen=True)
class Computed:
    """What was computed, and the rows that it rests on.

    Attributes:
        operation: What was done.
        table: The table.
        rows: Numbers of the rows that the result is about, best first: the smallest, those counted, those added.
        measure: The amounts that it was done with; None for one that needs none.
        amount: The result in the unit of its values, written as they are; empty where the rows are the result.
    """

    operation: str
    table: Table
    rows: tuple[int, ...]
    measure: Measure | None = None
    amount: str = ""

    def value(self, row: int) -> Quantity | None:
        """Return the amount of a row, or None where there is none."""
        return self.measure.values[row] if self.measure else None

    def row(self, number: int) -> Row:
        """Return a row by its number."""
        return self.table.rows[number]


class TableTool:
    r"""The operations over one table. Rows are given and returned by their numbers; an empty result is none.

    Args:
        table: The table.

    Example:
        >>> from toolkit.language import ENGLISH
        >>> from toolkit.tables import Measures, Piece, tables_of
        >>> text = "lamp: Tall; price: 40 euros\nlamp: Small; price: 15 euros"
        >>> (table,) = tables_of([Piece("1", "prices.csv", "", "", text)], Measures(ENGLISH))
        >>> tool = TableTool(table)
        >>> tool.table.rows[tool.smallest([0, 1], tool.measure("price")).rows[0]].label
        'Small'
        >>> tool.sum([0, 1], tool.measure("price")).amount
        '55 euros'
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def measure(self, column: str) -> Measure:
        """Return the amounts of a column.

        Raises:
            DataError: There is no such column, or none of amounts.
        """
        for measure in self.table.measures:
            if measure.column == column:
                return measure
        amounts = ", ".join(dict.fromkeys(measure.column for measure in self.table.measures)) or "none"
        raise DataError(
            f"{column!r} is no column of amounts in the table of {self.table.source}.", f"There are: {amounts}."
        )

    def filter(self, rows: Sequence[int], measure: Measure, compared: str, amount: float) -> list[int]:
        """Return the rows whose amount compares with another as one of :data:`COMPARISONS` says."""
        holds = _COMPARED[compared]
        return [row for row in rows if (value := measure.values[row]) is not None and holds(value.amount, amount)]

    def sort(self, rows: Sequence[int], measure: Measure, *, descending: bool = False) -> Computed:
        """Order the rows that have an amount."""
        kept = sorted(_filled(rows, measure), key=lambda row: _amount(measure, row), reverse=descending)
        return Computed("descending" if descending else "ascending", self.table, tuple(kept), measure)

    def smallest(self, rows: Sequence[int], measure: Measure) -> Computed:
        """Find the row of the smallest amount; several where they share it."""
        return self._extreme("min", rows, measure, min)

    def largest(self, rows: Sequence[int], measure: Measure) -> Computed:
        """Find the row of the largest amount; several where they share it."""
        return self._extreme("max", rows, measure, max)

    def _extreme(self, operation: str, rows: Sequence[int], measure: Measure, best: Callable[..., float]) -> Computed:
        kept = _filled(rows, measure)
        if not kept:
            return Computed(operation, self.table, (), measure)
        found = best(_amount(measure, row) for row in kept)
        return Computed(operation, self.table, tuple(r for r in kept if _amount(measure, r) == found), measure)

    def sum(self, rows: Sequence[int], measure: Measure) -> Computed:
        """Add amounts up.

        Raises:
            DataError: They are of a kind that cannot be added, or one of the rows has none.
        """
        return self._added("sum", rows, measure, 1)

    def mean(self, rows: Sequence[int], measure: Measure) -> Computed:
        """Return the arithmetic mean of amounts.

        Raises:
            DataError: They are of a kind that cannot be added, or one of the rows has none.
        """
        return self._added("mean", rows, measure, len(rows))

    def _added(self, operation: str, rows: Sequence[int], measure: Measure, share: int) -> Computed:
        if measure.kind in _NO_SUMS:
            raise DataError(f"Amounts of {measure.column!r} cannot be added.", "Sort them, or find the largest.")
        if not rows or len(_filled(rows, measure)) < len(rows):
            raise DataError(f"A row has no amount in {measure.column!r}.", "Leave it out.")
        total = sum(_amount(measure, row) for row in rows) / share
        return Computed(operation, self.table, tuple(rows), measure, written(total, measure, rows))

    def compare(self, first: int, second: int, measure: Measure) -> Computed:
        """Return the difference of two rows, the one with the larger amount first.

        Raises:
            DataError: The amounts are of a kind without differences, or one of the rows has none.
        """
        if measure.kind in ("time", "date"):
            raise DataError(f"Amounts of {measure.column!r} have no difference in their unit.", "Sort them.")
        if len(_filled((first, second), measure)) < 2:
            raise DataError(f"A row has no amount in {measure.column!r}.", "Compare other rows.")
        pair = sorted((first, second), key=lambda row: -_amount(measure, row))
        difference = _amount(measure, pair[0]) - _amount(measure, pair[1])
        return Computed("difference", self.table, tuple(pair), measure, written(difference, measure, pair))

    def count(self, rows: Sequence[int], measure: Measure | None = None) -> Computed:
        """Count rows."""
        return Computed("count", self.table, tuple(rows), measure, str(len(rows)))

    def lookup(self, row: int, column: str) -> str:
        """Return a cell of a row; empty where it is.

        Raises:
            DataError: There is no such column.
        """
        if column not in self.table.columns:
            raise DataError(
                f"{column!r} is no column of the table of {self.table.source}.",
                f"There are: {', '.join(self.table.columns)}.",
            )
        return self.table.rows[row].cells.get(column, "")


def _filled(rows: Sequence[int], measure: Measure) -> list[int]:
    return [row for row in rows if measure.values[row] is not None]


def _amount(measure: Measure, row: int) -> float:
    value = measure.values[row]
    assert value is not None
    return value.amount


def written(amount: float, measure: Measure, rows: Sequence[int]) -> str:
    """Write an amount as those of some rows are written: in the unit of the first, with its signs.

    A unit that stands with a number above one is likelier in its plural.

    Args:
        amount: In the base unit.
        measure: The amounts of the column.
        rows: The rows that it was made of.
    """
    values = [value for row in rows if (value := measure.values[row]) is not None]
    # The unit of the first, or of a larger number in the same unit.
    factor = values[0].amount / values[0].value if values[0].value else 1.0
    same = [value for value in values if value.value and abs(value.amount / value.value - factor) < _EXACT * factor]
    model = max(same or values, key=lambda value: value.value != 1)
    number = amount / factor
    others = [value for value in measure.values if value is not None]
    digits = re.compile(r"[-−]?\d[\d.,'’\u00a0\u202f]*(?: \d{3})*")
    signs = [decimal_sign(match.group()) for value in others if (match := digits.search(value.said))]
    decimal = next(filter(None, signs), ".")
    money = measure.kind == "money" and abs(number - round(number)) > _EXACT
    text = f"{number:.2f}" if money else f"{number:.2f}".rstrip("0").rstrip(".")
    whole, _, part = text.partition(".")
    if any(value.value >= 1000 and re.search(r"\d[.,]\d{3}(?!\d)", value.said) for value in others):
        whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", "," if decimal == "." else ".", whole)
    text = f"{whole}{decimal}{part}" if part else whole
    return digits.sub(lambda _: text, model.said, count=1)
