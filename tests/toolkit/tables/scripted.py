"""A reading of questions by their words, in place of one that is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.language import ENGLISH, Lexicon
from toolkit.tables import Asker, Explained, IndexedTable, Measures, Piece, Table, tables_of, wording_of
from toolkit.tables.reading import Wanted, fit_comparisons

OPERATIONS = {
    "cheapest": "min", "shortest": "min", "earliest": "min", "expensive": "max", "most": "max", "longest": "max",
    "together": "sum", "average": "mean", "How many": "count", "more does": "difference", "Sort": "ascending",
    "Which item ": "list",
}  # fmt: skip
ASPECTS = {
    "cost": "money", "cheap": "money", "expensive": "money", "price": "money", "long": "duration", "short": "duration",
    "earliest": "time",
}  # fmt: skip
WORDING = wording_of(ENGLISH)
assert WORDING is not None


class Texts:
    """An encoder whose vectors are the numbers of the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        first = len(self.texts) - len(texts)
        return np.arange(first, len(self.texts), dtype=np.float32)[:, None]


class WordHeads:
    """Reads what is wanted from the words of a text."""

    def __init__(self, encoder: Texts) -> None:
        self._encoder = encoder
        self.compared = fit_comparisons(WORDING)  # type: ignore[arg-type]

    def read(self, vector: np.ndarray) -> Wanted:
        text = self._encoder.texts[int(vector[0])]
        operation = next((name for word, name in OPERATIONS.items() if word in text), "none")
        aspect = next((name for word, name in ASPECTS.items() if word in text), "count")
        kinds = WORDING.aspects if WORDING else {}
        return Wanted(
            {name: 0.9 if name == operation else 0.01 for name in [*OPERATIONS.values(), "none"]},
            {name: 0.9 if name == aspect else 0.01 for name in kinds},
        )


def table_of(text: str, source: str = "prices.csv") -> Table:
    (table,) = tables_of([Piece(source, source, "", "", text)], Measures(ENGLISH))
    return table


def asker_of(tables: Sequence[Table], texts: Sequence[str] = ()) -> Asker:
    lexicon = Lexicon.of([*(cell for table in tables for row in table.rows for cell in row.cells.values()), *texts])
    encoder, indexed = Texts(), [IndexedTable(table, lexicon) for table in tables]
    heads: Any = WordHeads(encoder)
    assert WORDING is not None
    return Asker(indexed, heads, encoder, Measures(ENGLISH), lexicon, WORDING, Explained.of(WORDING, ENGLISH))
