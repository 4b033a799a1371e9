"""Markdown (CommonMark with tables), by markdown-it-py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from toolkit.documents.dates import first_day
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, clean, fenced, tidy
from toolkit.documents.tables import table_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"""^title:[ \t]*["']?(.+?)["']?[ \t]*$""", re.MULTILINE)
_FRONT_DATE = re.compile(r"""^(lastmod|updated|modified|date):[ \t]*["']?(\S+?)["']?[ \t]*$""", re.MULTILINE)
_HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def read_markdown(text: str, name: str) -> Extract:
    """Read Markdown: headings as path, code blocks fenced, tables as rows, markup reduced to its text."""
    text, title, date = _front_matter(clean(text))
    outline = Outline("md", title)
    outline.date = date
    try:
        tokens = MarkdownIt("commonmark", {"maxNesting": 40}).enable(["table", "strikethrough"]).parse(text)
        walk_tokens(tokens, outline)
    except RecursionError as error:
        raise Unreadable("its nesting is too deep") from error
    return outline.finish()


def walk_tokens(tokens: list[Token], outline: Outline, base: int = 0) -> None:
    """Send a parsed document's blocks to the outline, its headings ``base`` levels deeper."""
    for node in SyntaxTreeNode(tokens).children:
        if node.type == "heading":
            outline.heading(base + int(node.tag[1:]), _inline_of(node))
        elif node.type == "html_block":
            _html_block(node.content, outline)
        else:
            outline.block(_block(node))


def _front_matter(text: str) -> tuple[str, str, str]:
    match = _FRONT_MATTER.match(text)
    if not match:
        return text, "", ""
    title = _FRONT_TITLE.search(match[1])
    dates = dict(_FRONT_DATE.findall(match[1]))
    date = first_day(dates.get(name) for name in ("lastmod", "updated", "modified", "date"))
    return text[match.end() :], title[1] if title else "", date


def _block(node: SyntaxTreeNode) -> str:
    if node.type in {"fence", "code_block"}:
        return fenced(node.content, node.info.split()[0] if node.info.strip() else "")
    if node.type in {"bullet_list", "ordered_list"}:
        return _list(node)
    if node.type == "table":
        rows = [list(map(_inline_of, row.children)) for part in node.children for row in part.children]
        return table_text(rows, header=any(rows[0]))
    if node.type == "blockquote":
        return _blocks(node)
    if node.type in {"paragraph", "heading", "inline"}:
        return tidy(_inline_of(node))
    if node.type == "html_block":
        return tidy(re.sub(r"<[^>]*>", " ", _HTML_COMMENT.sub("", node.content)))
    return ""


def _blocks(node: SyntaxTreeNode) -> str:
    return "\n".join(filter(None, (_block(child) for child in node.children)))


def _list(node: SyntaxTreeNode) -> str:
    start = int(node.attrs.get("start", 1))
    items = []
    for number, item in enumerate(node.children, start):
        mark = f"{number}. " if node.type == "ordered_list" else "- "
        if text := _blocks(item):
            items.append(mark + text.replace("\n", "\n  "))
    return "\n".join(items)


def _html_block(source: str, outline: Outline) -> None:
    """Read HTML inside Markdown as HTML: tables and details blocks are usual there."""
    from toolkit.documents.readers.html import walk_html

    walk_html(_HTML_COMMENT.sub("", source), outline)


def _inline_of(node: SyntaxTreeNode) -> str:
    return "".join(_inline(child) for child in node.children) if node.type != "inline" else _inline(node)


def _pieces(node: SyntaxTreeNode) -> Iterator[str]:
    return (_inline(child) for child in node.children)


def _link(node: SyntaxTreeNode) -> str:
    text = "".join(_pieces(node))
    address = str(node.attrs.get("href", ""))
    if not address.startswith(("http://", "https://", "mailto:")):
        return text
    shown = address.removeprefix("mailto:")
    return text if text.rstrip("/") == shown.rstrip("/") else f"{text} ({shown})"


_INLINE: dict[str, Callable[[SyntaxTreeNode], str]] = {
    "text": lambda node: node.content,
    "code_inline": lambda node: node.content,
    "softbreak": lambda node: " ",
    "hardbreak": lambda node: "\n",
    "html_inline": lambda node: "\n" if node.content.lower().startswith("<br") else "",
    "image": lambda node: str(node.content),
    "link": _link,
}


def _inline(node: SyntaxTreeNode) -> str:
    known = _INLINE.get(node.type)
    return known(node) if known else "".join(_pieces(node))
