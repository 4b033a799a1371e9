"""Readers of binary formats: PDF, office files and books, made here by the formats' own libraries."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pptx
import pytest
import xlsxwriter
from docx.shared import Pt

from toolkit.documents.dates import iso_day
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
    with pytest.raises(Unreadable, match="no text$"):
        read_bytes(out.getvalue(), "a.xlsx")
    members = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"<office:document-content {ODF}/>",
        "Pictures/scan.PNG": "x",
    }
    with pytest.raises(Unreadable, match="no text, only pictures"):
        read_bytes(_zipped(members), "a.odt")


def _saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def _word(xml: str) -> Any:
    return docx.oxml.parse_xml(xml.replace(">", f" {_W}>", 1))


def test_a_word_document_gives_what_content_controls_and_margins_hold() -> None:
    document = docx.Document()
    body = document.element.body
    control = "<w:sdt><w:sdtPr><w:alias w:val='x'/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>"
    body.insert(0, _word(control.format("<w:p><w:r><w:t>In a control.</w:t></w:r></w:p>")))
    cell = "<w:tc><w:tcPr/><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    row = "<w:tr>" + cell + control.format(cell) + "</w:tr>"
    rows = row.format("Item", "Price") + control.format(row.format("Tea", "4"))
    body.insert(1, _word(f"<w:tbl><w:tblPr/><w:tblGrid/>{rows}</w:tbl>"))
    header = document.sections[0].header
    header.add_table(1, 1, Pt(100)).cell(0, 0).text = "Number 7"
    assert list(parts(read_bytes(_saved(document), "a.docx"))) == [
        ("", "In a control.\n\nItem: Tea; Price: 4"),
        ("", "Number 7"),
    ]


def test_headings_of_own_styles_and_of_bold_lines_alone() -> None:
    document = docx.Document()
    own = document.styles.add_style("Kapitel", 1)
    own.base_style = document.styles["Heading 2"]
    document.add_heading("Guide", 1)
    document.add_paragraph("Setup", style="Kapitel")
    document.add_paragraph("Plug it in.")
    document.add_paragraph().add_run("Bold is loud here").bold = True
    assert list(parts(read_bytes(_saved(document), "a.docx"))) == [
        ("Guide > Setup", "Plug it in.\n\nBold is loud here")
    ]
    plain = docx.Document()
    for title in ("RULES", "Opening hours"):
        plain.add_paragraph().add_run(title).bold = True
        for number in range(5):
            plain.add_paragraph(f"Rule {number} of the house.")
    headings = [heading for heading, _ in parts(read_bytes(_saved(plain), "a.docx"))]
    assert headings == ["RULES", "RULES > Opening hours"]


def test_footnotes_stand_where_they_are_called() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("Open daily")
    paragraph._p.append(_word("<w:r><w:footnoteReference w:id='2'/></w:r>"))
    paragraph.add_run(", except in May.")
    data = _saved(document)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "[Content_Types].xml":
                kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
                part = f'<Override PartName="/word/footnotes.xml" ContentType="{kind}"/></Types>'
                text = text.replace(b"</Types>", part.encode())
            if name == "word/_rels/document.xml.rels":
                kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
                relation = f'<Relationship Id="rId99" Type="{kind}" Target="footnotes.xml"/></Relationships>'
                text = text.replace(b"</Relationships>", relation.encode())
            new.writestr(name, text)
        note = "<w:footnote w:id='2'><w:p><w:r><w:t>Not on Sundays.</w:t></w:r></w:p></w:footnote>"
        new.writestr("word/footnotes.xml", f"<w:footnotes {_W}>{note}</w:footnotes>")
    assert list(parts(read_bytes(out.getvalue(), "a.docx"))) == [
        ("", "Open daily (Not on Sundays.), except in May.")
    ]


def test_a_document_tells_its_own_date() -> None:
    document = docx.Document()
    document.add_paragraph("Text.")
    document.core_properties.modified = datetime.datetime(2022, 3, 4)
    assert read_bytes(_saved(document), "a.docx").date == "2022-03-04"
    data = rb"{\rtf1\ansi{\info{\creatim\yr2018\mo1\dy2}{\revtim\yr2019\mo5\dy3}}Text.\par}"
    assert read_bytes(data, "a.rtf").date == "2019-05-03"
    page = b"<html><head><meta property='article:modified_time' content='2021-06-07T08:00:00Z'></head><p>Text"
    assert read_bytes(page, "a.html").date == "2021-06-07"
    meta = '<office:meta xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:date>2020-10-11T12:00:00</dc:date></office:meta>'
    members = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "meta.xml": f"<office:document-meta {ODF}>{meta}</office:document-meta>",
        "content.xml": f"<office:document-content {ODF}><office:body><text:p>Text</text:p></office:body>"
        "</office:document-content>",
    }
    assert read_bytes(_zipped(members), "a.odt").date == "2020-10-11"
    assert [iso_day(text) for text in ("D:20240131120000+01'00'", "2024-02-30", "1900-01-01", "soon", None)] == [
        "2024-01-31", "", "", "", "",
    ]  # fmt: skip
