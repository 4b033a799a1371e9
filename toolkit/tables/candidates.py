"""The ways to understand a question over a table, what speaks for each, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import DataError
from toolkit.tables.grounding import Grounded
from toolkit.tables.model import Measure
from toolkit.tables.quantities import Quantity
from toolkit.tables.tool import Computed, TableTool

# What speaks for a candidate, in the order of its features.
FEATURES = (
    "log-odds of any operation",
    "log-probability of this operation",
    "log-probability of the kind of quantity, where its column is not named",
    "the same among the kinds that the table has",
    "whether its column holds amounts alone",
    "weight of the words that nothing explains",
    "share of the words to be explained that the table knows",
    "whether rows are named",
    "whether rows are counted or listed",
    "log-probability of the comparison",
)


@dataclass(frozen=True)
class Condition:
    """What an amount of a question demands of the rows.

    Attributes:
        measure: The amounts that are held against it.
        compared: How, as one of :data:`COMPARISONS`.
        amount: It, or the lower of two.
        upper: The upper of two, which the amounts may be; None for one.
        sure: Probability of the comparison.
    """

    measure: Measure
    compared: str
    amount: Quantity
    upper: Quantity | None = None
    sure: float = 1.0

    def kept(self, tool: TableTool, rows: Sequence[int]) -> list[int]:
        """Return the rows that meet it."""
        if self.upper is not None:
            above = tool.filter(rows, self.measure, "at least", self.amount.amount)
            return tool.filter(above, self.measure, "at most", self.upper.amount)
        return tool.filter(rows, self.measure, self.compared, self.amount.amount)


@dataclass(frozen=True)
class Candidate:
    """A way to understand a question.

    Attributes:
        grounded: The table, and what the question says of it.
        operation: What is to be done.
        rows: The rows that it is done over.
        entities: Whether each of the rows was named by itself.
        measure: The amounts that it is done with, or None.
        condition: What an amount of the question demands, or None.
        columns: Further columns that are asked for.
        features: What speaks for it, of shape (len(FEATURES),).
    """

    grounded: Grounded
    operation: str
    rows: tuple[int, ...]
    entities: bool
    measure: Measure | None
    condition: Condition | None
    columns: tuple[str, ...]
    features: np.ndarray

    def compute(self) -> Computed | None:
        """Do it; None where the table has nothing to do it with."""
        tool = TableTool(self.grounded.table.table)
        rows = self.condition.kept(tool, self.rows) if self.condition else list(self.rows)
        try:
            done = _done(self, tool, rows)
        except DataError:
            return None
        return done if done and done.rows else None


def _done(candidate: Candidate, tool: TableTool, rows: Sequence[int]) -> Computed | None:
    operation, measure = candidate.operation, candidate.measure
    if operation == "count":
        return tool.count(rows, candidate.condition.measure if candidate.condition else None)
    if operation == "list":
        shown = candidate.condition.measure if candidate.condition else None
        return Computed("list", tool.table, tuple(rows), shown)
    if measure is None:
        return None
    if operation in ("ascending", "descending"):
        return tool.sort(rows, measure, descending=operation == "descending")
    if operation == "difference":
        return tool.compare(rows[0], rows[1], measure) if len(rows) == 2 else None
    if operation in ("sum", "mean"):
        return tool.sum(rows, measure) if operation == "sum" else tool.mean(rows, measure)
    return tool.smallest(rows, measure) if operation == "min" else tool.largest(rows, measure)
