"""Tables of all formats: rows that make sense alone, with nothing lost and nothing moved."""

from __future__ import annotations

import io

import docx
import pptx
import pytest
import xlsxwriter
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from toolkit.documents.model import Extract
from toolkit.documents.readers import read_bytes
from toolkit.documents.tables import filled_down, table_text


def texts(extract: Extract) -> list[str]:
    return [section.text for section in extract.sections]


def test_equal_neighbours_are_values_not_copies() -> None:
    assert table_text([["5", "5", "7"], ["5", "", "5"]]) == "5 | 5 | 7\n5 | 5"
    assert texts(read_bytes(b'A,A,A,A,A\nA,A,A,"A,A",A\n', "a.csv")) == ["A | A | A | A | A\nA | A | A | A,A | A"]


def test_a_sign_names_no_column() -> None:
    assert table_text([["-", "Hardness"], ["SNB22", "293"]], header=True) == "SNB22; Hardness: 293"


def test_what_is_merged_downwards_stands_in_each_row_with_cells_of_its_own() -> None:
    rows = [["Area", "Shop"], ["North", "A"], [None, "B"], [None, ""], [None, "C"]]
    assert filled_down(rows) == [["Area", "Shop"], ["North", "A"], ["North", "B"], ["", ""], ["North", "C"]]
    assert filled_down([[None, "x"]]) == [["", "x"]]


def test_spans_in_html_keep_each_cell_under_its_column() -> None:
    page = """<table><tr><th>Area</th><th>Shop</th><th>Open</th></tr>
    <tr><td rowspan="3">North</td><td>A</td><td rowspan=2>yes</td></tr><tr><td>B</td></tr>
    <tr><td>C</td><td>no</td></tr><tr><td colspan=2>All</td><td>no</td></tr>
    <tr><td rowspan="99999999999">South</td><td>D</td><td colspan="&#178;">yes</td></tr></table>"""
    assert texts(read_bytes(page.encode(), "a.html")) == [
        "Area: North; Shop: A; Open: yes\nArea: North; Shop: B; Open: yes\nArea: North; Shop: C; Open: no\n"
        "Area: All; Open: no\nArea: South; Shop: D; Open: yes"
    ]


def test_merged_cells_of_a_workbook() -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet("S")
        for column, name in enumerate(("Area", "Shop"), 2):
            sheet.write(3, column, name)
        sheet.merge_range(4, 2, 6, 2, "North")
        sheet.write(4, 3, "A")
        sheet.write(5, 3, "B")
        sheet.merge_range(8, 2, 8, 3, "Wide")
    assert texts(read_bytes(out.getvalue(), "a.xlsx")) == ["Area: North; Shop: A\nArea: North; Shop: B\n\nWide"]


def test_merged_and_missing_cells_of_a_word_table() -> None:
    document = docx.Document()
    table = document.add_table(rows=4, cols=2)
    for row, names in enumerate((("Area", "Shop"), ("North", "A"), ("", "B"), ("", "C"))):
        for column, name in enumerate(names):
            table.cell(row, column).text = name
    table.cell(1, 0).merge(table.cell(2, 0))
    skipped = table.rows[3]._tr
    skipped.remove(skipped.tc_lst[0])
    skipped.get_or_add_trPr().append(docx.oxml.parse_xml(f'<w:gridBefore {_W} w:val="1"/>'))
    out = io.BytesIO()
    document.save(out)
    assert texts(read_bytes(out.getvalue(), "a.docx")) == ["Area: North; Shop: A\nArea: North; Shop: B\nShop: C"]


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def test_tables_and_charts_of_a_presentation() -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    table = slide.shapes.add_table(3, 2, 0, 0, Inches(4), Inches(1)).table
    for row, names in enumerate((("Area", "Shop"), ("North", "A"), ("", "B"))):
        for column, name in enumerate(names):
            table.cell(row, column).text = name
    table.cell(1, 0).merge(table.cell(2, 0))
    numbers = CategoryChartData()
    numbers.categories = ["May", "June"]
    numbers.add_series("Sales", (1.5, 2))
    numbers.add_series("Costs", (None, 3))
    frame = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, Inches(3), Inches(4), Inches(3), numbers)
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "Year"
    out = io.BytesIO()
    deck.save(out)
    assert texts(read_bytes(out.getvalue(), "a.pptx")) == [
        "Area: North; Shop: A\nArea: North; Shop: B\n\nYear\nMay; Sales: 1.5\nJune; Sales: 2; Costs: 3"
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Name, first\nMiller, Ann\nno comma\nSmith; Bo\nLee\n", "Name, first: Miller, Ann"),
        ("Lorem, x; dolor; amet\na; b; c\nd, e; f; g\n", "Lorem, x: a; dolor: b; amet: c"),
        ("Only\na\nb\n", "Only: a\nOnly: b"),
    ],
)
def test_a_comma_in_prose_separates_nothing(text: str, rows: str) -> None:
    assert texts(read_bytes(text.encode(), "a.csv"))[0].startswith(rows)
