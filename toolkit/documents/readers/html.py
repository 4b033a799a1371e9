"""HTML, by lxml's forgiving parser."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree, html

from toolkit.documents.dates import first_day
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, fenced, one_line
from toolkit.documents.readers.xml import damaged
from toolkit.documents.tables import table_text

_SKIPPED = {
    "script", "style", "noscript", "template", "svg", "nav", "head", "iframe", "object", "canvas", "math",
    "audio", "video", "select", "textarea", "button", "map",
}  # fmt: skip
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "li",
    "main", "ol", "p", "pre", "search", "section", "summary", "table", "ul", "tr", "td", "th",
    "tbody", "thead", "tfoot", "caption",
}  # fmt: skip
_DATES = ("article:modified_time", "dcterms.modified", "last-modified", "article:published_time", "dc.date", "date")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_DEEP = 200
_MOST_COLUMNS, _MOST_ROWS = 50, 1000  # that one cell may span


def read_html(text: str, name: str) -> Extract:
    """Read a page: headings as path, tables as rows, lists kept; scripts, styles and menus left out."""
    outline = Outline("html")
    root = walk_html(text, outline, whole_page=True)
    extract = outline.finish()
    if root is not None:
        extract.title = one_line(root.findtext(".//title") or "") or extract.title
        metas = {(node.get("property") or node.get("name") or "").lower(): node for node in root.iter("meta")}
        extract.date = first_day(metas[name].get("content") for name in _DATES if name in metas)
    return extract


def walk_html(text: str, outline: Outline, *, whole_page: bool = False, base: int = 0) -> Any:
    """Send a page's blocks to the outline and return the parsed root, or None where there is none.

    Args:
        text: The markup.
        outline: Where it goes.
        whole_page: Whether to read only ``<main>``, where the page has one.
        base: How many levels deeper its headings stand.

    Raises:
        Unreadable: If the parser gives up.
    """
    text = _DECLARATION.sub("", clean(text))
    if not text.strip():
        return None
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = html.document_fromstring(text.encode("utf-8"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        if "empty" in str(error).lower():
            return None
        raise damaged("damaged HTML", error) from error
    if any("Excessive depth" in entry.message for entry in parser.error_log):
        raise Unreadable("its nesting is too deep")
    body = root.find(".//main") if whole_page else None
    if body is None or len("".join(body.itertext()).strip()) < 200:
        body = root
    _Walker(outline, base).walk(body)
    return root


class _Walker:
    """Goes through the tree once, collecting running text until a block begins or ends."""

    def __init__(self, outline: Outline, base: int) -> None:
        self.outline = outline
        self.base = base
        self._run: list[str] = []

    def walk(self, node: Any) -> None:
        """Send one element and all below it to the outline."""
        self._children(node, 0)
        self._flush()

    def _flush(self) -> None:
        if self._run:
            self.outline.paragraph("".join(self._run))
            self._run.clear()

    def _children(self, node: Any, depth: int) -> None:
        if node.text:
            self._run.append(_folded(node.text))
        for child in node:
            self._element(child, depth + 1)
            if child.tail:
                self._run.append(_folded(child.tail))

    def _element(self, node: Any, depth: int) -> None:
        tag = node.tag if isinstance(node.tag, str) else ""
        if tag in _SKIPPED or not tag:
            return
        if depth > _DEEP:
            self._run.append(" ".join(node.itertext()))
        elif tag in _HEADINGS:
            self._flush()
            self.outline.heading(self.base + _HEADINGS[tag], inline_text(node))
        elif tag in {"ul", "ol"}:
            self._flush()
            self.outline.block(list_text(node))
        elif tag == "dl":
            self._flush()
            self.outline.block(_definitions(node))
        elif tag == "pre":
            self._flush()
            self.outline.block(fenced("".join(node.itertext())))
        elif tag == "table":
            self._flush()
            self._table(node, depth)
        elif tag == "br":
            self._run.append("\n")
        elif tag == "a":
            self._run.append(_link(node))
        elif tag in _BLOCKS:
            self._flush()
            self._children(node, depth)
            self._flush()
        else:
            self._children(node, depth)

    def _table(self, node: Any, depth: int) -> None:
        if node.find(".//table") is not None or node.find(".//h2") is not None:
            self._children(node, depth)  # a page laid out by tables: only the innermost are tables
            self._flush()
            return
        rows, header = table_rows(node)
        if max(map(len, rows), default=0) < 2:
            self._children(node, depth)  # a frame around text
            self._flush()
            return
        caption = node.find("caption")
        lead = inline_text(caption) if caption is not None else ""
        self.outline.block("\n".join(filter(None, (lead, table_text(rows, header=header)))))


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _link(node: Any) -> str:
    text = inline_text(node, keep_space=True)
    address = node.get("href") or ""
    if address.startswith("mailto:") and "@" not in text:
        return f"{text} ({address[7:].partition('?')[0]})"
    return text


def inline_text(node: Any, *, keep_space: bool = False) -> str:
    """Return an element's text as one line, without scripts; ``<br>`` counts as a blank."""
    pieces: list[str] = []
    _collect(node, pieces, 0)
    text = _folded("".join(pieces))
    return text if keep_space else text.strip()


def _collect(node: Any, pieces: list[str], depth: int) -> None:
    tag = node.tag if isinstance(node.tag, str) else ""
    if tag in _SKIPPED and tag != "math" or not tag:
        return
    if tag in _BLOCKS or tag == "br":
        pieces.append(" ")
    if node.text:
        pieces.append(node.text)
    for child in node:
        if depth < _DEEP:
            _collect(child, pieces, depth + 1)
        else:
            pieces.extend(child.itertext())
        if child.tail:
            pieces.append(child.tail)
    if tag in _BLOCKS:
        pieces.append(" ")


def list_text(node: Any, depth: int = 0) -> str:
    """Return a list as lines with ``-`` or numbers, nested ones set in by two blanks."""
    lines = []
    number = int(node.get("start")) if (node.get("start") or "").isdecimal() else 1
    for item in node:
        if item.tag in {"ul", "ol"}:
            lines.append(_indented(list_text(item, depth + 1)))
            continue
        if item.tag != "li":
            continue
        inner: list[str] = []
        nested = []
        if item.text:
            inner.append(item.text)
        for child in item:
            if child.tag in {"ul", "ol"} and depth < 20:
                nested.append(_indented(list_text(child, depth + 1)))
            elif child.tag == "pre":
                nested.append(_indented(fenced("".join(child.itertext()))))
            else:
                _collect(child, inner, 0)
            if child.tail:
                inner.append(child.tail)
        mark = f"{number}. " if node.tag == "ol" else "- "
        number += 1
        text = one_line("".join(inner))
        lines.extend(filter(None, (mark + text if text else "", *nested)))
    return "\n".join(filter(None, lines))


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.split("\n")) if text else ""


def _definitions(node: Any) -> str:
    lines: list[str] = []
    term = ""
    for child in node.iter("dt", "dd"):
        text = inline_text(child)
        if child.tag == "dt":
            if term:
                lines.append(term)
            term = text
        else:
            lines.append(f"{term.rstrip(':')}: {text}" if term else text)
            term = ""
    return "\n".join(filter(None, [*lines, term]))


def table_rows(node: Any) -> tuple[list[list[str]], bool | None]:
    """Return a table's cells, and whether its first row is a header (None: not said)."""
    rows: list[list[str]] = []
    header: bool | None = None
    hanging: dict[int, tuple[int, str]] = {}  # column -> rows that a cell above still spans, its text
    for row in node.iter("tr"):
        cells = [cell for cell in row if cell.tag in {"td", "th"}]
        texts: list[str] = []
        for cell in cells:
            _take_hanging(hanging, texts)
            text, down = inline_text(cell), _span(cell, "rowspan", _MOST_ROWS)
            for index in range(_span(cell, "colspan", _MOST_COLUMNS)):
                texts.append("" if index else text)
                if down > 1:
                    hanging[len(texts) - 1] = (down - 1, texts[-1])
        _take_hanging(hanging, texts)
        if not any(texts):
            continue
        if not rows:
            named = all(cell.tag == "th" for cell in cells) or row.getparent().tag == "thead"
            header = named if named else None
        rows.append(texts)
    return rows, header


def _take_hanging(hanging: dict[int, tuple[int, str]], texts: list[str]) -> None:
    """Repeat the cells from above that stand where the row's next cells would."""
    while (column := len(texts)) in hanging:
        left, text = hanging.pop(column)
        if left > 1:
            hanging[column] = (left - 1, text)
        texts.append(text)


def _span(cell: Any, name: str, most: int) -> int:
    value = cell.get(name) or ""
    return max(1, min(int(value), most)) if value.isdecimal() else 1
