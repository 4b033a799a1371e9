"""Jupyter notebooks: they are JSON whose text cells are Markdown."""

from __future__ import annotations

import json
from typing import Any

from markdown_it import MarkdownIt

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, fenced
from toolkit.documents.readers.markdown import walk_tokens

_MOST_OUTPUT = 1000  # characters of a cell's output that are kept: tables and logs can be endless


def read_notebook(text: str, name: str) -> Extract:
    """Read a notebook: text cells as Markdown, code cells whole, the beginning of text outputs.

    Raises:
        Unreadable: If it is no notebook.
    """
    try:
        book = json.loads(text)
        old = "cells" not in book  # before format 4 the cells were in sheets
        cells = [cell for sheet in (book["worksheets"] if old else [book]) for cell in sheet["cells"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable(f"a damaged notebook ({error})") from error
    language = str(book.get("metadata", {}).get("kernelspec", {}).get("language", "python"))
    markdown = MarkdownIt("commonmark", {"maxNesting": 40}).enable(["table", "strikethrough"])
    outline = Outline("ipynb")
    for cell in cells:
        source = clean(_joined(cell.get("source", cell.get("input", ""))))
        if cell.get("cell_type") == "markdown":
            walk_tokens(markdown.parse(source), outline)
        elif cell.get("cell_type") == "code":
            outline.block(fenced(source, language))
            for output in cell.get("outputs", []):
                outline.block(_output(output))
        else:
            outline.paragraph(source)
    return outline.finish()


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _output(output: dict[str, Any]) -> str:
    text = _joined(output.get("text") or output.get("data", {}).get("text/plain"))
    if not text.strip():
        return ""
    if len(text) > _MOST_OUTPUT:
        text = text[:_MOST_OUTPUT].rpartition("\n")[0] or text[:_MOST_OUTPUT]
    return fenced(text)
