"""Collects headings and blocks in reading order, and keeps count of where each piece of text starts."""

from __future__ import annotations

import re
import unicodedata

from toolkit.documents.model import GAP, Extract, Section

# C0 and C1 controls but tab and newline, lone surrogates, byte-order marks and other non-characters.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff\u00ad\u200b]")
_SPACES = re.compile(r"[ \t\u00a0]+")
_HEADING_LIMIT = 200
_FENCE = "```"
# Formats in which a heading that opens the file is its title; a sheet's or a slide's is only its own.
_TITLED_KINDS = {"md", "rst", "html", "txt", "docx", "odt", "rtf", "ipynb"}
# What programs write where a person gave no title.
_NO_TITLE = re.compile(
    r"(?i)^(?:\(?anonymous\)?|untitled.*|word document|powerpoint presentation|microsoft .*|document ?\d*)$"
)


def clean(text: str) -> str:
    """Make line ends uniform, drop what no reader sees, and compose accents (NFC)."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n").replace("\x0c", "\n")
    text = _UNWANTED.sub("", text.replace("\x85", "\n").replace("\u2028", "\n").replace("\u2029", "\n"))
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """Fold all white space to single blanks: for headings, cells and titles."""
    return " ".join(clean(text).split())


def tidy(text: str) -> str:
    """Clean running text: blanks folded within each line, line breaks kept, no blank line inside."""
    lines = (_SPACES.sub(" ", line).strip() for line in clean(text).split("\n"))
    return "\n".join(line for line in lines if line)


def fenced(code: str, language: str = "") -> str:
    """Put code between fences, so that the chunker and the reader both see where it starts and ends."""
    code = clean(code).expandtabs(4).strip("\n").rstrip()
    fence = _FENCE
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code}\n{fence}" if code else ""


class Outline:
    """Builds an :class:`Extract` from headings and blocks in reading order.

    A heading's own line is part of the extracted text but of no section: it stands in the heading path
    of what follows. A heading with nothing below it becomes a section of its own, so that it is found.
    """

    def __init__(self, kind: str, title: str = "") -> None:
        """Begin a file of type ``kind``; without a title its first heading may become one."""
        self.kind = kind
        title = one_line(title)[:_HEADING_LIMIT]
        self.title = "" if _NO_TITLE.match(title) else title
        self.date = ""
        self.warnings: list[str] = []
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._blocks: list[str] = []
        self._page: int | None = None
        self._length = 0
        self._top = ""  # the first heading where it is an outermost one: the title of a file that tells none
        self._bare: int | None = None  # where the text of a heading with nothing below it yet starts

    def heading(self, level: int, text: str) -> None:
        """Start a section: ``level`` 1 is the outermost; deeper or equal headings before it are closed."""
        text = one_line(text)
        if not text:
            return
        if len(text) > _HEADING_LIMIT:
            self.block(text)  # a whole paragraph in a heading style is no heading
            return
        self.leave(level)
        if not self._length and self.kind in _TITLED_KINDS:
            self._top = text
        self._path.append((level, text))
        self._bare = self._append(text)

    def place(self, level: int, text: str) -> None:
        """Put what follows under a heading that does not stand in the text, such as a bookmark."""
        text = one_line(text)[:_HEADING_LIMIT]
        self._close()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if text:
            self._path.append((level, text))

    def leave(self, level: int) -> None:
        """Close the headings of ``level`` and deeper: what follows stands under the ones above."""
        self._close()
        if self._bare is not None and self._path and self._path[-1][0] >= level:
            self._keep_bare()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()

    def page(self, number: int | None) -> None:
        """Start a page; what follows carries its number."""
        self._close()
        self._page = number

    def block(self, text: str) -> None:
        """Add a paragraph, list, table or code block; it must be clean already."""
        text = text.strip("\n").rstrip()
        if text.strip():
            self._blocks.append(text)

    def paragraph(self, text: str) -> None:
        """Add running text as one block."""
        self.block(tidy(text))

    def include(self, extract: Extract, level: int, name: str) -> None:
        """Add all of another file's text under a heading with its name."""
        self.heading(level, name)
        for section in extract.sections:
            self.leave(level + 1)
            for depth, text in enumerate(section.heading, level + 1):
                self.place(depth, text)
            self.block(section.text)
        self.warnings.extend(f"{name}: {warning}" for warning in extract.warnings)
        self.leave(level)

    def part(self) -> None:
        """End the section here, under the same headings."""
        self._close()

    def finish(self) -> Extract:
        """Return everything collected."""
        self._close()
        self._keep_bare()
        return Extract(self.kind, self._sections, self._length, self.title or self._top, self.warnings, self.date)

    def _append(self, text: str) -> int:
        start = self._length + (len(GAP) if self._length else 0)
        self._length = start + len(text)
        return start

    def _headings(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._path)

    def _close(self) -> None:
        if not self._blocks:
            return
        text = GAP.join(self._blocks)
        self._blocks = []
        self._bare = None
        self._sections.append(Section(text, self._append(text), self._headings(), self._page))

    def _keep_bare(self) -> None:
        if self._bare is not None:
            *above, own = self._headings()
            self._sections.append(Section(own, self._bare, tuple(above), self._page))
            self._bare = None
