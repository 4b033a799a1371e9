"""Word documents, by python-docx."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from docx import Document as open_docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.exceptions import PackageNotFoundError
from docx.oxml.ns import qn
from lxml import etree

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, one_line, tidy
from toolkit.documents.readers.package import office_date
from toolkit.documents.readers.xml import damaged, parse_xml
from toolkit.documents.tables import filled_down, table_text

_HEADING = re.compile(r"^(?:heading|überschrift|titre|título|titolo)\s*(\d)", re.IGNORECASE)
_BULLETS = re.compile(r"list|bullet", re.IGNORECASE)
_NOTES = {
    qn("w:footnoteReference"): RELATIONSHIP_TYPE.FOOTNOTES,
    qn("w:endnoteReference"): RELATIONSHIP_TYPE.ENDNOTES,
}
_NO_BLOCKS = {qn("w:sectPr"), qn("w:pPr"), qn("w:tblPr"), qn("w:trPr"), qn("w:tcPr"), qn("w:sdtPr"), qn("w:del")}
_NOT_RUN = {qn("w:txbxContent"), qn("w:del"), qn("w:pPr"), qn("w:rPr"), qn("w:sdtPr")}
_MOST_HEADING = 80
_MOST_BASES = 20


def read_docx(data: bytes, name: str) -> Extract:
    """Read a Word document in body order: headings by style, lists, tables as rows, headers and footers once.

    Raises:
        Unreadable: If it is no Word document or damaged.
    """
    try:
        document = open_docx(io.BytesIO(data))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise damaged("a damaged Word file", error) from error
    outline = Outline("docx", document.core_properties.title or "")
    outline.date = office_date(data)
    reader = _Reader(document)
    pending: list[str] = []
    for block in _below(document.element.body, "p", "tbl"):
        if block.tag == qn("w:tbl"):
            _flush(pending, outline)
            outline.block(reader.table(block))
            continue
        text = reader.paragraph(block)
        if level := reader.level(block, text):
            _flush(pending, outline)
            outline.heading(level, text)
        elif text and reader.is_item(block):
            pending.append("- " + text.replace("\n", "\n  "))
        elif text:
            _flush(pending, outline)
            outline.block(text)
    _flush(pending, outline)
    _margins(document, reader, outline)
    return outline.finish()


def _flush(pending: list[str], outline: Outline) -> None:
    if pending:
        outline.block("\n".join(pending))
        pending.clear()


def _below(parent: Any, *names: str) -> Iterator[Any]:
    """Yield the nearest elements of these names: also those that content controls and revisions wrap."""
    wanted = {qn(f"w:{name}") for name in names}
    for child in parent:
        if child.tag in wanted:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _NO_BLOCKS and not child.tag.endswith("}Fallback"):
            yield from _below(child, *names)


class _Reader:
    """Gives the text of a document's parts, with what its style sheet and its notes say of them."""

    def __init__(self, document: Any) -> None:
        # python-docx searches the whole style sheet for each paragraph; here each style is looked at once.
        styles = {style.style_id: style for style in document.styles}
        self._names = {key: style.name or "" for key, style in styles.items()}
        self._levels = {key: _style_level(style, styles) for key, style in styles.items()}
        self._notes = {tag: _notes(document, kind) for tag, kind in _NOTES.items()}
        self._bold_is_heading = self._has_only_bold_headings(document)

    def _has_only_bold_headings(self, document: Any) -> bool:
        """Tell whether headings are marked by bold letters alone: no heading style, and few bold lines."""
        paragraphs = [block for block in _below(document.element.body, "p") if self._runs(block).strip()]
        if any(self._styled_level(block) for block in paragraphs):
            return False
        return 0 < sum(map(_is_bold, paragraphs)) <= 0.2 * len(paragraphs)

    def level(self, paragraph: Any, text: str) -> int:
        """Return the heading level of a paragraph, 0 where it is none."""
        if level := self._styled_level(paragraph):
            return level
        short = 3 <= len(text) <= _MOST_HEADING and "\n" not in text and text[-1] not in ".,;:!"
        if not (self._bold_is_heading and short and _is_bold(paragraph)):
            return 0
        return 1 if text.isupper() else 2

    def _styled_level(self, paragraph: Any) -> int:
        own = _outline_level(paragraph.pPr)
        return own if own is not None else self._levels.get(_style_id(paragraph), 0)

    def is_item(self, paragraph: Any) -> bool:
        """Tell whether a paragraph is an item of a list."""
        numbered = paragraph.pPr is not None and paragraph.pPr.numPr is not None
        return numbered or bool(_BULLETS.search(self._names.get(_style_id(paragraph), "")))

    def paragraph(self, paragraph: Any) -> str:
        """Return a paragraph's text with the text boxes that hang on it, each on lines of its own."""
        text = self._runs(paragraph)
        for box in paragraph.iter(qn("w:txbxContent")):
            # Word writes each box twice, in a new form and in a fallback for old readers.
            if any(isinstance(up.tag, str) and up.tag.endswith("}Fallback") for up in box.iterancestors()):
                continue
            text += "\n" + "\n".join(self._runs(inner) for inner in box.iter(qn("w:p")))
        return tidy(text)

    def _runs(self, element: Any) -> str:
        """Join the runs of one paragraph: inserted text and link texts too, deleted text not."""
        pieces = []
        for node in _own_nodes(element):
            tag = node.tag
            if tag == qn("w:t"):
                pieces.append(node.text or "")
            elif tag in {qn("w:br"), qn("w:cr")}:
                pieces.append("\n")
            elif tag == qn("w:tab"):
                pieces.append("\t")
            elif tag == qn("w:noBreakHyphen"):
                pieces.append("-")
            elif tag in _NOTES and (note := self._notes[tag].get(node.get(qn("w:id")))):
                pieces.append(f" ({note})")
        return "".join(pieces)

    def table(self, table: Any) -> str:
        """Return a table as rows; what is merged downwards stands in each row that it spans."""
        rows: list[list[str | None]] = []
        for row in _below(table, "tr"):
            cells: list[str | None] = [""] * row.grid_before
            for cell in _below(row, "tc"):
                cells.append(None if cell.vMerge == "continue" else self.lines(cell))
                cells.extend([""] * (cell.grid_span - 1))
            rows.append(cells)
        return table_text(filled_down(rows))

    def lines(self, element: Any) -> str:
        """Return the text of all paragraphs below an element as one line."""
        return one_line(" ".join(self._runs(part) for part in element.iter(qn("w:p"))))


def _style_id(paragraph: Any) -> str:
    return (paragraph.pPr.style or "") if paragraph.pPr is not None else ""


def _style_level(style: Any, styles: dict[str, Any]) -> int:
    """Return the heading level that a style gives: by its name, by what it sets, or by what it is based on."""
    for _ in range(_MOST_BASES):
        if (style.name or "").lower() == "title":
            return 1
        if match := _HEADING.match(style.name or ""):
            return int(match[1])
        if (level := _outline_level(style.element.pPr)) is not None:
            return level
        base = style.element.basedOn_val
        if base is None or base not in styles:
            return 0
        style = styles[base]
    return 0


def _outline_level(properties: Any) -> int | None:
    """Return the level that properties set from 1, 0 for body text, or None where they set none."""
    outline = properties.find(qn("w:outlineLvl")) if properties is not None else None
    value = outline.get(qn("w:val")) if outline is not None else None
    return (int(value) + 1 if int(value) < 9 else 0) if value is not None and value.isdecimal() else None


def _is_bold(paragraph: Any) -> bool:
    """Tell whether every run with text in it is bold."""
    runs = [run for run in paragraph.iter(qn("w:r")) if (run.text or "").strip()]
    return bool(runs) and all(run.rPr is not None and _is_on(run.rPr.find(qn("w:b"))) for run in runs)


def _is_on(mark: Any) -> bool:
    return mark is not None and mark.get(qn("w:val"), "1") not in {"0", "false", "off"}


def _notes(document: Any, kind: str) -> dict[str, str]:
    """Return the text of each footnote or endnote by its id."""
    for relation in document.part.rels.values():
        if relation.reltype != kind or relation.is_external:
            continue
        try:
            root = parse_xml(relation.target_part.blob)
        except Unreadable:
            return {}
        texts = ((note.get(qn("w:id")), "".join(_note_pieces(note))) for note in root)
        return {key: one_line(text) for key, text in texts if key and text.strip()}
    return {}


def _note_pieces(note: Any) -> Iterator[str]:
    for node in note.iter(qn("w:t"), qn("w:tab"), qn("w:p")):
        yield (node.text or "") if node.tag == qn("w:t") else " "


def _own_nodes(element: Any) -> Iterator[Any]:
    for child in element:
        if not isinstance(child.tag, str) or child.tag in _NOT_RUN or child.tag.endswith("}Fallback"):
            continue
        yield child
        yield from _own_nodes(child)


def _margins(document: Any, reader: _Reader, outline: Outline) -> None:
    """Add each distinct page header and footer once, at the end, where it disturbs no paragraph."""
    seen: list[str] = []
    for section in document.sections:
        for part in (section.header, section.first_page_header, section.footer, section.first_page_footer):
            if part.is_linked_to_previous:
                continue
            text = reader.lines(part._element)
            if len(text) > 3 and text not in seen:
                seen.append(text)
    if seen:
        outline.leave(1)
        outline.block("\n".join(seen))
