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

from toolkit.documents.model import Extract
from toolkit.documents.outline import Outline, tidy
from toolkit.documents.readers.package import office_date
from toolkit.documents.readers.xml import damaged
from toolkit.documents.tables import filled_down, table_text


def read_pptx(data: bytes, name: str) -> Extract:
    """Read a presentation slide by slide: the title as heading, tables as rows, speaker's notes last.

    Raises:
        Unreadable: If it is damaged.
    """
    try:
        deck = Presentation(io.BytesIO(data))
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, etree.XMLSyntaxError) as error:
        raise damaged("a damaged PowerPoint file", error) from error
    outline = Outline("pptx", deck.core_properties.title or "")
    outline.date = office_date(data)
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
        rows = [list(row.cells) for row in shape.table.rows]
        # Of a merged cell all but its origin are empty; those below the origin repeat it.
        texts = [[None if cell._tc.vMerge else cell.text for cell in row] for row in rows]
        return table_text(filled_down(texts))
    if getattr(shape, "has_chart", False):
        return _chart_text(shape.chart)
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


def _chart_text(chart: Any) -> str:
    """Return a chart's title, and its numbers as rows: one a category, with the series as columns."""
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
    tables = []
    for plot in chart.plots:
        series = list(plot.series)
        head = ["", *(one.name or f"Series {number}" for number, one in enumerate(series, 1))]
        columns = [list(one.values) for one in series]
        rows = [
            [str(label), *(_number(values[index] if index < len(values) else None) for values in columns)]
            for index, label in enumerate(plot.categories)
        ]
        tables.append(table_text([head, *rows], header=True))
    return "\n".join(filter(None, [tidy(title), *tables]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"
