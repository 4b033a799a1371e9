"""What was filled into the form of a PDF page, and its place among the lines that are printed there.

A field's value is no part of the page's text, and pdfium draws it only where it draws the page. Values are read
rather than drawn into the page: notes, stamps and the captions of buttons would come along.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pypdfium2.raw as pdfium

from toolkit.documents.outline import one_line
from toolkit.documents.readers.pdf_layout import Cell, Line

TICK = "\N{HEAVY CHECK MARK}"
Box = tuple[float, float, float, float]  # left, bottom, right, top, in points
_TEXTS = {pdfium.FPDF_FORMFIELD_TEXTFIELD}
_CHOICES = {pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX}
_BOXES = {pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON}
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13  # PDF 32000-1:2008, table 228
_MOST_FIELDS = 5000  # of a page
_USUAL_SIZE = 12.0  # points, with the space between two lines
_LETTER_WIDTH = 0.5  # of its height
_RULE = re.compile(r"_{3,}|\.{4,}")  # a line printed to be written on


@dataclass(frozen=True)
class Field:
    """A field that says something.

    Attributes:
        text: Its value, or a tick.
        box: Its place.
    """

    text: str
    box: Box


def filled_fields(document: Any, page: Any) -> list[Field]:
    """Return the fields of a page that were filled in and can be seen, from top to bottom.

    Args:
        document: The document; without a form it has none.
        page: A page that was opened after ``document.init_forms()``.
    """
    if not document.formenv:
        return []
    fields = []
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST_FIELDS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            unseen = pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN
            if pdfium.FPDFAnnot_GetSubtype(annotation) != pdfium.FPDF_ANNOT_WIDGET or unseen:
                continue
            text, box = _value(document.formenv, annotation), pdfium.FS_RECTF()
            if text and pdfium.FPDFAnnot_GetRect(annotation, box):
                fields.append(Field(text, (box.left, box.bottom, box.right, box.top)))
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return sorted(fields, key=lambda field: (-field.box[3], field.box[0]))


def _value(form: Any, annotation: Any) -> str:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _BOXES:
        return TICK if pdfium.FPDFAnnot_IsChecked(form, annotation) else ""
    if kind in _CHOICES:
        chosen = [
            _wide(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, option)
            for option in range(pdfium.FPDFAnnot_GetOptionCount(form, annotation))
            if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, option)
        ]
        return ", ".join(filter(None, map(one_line, chosen))) or one_line(_given(form, annotation))
    if kind in _TEXTS and not pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        return "\n".join(filter(None, map(one_line, _given(form, annotation).splitlines())))
    return ""


def _given(form: Any, annotation: Any) -> str:
    return _wide(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)


def _wide(function: Callable[..., int], *arguments: Any) -> str:
    """Call a function of pdfium that fills in a text of 16-bit characters."""
    length = function(*arguments, None, 0)
    buffer = ctypes.create_string_buffer(length)
    function(*arguments, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), length)
    return buffer.raw[:length].decode("utf-16-le", "replace").rstrip("\0")


def with_fields(lines: Sequence[Line], fields: Sequence[Field]) -> list[Line]:
    """Put fields among the lines of a page: beside the label on their height, or below what they stand under."""
    placed = list(lines)
    for field in fields:
        beside = _beside(placed, field)
        if beside is None:
            at, size, bottom = _below(placed, field), *_own_height(field)
        else:
            at, size, bottom = beside
            before = placed[at - 1] if at else None
            if (
                before is not None
                and before.first == bottom
                and before.text.endswith(":")
                and before.right <= field.box[2]
            ):
                # "Name:" says that what follows belongs to it; a gap would make two columns of them.
                field = replace(field, box=(before.right, *field.box[1:]))
        placed[at:at] = _lines_of(field, size, bottom)
    return placed


def _beside(lines: list[Line], field: Field) -> tuple[int, float, float] | None:
    """Return where a field goes beside a label, with the label's size and height; labels in one line are parted.

    A tick belongs to what follows it, any other value to what stands before it, where there is both.
    """
    left, bottom, right, top = field.box
    level = [
        (number, line)
        for number, line in enumerate(lines)
        if line.size and bottom - 2 < line.first + line.size / 3 < top
    ]
    best: tuple[float, int, Line] | None = None
    for number, line in level:
        for cell in line.cells or (Cell(line.text, line.left, line.right),):
            # Printed underlines and boxes may reach into the field: the middle of a label tells its side.
            before = (cell.left + min(cell.right, left)) / 2 < left and cell.left < left
            distance = max(0.0, left - cell.right if before else cell.left - right)
            if (field.text == TICK) == before:
                distance += 2 * line.size
            if best is None or distance < best[0]:
                best = distance, number, line
    if best is None:
        return None
    _, number, line = best
    parts = list(_parted(line))
    lines[number : number + 1] = parts
    end = _row_end(lines, number + len(parts), line.first)
    at = next((place for place in range(number, end) if lines[place].left >= left), end)
    return at, line.size, line.first


def _parted(line: Line) -> Iterator[Line]:
    """Yield the labels in a line as lines; what stands on one height is put together again later."""
    for cell in line.cells or (Cell(line.text, line.left, line.right),):
        width = (cell.right - cell.left) / len(cell.text)
        ends = [match.span() for match in _RULE.finditer(cell.text)]
        starts = [0, *(end for _, end in ends)]
        for start, end in zip(starts, [*(start for start, _ in ends), len(cell.text)], strict=True):
            text = cell.text[start:end].strip()
            if text or not ends:
                left = cell.left + width * start
                right = cell.right if end == len(cell.text) else cell.left + width * end
                part = Cell(text, left, right, cell.bold)
                yield replace(line, text=text, left=left, right=right, cells=(part,), row=True)


def _below(lines: Sequence[Line], field: Field) -> int:
    """Return where a field goes that stands beside nothing: after the lowest line above it, that of its column."""
    left, _, right, top = field.box
    above = [(line.bottom, number) for number, line in enumerate(lines) if line.size and line.bottom >= top - 2]
    over = [entry for entry in above if lines[entry[1]].left < right and lines[entry[1]].right > left]
    height, number = min(over or above, default=(0.0, -1), key=lambda entry: (entry[0], -entry[1]))
    return _row_end(lines, number + 1, height)


def _row_end(lines: Sequence[Line], at: int, height: float) -> int:
    """Return where a row ends in which fields were put before."""
    while at < len(lines) and lines[at].row and lines[at].first == height:
        at += 1
    return at


def _own_height(field: Field) -> tuple[float, float]:
    """Return the size of a field's letters and the height of its first line, where nothing beside it tells."""
    _, bottom, _, top = field.box
    size = min(_USUAL_SIZE, (top - bottom) / (field.text.count("\n") + 1))
    return max(size, 1.0), top - max(size, 1.0)


def _lines_of(field: Field, size: float, height: float) -> Iterator[Line]:
    left, _, right, _ = field.box
    for number, text in enumerate(field.text.split("\n")):
        end = min(right, left + _LETTER_WIDTH * size * len(text))
        bottom = height - number * size
        yield Line(text, left, end, bottom, size, False, bottom, (Cell(text, left, end),), row=True)
