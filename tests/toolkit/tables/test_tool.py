"""What is computed over a table, and how it is written: in the table's own units and signs."""

from __future__ import annotations

import pytest

from toolkit.errors import DataError
from toolkit.language import ENGLISH
from toolkit.tables import Measures, Piece, TableTool, tables_of


def tool(*lines: str) -> TableTool:
    (table,) = tables_of([Piece("1", "a.csv", "", "", "\n".join(lines))], Measures(ENGLISH))
    return TableTool(table)


PRICES = tool(
    "article: Red lamp; price: 40 euros; lasts: 2 hours; starts: 9:30",
    "article: Green lamp; price: 1,250.50 euros; lasts: 90 minutes; starts: 18:00",
    "article: Kite; price: 40 euros; lasts: 6 hours; starts: 11:00",
)
ALL = (0, 1, 2)


def test_the_smallest_and_the_largest_with_their_ties() -> None:
    assert PRICES.smallest(ALL, PRICES.measure("price")).rows == (0, 2)
    assert PRICES.largest(ALL, PRICES.measure("price")).rows == (1,)
    assert PRICES.smallest(ALL, PRICES.measure("lasts")).rows == (1,)  # 90 minutes are less than 2 hours
    assert PRICES.smallest(ALL, PRICES.measure("starts")).rows == (0,)
    assert PRICES.smallest((), PRICES.measure("price")).rows == ()


def test_amounts_are_added_in_the_unit_and_with_the_signs_of_the_table() -> None:
    assert PRICES.sum(ALL, PRICES.measure("price")).amount == "1,330.50 euros"
    assert PRICES.sum((0, 2), PRICES.measure("price")).amount == "80 euros"
    assert PRICES.sum((0, 1), PRICES.measure("lasts")).amount == "3.5 hours"
    assert PRICES.mean((0, 2), PRICES.measure("price")).amount == "40 euros"
    assert PRICES.mean(ALL, PRICES.measure("price")).amount == "443.50 euros"


def test_signs_before_the_number_stay_there() -> None:
    dollars = tool("lamp: Red; price: $4.50", "lamp: Green; price: $3")
    assert dollars.sum((0, 1), dollars.measure("price")).amount == "$7.50"
    years = tool("lamp: Red; warranty: 1 year", "lamp: Green; warranty: 3 years")
    assert years.sum((0, 1), years.measure("warranty")).amount == "4 years"


def test_two_rows_are_compared_whichever_comes_first() -> None:
    for pair in ((0, 1), (1, 0)):
        compared = PRICES.compare(*pair, PRICES.measure("price"))
        assert (compared.rows, compared.amount) == ((1, 0), "1,210.50 euros")


@pytest.mark.parametrize(
    ("compared", "amount", "rows"),
    [("less", 40, []), ("at most", 40, [0, 2]), ("more", 40, [1]), ("at least", 40, [0, 1, 2]), ("equal", 40, [0, 2])],
)
def test_rows_are_filtered(compared: str, amount: float, rows: list[int]) -> None:
    assert PRICES.filter(ALL, PRICES.measure("price"), compared, amount) == rows


def test_rows_are_sorted_counted_and_looked_up() -> None:
    assert PRICES.sort(ALL, PRICES.measure("lasts")).rows == (1, 0, 2)
    assert PRICES.sort(ALL, PRICES.measure("lasts"), descending=True).rows == (2, 0, 1)
    assert PRICES.count((0, 2)).amount == "2"
    assert PRICES.lookup(2, "starts") == "11:00"


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(DataError, match="cannot be added"):
        PRICES.sum(ALL, PRICES.measure("starts"))
    with pytest.raises(DataError, match="no difference"):
        PRICES.compare(0, 1, PRICES.measure("starts"))
    with pytest.raises(DataError, match="no column of amounts") as caught:
        PRICES.measure("article")
    assert "price" in caught.value.hint
    with pytest.raises(DataError, match="no column"):
        PRICES.lookup(0, "colour")
    holes = tool("lamp: Red; price: 4 euros", "lamp: Green; price: on request", "lamp: Blue; price: 6 euros")
    with pytest.raises(DataError, match="has no amount"):
        holes.sum(ALL, holes.measure("price"))
    assert holes.largest(ALL, holes.measure("price")).rows == (2,)
