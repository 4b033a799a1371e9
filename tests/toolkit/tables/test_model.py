"""Tables read back from passages: columns, rows with their exact words, and the amounts in their cells."""

from __future__ import annotations

from toolkit.language import ENGLISH
from toolkit.tables import Measures, Piece, Table, tables_of

MEASURES = Measures(ENGLISH)


def piece(text: str, name: str = "1", source: str = "prices.csv", heading: str = "") -> Piece:
    return Piece(name, source, heading, "", text)


def only(*pieces: Piece) -> Table:
    (table,) = tables_of(pieces, MEASURES)
    return table


def test_rows_keep_their_exact_words_and_may_stand_in_several_passages() -> None:
    first = "article: Red lamp; price: 40 euros\narticle: Green lamp; price: 1,250 euros"
    table = only(piece(first), piece("article: Kite; price: 7.50 euros", "2"))
    assert table.columns == ("article", "price")
    assert [row.label for row in table.rows] == ["Red lamp", "Green lamp", "Kite"]
    assert [row.chunk for row in table.rows] == ["1", "1", "2"]
    assert first[table.rows[1].start : table.rows[1].end] == "article: Green lamp; price: 1,250 euros"
    (price,) = table.measures
    assert (price.kind, price.unit, price.plain) == ("money", "EUR", True)
    assert [value and value.amount for value in price.values] == [40, 1250, 7.5]


def test_text_around_it_and_another_heading_end_a_table() -> None:
    rows = "lamp: Red; price: 4 euros\nlamp: Green; price: 5 euros"
    assert len(only(piece(f"Our lamps are fine.\n\n{rows}\n\nCall us: we help; any time: day and night.")).rows) == 2
    both = tables_of([piece(rows, heading="A"), piece(rows, "2", heading="B")], MEASURES)
    assert [table.heading for table in both] == ["A", "B"]


def test_no_table_of_one_row_or_of_one_column() -> None:
    assert tables_of([piece("lamp: Red; price: 4 euros"), piece("name: a\nname: b", "2", "b.csv")], MEASURES) == []


def test_a_semicolon_within_a_cell_stays_there() -> None:
    table = only(piece("lamp: Red; note: good; care: wipe it\nlamp: Green; note: fine\nlamp: Blue; note: dim"))
    assert table.columns == ("lamp", "note")
    assert table.rows[0].cells == {"lamp": "Red", "note": "good; care: wipe it"}


def test_amounts_of_sentences_are_read_unless_they_are_part_of_the_name() -> None:
    table = only(
        piece(
            "device: Model 3; time: The panel charges the Model 3 sewing machine in 5 hours of sun.\n"
            "device: Model 5; time: The panel charges the Model 5 sewing machine in 90 minutes of sun.\n"
            "device: Lamp; time: It cannot be charged."
        )
    )
    (time,) = table.measures
    assert (time.kind, time.plain) == ("duration", False)
    assert [value and value.amount for value in time.values] == [18000, 5400, None]


def test_a_cell_with_two_amounts_of_a_kind_has_none() -> None:
    table = only(piece("trip: A; days: 2 to 3 days, 5 days\ntrip: B; days: 4 days\ntrip: C; days: 1 day"))
    assert [value and value.value for value in table.measures[0].values] == [None, 4, 1]


def test_rows_that_share_a_name_are_told_apart() -> None:
    table = only(piece("place: Shop; day: Monday; opens: 9:00\nplace: Shop; day: Sunday; opens: 10:00"))
    assert [row.label for row in table.rows] == ["Shop, Monday", "Shop, Sunday"]
    assert table.short_columns == ("place", "day")


def test_a_column_without_a_name_may_come_first() -> None:
    table = only(piece("Red; price: 4 euros\nGreen; price: 5 euros"))
    assert (table.naming, table.rows[1].label, table.measures[0].column) == ("", "Green", "price")


def test_different_currencies_are_not_compared() -> None:
    table = only(piece("lamp: Red; price: 4 euros\nlamp: Green; price: $5\nlamp: Blue; price: £6"))
    assert table.measures == ()


def test_a_table_reads_back() -> None:
    table = only(piece("lamp: Red; price: 4 euros\nlamp: Green; price: 5 euros"))
    back = Table.from_dict(table.to_dict(), MEASURES)
    assert back == table
    assert back.measures == table.measures
