"""PDF, by pdfium."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, one_line
from toolkit.documents.readers.pdf_layout import Line, blocks, body_size, heading_sizes, join_rows

_HYPHENATED = re.compile(r"(?<=[^\W\d_])(?:\ufffe|\x02|\u00ad)[ \t]*\r?\n?")
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
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise Unreadable(_REASONS.get(getattr(error, "err_code", None) or 0, "the PDF is damaged")) from error
    pages, empty, failed = _pages(document)
    if not any(lines for _, lines in pages):
        raise Unreadable(_no_text(document, len(failed)))
    outline = Outline("pdf", document.get_metadata_value("Title"))
    marks = _bookmarks(document)
    texts = _drop_margins([lines for _, lines in pages])
    sizes = [] if marks else heading_sizes(texts, body_size(texts))
    for (number, _), lines in zip(pages, texts, strict=True):
        outline.page(number)
        for level, heading in enumerate(_path_at(marks, number), 1):
            outline.place(level, heading)
        for level, block in blocks(lines, sizes):
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
            lines = join_rows(_lines(reader))
            reader.close()
            page.close()
        except pypdfium2.PdfiumError:
            failed.append(index + 1)
            continue
        pages.append((index + 1, lines))
        if not lines:
            empty.append(index + 1)
    return pages, empty, failed


def _lines(reader: Any) -> list[Line]:
    """Return a page's lines with their places, which the first and the last letter of each tell."""
    text = reader.get_text_range()
    if reader.count_chars() != len(text):  # letters beyond 16 bits: places cannot be told
        shown_lines = map(one_line, clean(_HYPHENATED.sub("", text)).split("\n"))
        return [Line(shown) for shown in shown_lines if shown]
    lines: list[Line] = []
    broken = ""  # the first half of a word that the line's end cuts in two
    for match in re.finditer(r"[^\r\n]+", text):
        raw = match[0]
        if not one_line(raw.rstrip("\ufffe\x02\u00ad \t")):
            continue
        begin = match.start() + len(raw) - len(raw.lstrip())
        end = match.start() + len(raw.rstrip("\ufffe\x02\u00ad \t")) - 1
        # The loose box has the height of the font, which the nominal size, before scaling, has not.
        left, bottom, _, top = reader.get_charbox(begin, loose=True)
        _, _, right, _ = reader.get_charbox(end)
        shown = _cells(reader, text, begin, end + 1, top - bottom)
        line = Line(shown, left, right, bottom, top - bottom)
        if broken and lines:
            lines[-1] = replace(lines[-1], text=lines[-1].text + shown, right=right, bottom=bottom)
        else:
            lines.append(line)
        broken = raw if raw.rstrip()[-1:] in "\ufffe\x02\u00ad" else ""
    return lines


def _cells(reader: Any, text: str, begin: int, end: int, size: float) -> str:
    """Return one line's text with a bar wherever the space between two words is that between two columns."""
    words = list(re.finditer(r"\S+", text[begin:end]))
    shown = words[0][0]
    for last, word in pairwise(words):
        before = reader.get_charbox(begin + last.end() - 1)[2]
        after = reader.get_charbox(begin + word.start())[0]
        shown += (" | " if after - before > 1.3 * size else " ") + word[0]
    return one_line(shown)


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
