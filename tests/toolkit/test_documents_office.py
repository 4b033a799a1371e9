"""Readers of binary formats: PDF, office files and books, made here by the formats' own libraries."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docx
import pptx
import pytest
import xlsxwriter
from docx.shared import Pt

from tests.faults.hostile_files import pdf
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.readers import read_bytes

ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)


def parts(extract: Extract) -> Iterator[tuple[str, str]]:
    return ((" > ".join(section.heading), section.text) for section in extract.sections)


def make_pdf(*pages: list[tuple[int, int, int, str]], extra: str = "") -> bytes:
    """Make a PDF; each page is a list of ``(size, x, y, text)``."""
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % extra.encode()}
    kids = []
    for index, page in enumerate(pages):
        number = 10 + 2 * index
        kids.append(f"{number} 0 R")
        objects[number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R "
            b"/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
            % (number + 1)
        )
        shows = "".join(f"BT /F {size} Tf {x} {y} Td ({text}) Tj ET\n" for size, x, y, text in page).encode()
        objects[number + 1] = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shows), shows)
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    return pdf(dict(sorted(objects.items())))


def test_a_pdf_gives_pages_headings_paragraphs_and_rows() -> None:
    long = "This line of the paragraph is long and reaches to the right edge of"
    first = [
        (20, 50, 750, "Annual Report"),
        (10, 50, 700, long),
        (10, 50, 688, "the page where it goes on."),
        (10, 50, 650, "Tea"),
        (10, 250, 650, "4.20"),
        (10, 50, 638, "Milk"),
        (10, 250, 638, "1.10"),
        *[(10, x, 600, text) for x, text in ((50, "Item"), (250, "Price"), (450, "Stock"))],
        *[(10, x, 588, text) for x, text in ((50, "Tea"), (250, "4.20"), (450, "7"))],
    ]
    extract = read_bytes(make_pdf(first, [(10, 50, 700, "Second page.")]), "a.pdf")
    assert [section.page for section in extract.sections] == [1, 2]
    assert list(parts(extract)) == [
        (
            "Annual Report",
            f"{long} the page where it goes on.\n\nTea | 4.20\nMilk | 1.10\n\n"
            "Item | Price | Stock\nTea | 4.20 | 7",
        ),
        ("Annual Report", "Second page."),
    ]


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            (10, 50, 780, "ACME Handbook"),
            *[(10, 50, 700 - 30 * n, f"Rule {7 * page + n} says so.") for n in range(4)],
            (10, 300, 20, f"Page {page} of 5"),
        ]
        for page in range(1, 6)
    ]
    extract = read_bytes(make_pdf(*pages), "a.pdf")
    text = " ".join(section.text for section in extract.sections)
    assert "ACME" not in text and "of 5" not in text and text.count("says so.") == 20


def test_an_encrypted_pdf_a_picture_and_a_broken_one_are_named_as_such() -> None:
    whole = make_pdf([(10, 50, 700, "Secret")])
    encrypt = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%s) /U (%s) >> /ID [(a) (b)] >>" % (
        b"o" * 32,
        b"u" * 32,
    )
    locked = whole.replace(b"/Size", encrypt[:-2] + b"/Size")
    with pytest.raises(Unreadable, match="encrypted with a password"):
        read_bytes(locked, "a.pdf")
    colour = b"/Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
    image = b"<< /Type /XObject /Subtype /Image %s /Length 1 >>" % colour
    page = b"/Resources << /XObject << /I 5 0 R >> >> /MediaBox [0 0 9 9] /Contents 4 0 R"
    scanned = pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R %s >>" % page,
            4: b"<< /Length 16 >>\nstream\n9 0 0 9 0 0 cm /I Do\nendstream",
            5: image + b"\nstream\n\x00\nendstream",
        }
    )
    with pytest.raises(Unreadable, match="scanned"):
        read_bytes(scanned, "a.pdf")
    with pytest.raises(Unreadable, match="damaged"):
        read_bytes(b"%PDF-1.7 nothing", "a.pdf")


def test_a_word_document_keeps_headings_lists_tables_and_footers() -> None:
    document = docx.Document()
    document.core_properties.title = "Handbook"
    document.add_heading("Leave", 1)
    document.add_paragraph("You have ").add_run("30 days").font.size = Pt(12)
    document.add_paragraph("ask early", style="List Bullet")
    document.add_paragraph("write it down", style="List Bullet")
    document.add_heading("Table", 2)
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        [*table.rows[0].cells, *table.rows[1].cells], ["Year", "Days", "First", "25"], strict=True
    ):
        cell.text = text
    document.sections[0].footer.paragraphs[0].text = "Internal use only"
    out = io.BytesIO()
    document.save(out)
    extract = read_bytes(out.getvalue(), "renamed.txt")
    assert (extract.type, extract.title) == ("docx", "Handbook")
    assert list(parts(extract)) == [
        ("Leave", "You have 30 days\n\n- ask early\n- write it down"),
        ("Leave > Table", "Year: First; Days: 25"),
        ("", "Internal use only"),
    ]


def test_a_presentation_keeps_slides_titles_tables_and_notes() -> None:
    deck = pptx.Presentation()
    for title, bullets in (("Plan", ["One", "Two"]), ("Risks", ["Rain"])):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(bullets)
        slide.notes_slide.notes_text_frame.text = f"Say {title}"
    empty = deck.slides.add_slide(deck.slide_layouts[5])
    empty.shapes.title.text = "The end"
    out = io.BytesIO()
    deck.save(out)
    extract = read_bytes(out.getvalue(), "a.pptx")
    assert [section.page for section in extract.sections] == [1, 2, 3]
    assert list(parts(extract)) == [
        ("Plan", "- One\n- Two\n\nNotes: Say Plan"),
        ("Risks", "Rain\n\nNotes: Say Risks"),
        ("", "The end"),
    ]


def test_a_workbook_keeps_sheets_and_cuts_at_blank_rows() -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        dates = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet = book.add_worksheet("Stock")
        for row, values in enumerate(
            [["Item", "Count", "Since"], ["Bolt", 5, None], [], ["Shop", "Open"], ["A", True]]
        ):
            for column, value in enumerate(values):
                if value is not None:
                    sheet.write(row, column, value)
        sheet.write_datetime(1, 2, datetime.datetime(2024, 5, 1), dates)
        book.add_worksheet("Empty")
    assert list(parts(read_bytes(out.getvalue(), "a.xlsx"))) == [
        ("Stock", "Item: Bolt; Count: 5; Since: 2024-05-01\n\nShop: A; Open: yes")
    ]


def _zipped(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    package = """<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
    <dc:title>The Book</dc:title></metadata><manifest><item id="b" href="two.xhtml"/>
    <item id="a" href="one.xhtml"/><item id="c" href="gone.xhtml"/></manifest>
    <spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine></package>"""
    container = """<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
    <rootfile full-path="in/book.opf"/></rootfiles></container>"""
    chapter = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{}</h1><p>{}</p></body></html>'
    extract = read_bytes(
        _zipped(
            {
                "mimetype": "application/epub+zip",
                "META-INF/container.xml": container,
                "in/book.opf": package,
                "in/two.xhtml": chapter.format("Two", "Later."),
                "in/one.xhtml": chapter.format("One", "Sooner."),
            }
        ),
        "a.epub",
    )
    assert (extract.type, extract.title) == ("epub", "The Book")
    assert list(parts(extract)) == [("One", "Sooner."), ("Two", "Later.")]
    assert extract.warnings == ["chapter in/gone.xhtml is missing"]


def test_an_opendocument_text_keeps_headings_lists_and_tables() -> None:
    cells = "".join(
        f"<table:table-row><table:table-cell><text:p>{a}</text:p></table:table-cell>"
        f"<table:table-cell><text:p>{b}</text:p></table:table-cell></table:table-row>"
        for a, b in (("Item", "Price"), ("Tea", "4"))
    )
    body = (
        '<text:h text:outline-level="1">Menu</text:h>'
        '<text:p>Two<text:s text:c="2"/>words<text:line-break/>more</text:p>'
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
        "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>inner</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        f"<table:table>{cells}</table:table>"
    )
    body = f"<office:body><office:text>{body}</office:text></office:body>"
    content = f"<office:document-content {ODF}>{body}</office:document-content>"
    data = _zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})
    assert list(parts(read_bytes(data, "a.odt"))) == [
        ("Menu", "Two words\nmore\n\n- one\n  - inner\n\nItem: Tea; Price: 4")
    ]


def test_a_file_without_text_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        book.add_worksheet("Empty")
    with pytest.raises(Unreadable, match="no text"):
        read_bytes(out.getvalue(), "a.xlsx")
