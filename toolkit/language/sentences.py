"""Sentences, list items, table rows and code blocks of a text, with their places in it.

Ours and not a library's: a row, an item or a code block is one piece, and a file name is not cut at its dot; what
sentencex does here is in docs/measurements.md. The abbreviations are those of the languages that write with them; a
language without any loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+•▪◦–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+\S")
# `Name: value; Name: value` and `value | value`: the two forms in which tables are written out.
_ROW = re.compile(r"[^\n;|]{1,120}: [^\n]*; [^\n;]{1,120}: |[^\n|]+ \| ")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）]*")
_SHORT = """e.g i.e etc vs cf ca approx no nos vol fig figs sec ch pp p dr mr mrs ms prof st inc ltd co corp
    dept est al jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun z.b d.h bzw"""
_ABBREVIATIONS = frozenset(_SHORT.split())


@dataclass(frozen=True)
class Atom:
    """A span that is not cut where it fits; ``rank`` tells how good a place its beginning is for a cut.

    Ranks: 3 a paragraph begins, 2 a list item, row or line, 1 a sentence, 0 a word.
    """

    start: int
    end: int
    rank: int
    tokens: int = 0


def split_sentences(text: str) -> list[tuple[int, int]]:
    r"""Return the spans of the sentences, list items, table rows and code blocks of a passage, in order.

    White space around them belongs to none; everything else belongs to exactly one.

    Example:
        >>> text = "Ask Dr. Hale. She knows.\n- one\n- two"
        >>> [text[start:end] for start, end in split_sentences(text)]
        ['Ask Dr. Hale.', 'She knows.', '- one', '- two']
    """
    return [(atom.start, atom.end) for atom in atoms_of(text)]


def atoms_of(text: str) -> list[Atom]:
    """Find the spans that are kept whole: code blocks, list items' and paragraphs' sentences, table rows."""
    atoms: list[Atom] = []
    for start, end, rank, whole in _blocks(text):
        if whole:
            atoms.append(Atom(start, start + len(text[start:end].rstrip()), rank))
        else:
            spans = _sentences(text, start, end)
            atoms.extend(Atom(*span, rank if index == 0 else 1) for index, span in enumerate(spans))
    return atoms


def _blocks(text: str) -> Iterable[tuple[int, int, int, bool]]:
    """Yield ``(start, end, rank, whole)`` of paragraphs, items, rows and code blocks."""
    position, begin, rank, fence = 0, -1, 3, ""
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        bare = line.strip()
        if fence:
            if bare.startswith(fence) and not bare.strip(fence[0]):
                yield begin, start + len(line.rstrip()), rank, True
                begin, rank, fence = -1, 2, ""
            continue
        opening = _FENCE.match(line)
        item = bool(_ITEM.match(line) or _ROW.match(line))
        if begin >= 0 and (not bare or opening or item):
            yield begin, start, rank, bool(_ROW.match(text, begin, start))
            begin, rank = -1, 2
        if not bare:
            rank = 3
        elif opening:
            begin, fence = start, opening[1]
        elif begin < 0:
            begin = start
    if begin >= 0:
        yield begin, len(text), rank, bool(fence)


def _sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.end() < end and _ends_sentence(text, match.start(), match.end(), begin):
            spans.append((begin, match.end()))
            begin = match.end()
    spans.append((begin, end))
    trimmed = ((a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in spans)
    return [(a, b) for a, b in trimmed if a < b]


def _ends_sentence(text: str, sign: int, after: int, begin: int) -> bool:
    if text[sign] in "。！？":
        return True
    rest = text[after : after + 8].lstrip().lstrip("\"'“‘«([")
    if rest[:1].islower():
        return False
    if text[sign] != "." or text[sign : sign + 2] == "..":
        return True
    words = text[max(begin, sign - 20) : sign].split()
    word = words[-1].lstrip("(\"'“‘[").lower() if words else ""
    # "J. Smith", "e.g. This", and the number of a list item end no sentence.
    single = len(word) == 1 and word.isalpha() and text[sign - 1].isupper()
    numbered = word.isdigit() and not text[begin:sign].strip().strip("0123456789")
    return not (single or numbered or word in _ABBREVIATIONS)
