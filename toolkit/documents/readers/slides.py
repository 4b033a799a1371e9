"""PowerPoint presentations, by python-pptx."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml import etree
from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.exc import PackageNotFoundError

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, tidy
from toolkit.documents.tables import table_text


def read_pptx(data: bytes, name: str) -> Extract:
    """Read a presentation slide by slide: the title as heading, tables as rows, speaker's notes last.

    Raises:
        Unreadable: If it is damaged.
    """
    try:
        deck = Presentation(io.BytesIO(data))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise Unreadable(f"a damaged PowerPoint file ({error})") from error
    outline = Outline("pptx", deck.core_properties.title or "")
    for number, slide in enumerate(deck.slides, 1):
        outline.leave(1)
        outline.page(number)
        title = slide.shapes.title
        if title is not None and title.has_text_frame:
            outline.heading(1, title.text_frame.text)
        for shape in _shapes(slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                outline.block(_shape_text(shape))
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
            notes = tidy(frame.text)
            outline.block(f"Notes: {notes}" if notes else "")
    return outline.finish()


def _shapes(shapes: Any, depth: int = 0) -> Iterator[Any]:
    """Yield shapes from top to bottom and left to right, those of groups in the group's place."""
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if shape.shape_type == MSO_SHAPE_TYPE.GROUP and depth < 20:
            yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _shape_text(shape: Any) -> str:
    if getattr(shape, "has_table", False):
        return table_text([[cell.text for cell in row.cells] for row in shape.table.rows])
    if not shape.has_text_frame:
        return ""
    lines = []
    paragraphs = [paragraph for paragraph in shape.text_frame.paragraphs if paragraph.text.strip()]
    for paragraph in paragraphs:
        text = tidy(paragraph.text)
        if len(paragraphs) > 1:
            lines.append("  " * paragraph.level + "- " + text.replace("\n", " "))
        else:
            lines.append(text)
    return "\n".join(lines)
