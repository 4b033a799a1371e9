"""Questions over tables: what counts as right, and as a number made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.answering.figures import Report, read_lines
from benchmarks.answering.sample import SETS
from benchmarks.answering.tables import add_figures, add_ordinary, answered

ROW = {
    "question": "Which kits cost less than 60 euros?", "facts": [["Wick Kit"], ["Kite Kit"]], "not": ["Sail Kit"],
    "sources": ["price-list.csv"], "kind": "filter", "written": "before",
}  # fmt: skip
TABLE = {"source": "price-list.csv", "operation": "list", "rows": ["Wick Kit", "Kite Kit"], "result": ""}
QUOTE = "article: Wick Kit; price: 54 euros\narticle: Kite Kit; price: 37 euros"


def given(
    text: str, *, abstained: bool = False, table: dict[str, Any] | None = TABLE, source: str = "price-list.csv"
) -> Any:
    cited = [SimpleNamespace(source=source, quote=QUOTE)]
    return SimpleNamespace(text=text, abstained=abstained, computed=table or {}, citations=cited, replaced=[])


def measured(text: str, **options: Any) -> dict[str, Any]:
    return answered(ROW, given(text, **options))


def test_right_is_all_that_is_asked_for_and_nothing_else() -> None:
    assert measured("Aye: Wick Kit (54 euros) and Kite Kit (37 euros).")["right"]
    assert not measured("Aye: Wick Kit (54 euros).")["right"]
    assert not measured("Aye: Wick Kit, Kite Kit and Sail Kit.")["right"]
    assert not measured("Wick Kit and Kite Kit.", abstained=True)["right"]


def test_numbers_from_nowhere_are_counted() -> None:
    assert measured("Wick Kit (54 euros) and Kite Kit (37 euros), 2 in all, under 60.")["made_up"] == []
    assert measured("Wick Kit (54 euros) and Kite Kit (39 euros).")["made_up"] == ["39"]


def test_the_first_thirty_carry_the_bar() -> None:
    report = Report("tables")
    rows = [measured("Wick Kit and Kite Kit.") | {"written": written} for written in ("before", "after", "last")]
    rows[2] |= {"right": False, "made_up": ["5"]}
    rows.append(measured("Wick Kit and Kite Kit.", table=None, source="other.md"))
    add_figures(report, rows)
    found = {figure.name.strip(): figure for figure in report.figures}
    assert (found["right through the chain"].ours, found["right through the chain"].met) == (1.0, True)
    assert found["ten more, written last: right"].ours == 0.0
    assert (found["numbers made up"].ours, found["numbers made up"].met) == (1, False)
    assert found["answered from a table"].ours == 0.75
    assert found["of these cited by rows of the right file alone"].ours == 1.0


def test_ordinary_questions_that_are_taken_are_named() -> None:
    report = Report("tables")
    taken = SimpleNamespace(to_dict=lambda: TABLE)
    tables = SimpleNamespace(answer=lambda question: taken if "cost" in question else None)
    add_ordinary(report, tables, ["What does it cost?", "Who made it?", "Why?", "Where?"])
    assert (report.figures[0].ours, report.figures[0].met) == (0.25, False)
    assert report.details == [{"ordinary": "What does it cost?", "table": TABLE}]


def test_the_questions_are_forty_and_tell_apart_what_was_written_when() -> None:
    rows = read_lines(SETS / "tables.jsonl")
    assert [sum(row["written"] == when for row in rows) for when in ("before", "after", "last")] == [15, 15, 10]
    assert len({row["question"] for row in rows}) == 40
    assert all(row["facts"] and row["sources"] for row in rows)
