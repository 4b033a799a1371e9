"""Word documents, by python-docx."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from docx import Document as open_docx
from docx.opc.exceptions import PackageNotFoundError
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml import etree

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, one_line, tidy
from toolkit.documents.tables import table_text

_HEADING = re.compile(r"^(?:heading|überschrift|titre|título|titolo)\s*(\d)", re.IGNORECASE)
_BULLETS = re.compile(r"list|bullet", re.IGNORECASE)


def read_docx(data: bytes, name: str) -> Extract:
    """Read a Word document in body order: headings by style, lists, tables as rows, headers and footers once.

    Raises:
        Unreadable: If it is no Word document or damaged.
    """
    try:
        document = open_docx(io.BytesIO(data))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise Unreadable(f"a damaged Word file ({error})") from error
    outline = Outline("docx", document.core_properties.title or "")
    styles = _style_names(document)
    pending: list[str] = []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            _flush(pending, outline)
            outline.block(_table(block))
            continue
        style = styles.get(_style_id(block), "")
        text = paragraph_text(block)
        if level := _level(block, style):
            _flush(pending, outline)
            outline.heading(level, text)
        elif text and (_is_numbered(block) or _BULLETS.search(style)):
            pending.append("- " + text.replace("\n", "\n  "))
        elif text:
            _flush(pending, outline)
            outline.block(text)
    _flush(pending, outline)
    _margins(document, outline)
    return outline.finish()


def _flush(pending: list[str], outline: Outline) -> None:
    if pending:
        outline.block("\n".join(pending))
        pending.clear()


def _style_names(document: Any) -> dict[str, str]:
    """Map style ids to names once: python-docx searches the whole style sheet for each paragraph."""
    return {style.style_id: style.name or "" for style in document.styles}


def _style_id(paragraph: Paragraph) -> str:
    properties = paragraph._p.pPr
    return (properties.style or "") if properties is not None else ""


def _level(paragraph: Paragraph, style: str) -> int:
    """Return the heading level: by the style's name, or by the outline level set on the paragraph."""
    if style.lower() == "title":
        return 1
    if match := _HEADING.match(style):
        return int(match[1])
    properties = paragraph._p.pPr
    outline = properties.find(qn("w:outlineLvl")) if properties is not None else None
    value = outline.get(qn("w:val")) if outline is not None else None
    return int(value) + 1 if value is not None and value.isdigit() and int(value) < 9 else 0


def _is_numbered(paragraph: Paragraph) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.numPr is not None


def paragraph_text(paragraph: Paragraph) -> str:
    """Return a paragraph's text with the text boxes that hang on it, each on lines of its own."""
    text = _runs(paragraph._p)
    for box in paragraph._p.iter(qn("w:txbxContent")):
        # Word writes each box twice, in a new form and in a fallback for old readers.
        if any(ancestor.tag.endswith("}Fallback") for ancestor in box.iterancestors()):
            continue
        text += "\n" + "\n".join(_runs(inner) for inner in box.iter(qn("w:p")))
    return tidy(text)


def _runs(element: Any) -> str:
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
    return "".join(pieces)


def _own_nodes(element: Any) -> Iterator[Any]:
    skipped = {qn("w:txbxContent"), qn("w:del"), qn("w:pPr"), qn("w:rPr")}
    for child in element:
        if child.tag in skipped or not isinstance(child.tag, str):
            continue
        if child.tag.endswith("}Fallback"):
            continue
        yield child
        yield from _own_nodes(child)


def _table(table: Table) -> str:
    rows = []
    for row in table._tbl.tr_lst:
        cells = []
        for cell in row.tc_lst:
            merged_down = cell.vMerge == "continue"
            text = "" if merged_down else " ".join(_runs(part) for part in cell.iter(qn("w:p")))
            cells.extend([text, *[""] * (cell.grid_span - 1)])
        rows.append(cells)
    return table_text(rows)


def _margins(document: Any, outline: Outline) -> None:
    """Add each distinct page header and footer once, at the end, where it disturbs no paragraph."""
    seen: list[str] = []
    for section in document.sections:
        for part in (section.header, section.first_page_header, section.footer, section.first_page_footer):
            if part.is_linked_to_previous:
                continue
            text = one_line(" ".join(_runs(paragraph._p) for paragraph in part.paragraphs))
            if len(text) > 3 and text not in seen:
                seen.append(text)
    if seen:
        outline.leave(1)
        outline.block("\n".join(seen))
