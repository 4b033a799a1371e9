"""From the glyphs of a PDF page to its lines, each with its place."""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pypdfium2.raw as pdfium

from toolkit.documents.outline import one_line
from toolkit.documents.readers.pdf_forms import Box, Field, with_fields
from toolkit.documents.readers.pdf_layout import Cell, Line

_BROKEN = "\ufffe\x02\u00ad"  # how pdfium writes the hyphen of a word that the line's end cuts in two
_UNKNOWN = "\ufffd"
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18  # PDF 32000-1:2008, table 123
_BOLD = re.compile(rb"(?i)bold|black|heavy|cmbx|sfbx")
_MONO = re.compile(rb"(?i)mono|courier|consol|typewriter|menlo|cmtt|sftt")
# What stands alone before a gap and is a mark of what follows, not a column of its own.
_MARK = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})+\.?|\d{1,3}[.)]|\([a-z0-9]{1,3}\)|[a-z][.)]|[-•▪◦·*–●○■□▶➢‣])$")


def page_lines(reader: Any, fields: Sequence[Field] = ()) -> list[Line]:
    """Return a page's lines in the order in which the file draws them, with what was filled in beside them."""
    text = reader.get_text_range()
    if reader.count_chars() != len(text):  # it leaves out glyphs that stand for no known character
        text = _all_characters(reader)
    page = _Page(reader, text)
    lines: list[Line] = []
    broken = False  # whether the last line ends in the first half of a word
    for match in re.finditer(r"[^\r\n]+", text):
        raw = match[0].rstrip(_BROKEN + " \t")
        if not one_line(raw):
            continue
        begin = match.start() + len(raw) - len(raw.lstrip())
        own = [page.line(*span) for span in page.spans(begin, match.start() + len(raw))]
        if broken and lines:
            joined = lines[-1].text + own[0].text
            lines[-1] = replace(lines[-1], text=joined, right=own[0].right, bottom=own[0].bottom)
            own = own[1:]
        lines.extend(own)
        broken = match[0].rstrip()[-1:] in _BROKEN
    if fields:
        lines = with_fields(lines, [replace(field, box=page.turned(field.box)) for field in fields])
    if page.turn and lines:
        edge = min(line.left for line in lines)
        lines = [replace(line, left=line.left - edge, right=line.right - edge) for line in lines]
    return lines


def _all_characters(reader: Any) -> str:
    """Return one character for each glyph; a flat one without a known character is a minus sign."""
    characters = []
    for index in range(reader.count_chars()):
        code = pdfium.FPDFText_GetUnicode(reader, index)
        unknown = code == 0 or code < 32 and pdfium.FPDFText_HasUnicodeMapError(reader, index) == 1
        characters.append(_unknown(reader, index) if unknown else chr(code))
    return "".join(characters)


def _unknown(reader: Any, index: int) -> str:
    left, bottom, right, top = reader.get_charbox(index)
    if right <= left:
        return " "
    return "-" if right - left > 3 * (top - bottom) else _UNKNOWN


class _Page:
    """Tells the places of a page's glyphs, turned so that most of its lines run from left to right."""

    def __init__(self, reader: Any, text: str) -> None:
        self._reader = reader
        self._text = text
        starts = (match.start() for match in re.finditer(r"(?<![^\r\n])[^\r\n]", text))
        # pdfium counts angles clockwise; ``turn`` is in quarters the other way.
        angles = Counter(-round(pdfium.FPDFText_GetCharAngle(reader, at) / (math.pi / 2)) % 4 for at in starts)
        self.turn = angles.most_common(1)[0][0] if angles else 0

    def spans(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the spans of what pdfium took for one line: where a word stands below and left, another begins."""
        last = None
        start = begin
        for word in re.finditer(r"\S+", self._text[begin:end]):
            at = begin + word.start()
            box = self._box(at, loose=True)
            if last and box[0] < last[0] and last[1] - box[1] > 0.8 * (box[3] - box[1]):
                yield start, start + len(self._text[start:at].rstrip())
                start = at
            last = box
        yield start, end

    def line(self, begin: int, end: int) -> Line:
        """Return the line of the glyphs from ``begin`` to ``end``."""
        # The loose box has the height of the font, which the nominal size, before scaling, has not.
        left, first, _, top = self._box(begin, loose=True)
        right = self._box(end - 1)[2]
        size = top - first
        last = self._box(end - 1, loose=True)[1]
        bottom = last if first - last > 0.5 * size else first  # pdfium joins what a hyphen cuts in two
        mono = end - begin > 2 and self._is_mono((begin + end) // 2) and self._is_mono(end - 1)
        cells = self._cells(begin, end, size, mono)
        text = " | ".join(cell.text for cell in cells)
        return Line(text, left, right, bottom, size, mono, first, tuple(cells))

    def _box(self, index: int, *, loose: bool = False) -> Box:
        return self.turned(self._reader.get_charbox(index, loose=loose))

    def turned(self, box: Box) -> Box:
        """Turn a place as the page's lines are turned."""
        left, bottom, right, top = box
        if self.turn == 1:
            return bottom, -right, top, -left
        if self.turn == 2:
            return -right, -top, -left, -bottom
        if self.turn == 3:
            return -top, left, -bottom, right
        return left, bottom, right, top

    def _cells(self, begin: int, end: int, size: float, mono: bool) -> list[Cell]:
        """Cut a line wherever the space between two words is that between two columns."""
        words = list(re.finditer(r"\S+", self._text[begin:end]))
        parts: list[list[re.Match[str]]] = [words[:1]]
        for last, word in pairwise(words):
            before = self._box(begin + last.end() - 1)[2]
            after = self._box(begin + word.start())[0]
            marked = last is words[0] and _MARK.match(last[0]) and word[0][0].isalpha()
            if mono or marked or after - before <= 1.3 * size:
                parts[-1].append(word)
            else:
                parts.append([word])
        return [self._cell(begin, part) for part in parts]

    def _cell(self, begin: int, words: list[re.Match[str]]) -> Cell:
        text = " ".join(word[0] for word in words)
        # Characters beyond 16 bits come in two halves here.
        text = one_line(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
        first = begin + words[0].start()
        return Cell(text, self._box(first)[0], self._box(begin + words[-1].end() - 1)[2], self._is_bold(first))

    def _is_mono(self, index: int) -> bool:
        name, flags = self._font(index)
        return bool(flags & _FIXED_PITCH or _MONO.search(name))

    def _is_bold(self, index: int) -> bool:
        name, flags = self._font(index)
        return bool(flags & _FORCE_BOLD or _BOLD.search(name))

    def _font(self, index: int) -> tuple[bytes, int]:
        name = ctypes.create_string_buffer(128)
        flags = ctypes.c_int(0)
        pdfium.FPDFText_GetFontInfo(self._reader, index, name, len(name), flags)
        return name.value, flags.value
