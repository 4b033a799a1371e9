"""PDF, by pdfium."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from toolkit.documents.dates import first_day
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, one_line
from toolkit.documents.readers.pdf_forms import filled_fields
from toolkit.documents.readers.pdf_glyphs import page_lines
from toolkit.documents.readers.pdf_layout import Line, blocks, body_size, heading_sizes, join_rows, plain_type
from toolkit.documents.readers.pdf_order import in_reading_order
from toolkit.documents.readers.pdf_tables import name_columns
from toolkit.documents.sniff import PDF_MARK

_REASONS = {
    pdfium.FPDF_ERR_PASSWORD: "the PDF is encrypted with a password; save it without one",
    pdfium.FPDF_ERR_SECURITY: "the PDF is encrypted in a way that is not supported",
    pdfium.FPDF_ERR_FORMAT: "the PDF is damaged",
    pdfium.FPDF_ERR_FILE: "the PDF is damaged",
}
_MOST_PAGES = 20_000


def read_pdf(data: bytes, name: str) -> Extract:
    """Read a PDF page by page; bookmarks give the headings, lines that repeat on each page are left out.

    Raises:
        Unreadable: If it is encrypted, damaged, or holds pictures of pages without text.
    """
    if PDF_MARK not in data[:1024]:
        data = PDF_MARK + b"1.7\n" + data  # pdfium finds the objects, but insists on a header
    try:
        document = pypdfium2.PdfDocument(data)
        document.init_forms()  # before any page is opened
    except pypdfium2.PdfiumError as error:
        raise Unreadable(_REASONS.get(getattr(error, "err_code", None) or 0, "the PDF is damaged")) from error
    pages, empty, failed = _pages(document)
    if not any(lines for _, lines in pages):
        raise Unreadable(_no_text(document, len(failed)))
    outline = Outline("pdf", document.get_metadata_value("Title"))
    outline.date = first_day(map(document.get_metadata_value, ("ModDate", "CreationDate")))
    marks = _bookmarks(document)
    texts = plain_type(_drop_margins([lines for _, lines in pages]))
    sizes = [] if marks else heading_sizes(texts, body_size(texts))
    for (number, _), lines in zip(pages, texts, strict=True):
        outline.page(number)
        for level, heading in enumerate(_path_at(marks, number), 1):
            outline.place(level, heading)
        for level, block in blocks(name_columns(lines), sizes):
            if level:
                outline.heading(level, block)
            else:
                outline.block(block)
    if empty:
        outline.warnings.append(f"{_numbered(empty)} without text (scanned pictures?)")
    if failed:
        outline.warnings.append(f"{_numbered(failed)} damaged")
    return outline.finish()


def _pages(document: Any) -> tuple[list[tuple[int, list[Line]]], list[int], list[int]]:
    """Return the lines of each page, the numbers of those without text, and of those that are damaged."""
    pages, empty, failed = [], [], []
    for index in range(min(len(document), _MOST_PAGES)):
        try:
            page = document[index]
            reader = page.get_textpage()
            lines = in_reading_order(join_rows(page_lines(reader, filled_fields(document, page))))
            reader.close()
            page.close()
        except pypdfium2.PdfiumError:
            failed.append(index + 1)
            continue
        pages.append((index + 1, lines))
        if not lines:
            empty.append(index + 1)
    return pages, empty, failed


def _no_text(document: Any, failed: int) -> str:
    if not len(document):
        return "the PDF has no pages"
    if failed == len(document):
        return "the PDF is damaged: no page can be read"
    for index in range(min(len(document), 20)):
        try:
            if any(document[index].get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE])):
                return "the PDF is scanned: its pages are pictures without text; run OCR on it first"
        except pypdfium2.PdfiumError:
            continue
    return "the PDF has no text"


def _numbered(pages: list[int]) -> str:
    shown = ", ".join(map(str, pages[:10])) + (f" and {len(pages) - 10} more" if len(pages) > 10 else "")
    return f"page {shown}" if len(pages) == 1 else f"pages {shown}"


def _bookmarks(document: Any) -> list[tuple[int, tuple[str, ...]]]:
    """Return ``(page, heading path)`` of each bookmark that names a page, in page order."""
    found: list[tuple[int, tuple[str, ...]]] = []
    path: list[str] = []
    for mark in document.get_toc(max_depth=6):
        target = mark.get_dest()
        number = target.get_index() if target is not None else None
        del path[mark.level :]
        path.append(one_line(mark.get_title())[:200])
        if number is not None and all(path):
            found.append((number + 1, tuple(path)))
        if len(found) >= 5000:
            break
    return sorted(found, key=lambda entry: entry[0])


def _path_at(headings: list[tuple[int, tuple[str, ...]]], page: int) -> tuple[str, ...]:
    """Return the heading that a page stands under: the first that begins on it, else the last before it."""
    before: tuple[str, ...] = ()
    for start, path in headings:
        if start == page:
            return path
        if start > page:
            break
        before = path
    return before


def _drop_margins(pages: list[list[Line]]) -> list[list[Line]]:
    """Leave out running heads and feet: first or last lines that most pages share but for their number."""
    if len(pages) < 4:
        return pages
    shapes = [[_without_number(line.text, index) for line in page] for index, page in enumerate(pages)]
    common = set()
    for place in (0, 1, -1, -2):
        found = Counter(shape for page in shapes if len(page) > 4 for shape in page[place])
        common |= {(place, shape) for shape, count in found.items() if count > max(2, 0.6 * len(pages))}
    kept = []
    for page, shape in zip(pages, shapes, strict=True):
        last = len(page)
        edges = {0: 0, 1: 1, last - 1: -1, last - 2: -2}
        places = [edges.get(index, 9) for index in range(last)]
        running = [
            any((at, form) in common for form in forms) for at, forms in zip(places, shape, strict=True)
        ]
        kept.append([line for line, out in zip(page, running, strict=True) if not out])
    return kept


def _without_number(text: str, index: int) -> set[str]:
    """Return a line as it is, and with each of its numbers told from the page's place in the file."""
    forms = {text}
    for match in re.finditer(r"\d{1,5}", text):
        forms.add(f"{text[: match.start()]}#{int(match[0]) - index}#{text[match.end() :]}")
    return forms
