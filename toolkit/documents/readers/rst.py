"""reStructuredText, with what Sphinx adds to it, by docutils."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles

from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, fenced, one_line
from toolkit.documents.tables import table_text

_SETTINGS = {
    "report_level": 5,
    "halt_level": 5,
    "warning_stream": "",
    "file_insertion_enabled": False,  # a document must not be able to read other files
    "raw_enabled": False,
    "doctitle_xform": False,  # keep the title a section like any other
    "docinfo_xform": False,
    "smart_quotes": False,
    "syntax_highlight": "none",
    "_disable_config": True,
}
_CODE = {"code-block", "sourcecode", "code", "prompt", "parsed-literal", "productionlist", "highlight-code"}
_NOTHING = {
    "toctree", "graphviz", "digraph", "default-domain", "highlight", "include", "literalinclude", "index",
    "contents", "sectnum", "meta", "raw", "tabularcolumns", "currentmodule", "program", "module",
    "autosummary", "uml", "mermaid", "plot", "only-image", "sectionauthor", "codeauthor", "todolist",
}  # fmt: skip
_ADMONITIONS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "versionremoved": "Removed in version",
    "deprecated": "Deprecated since",
    "seealso": "See also",
    "todo": "To do",
    "glossary": "",
}
# Directives that describe a named thing; that name is a heading to its readers.
_DESCRIBED = {
    "option", "cmdoption", "confval", "describe", "object", "envvar", "function", "class", "method", "data",
    "attribute", "exception", "staticmethod", "classmethod", "property", "setting", "type", "macro", "var",
}  # fmt: skip
_NATIVE_ROLES = {
    "emphasis", "strong", "literal", "code", "subscript", "sub", "superscript", "sup", "math",
    "title-reference", "title", "t", "rfc", "rfc-reference", "pep", "pep-reference",
    "abbreviation", "ab", "acronym", "ac",
}  # fmt: skip
_TITLED_BOXES = {"tab-item", "tab", "dropdown", "card", "grid-item-card"}
_TITLED = re.compile(r"^(.+?)\s*<([^<>]*)>$", re.DOTALL)
_INVISIBLE = (
    nodes.comment, nodes.target, nodes.pending, nodes.system_message, nodes.substitution_definition,
    nodes.raw, nodes.image, nodes.docinfo, nodes.decoration, nodes.meta, nodes.label,
)  # fmt: skip


class _Described(nodes.General, nodes.Element):
    """A described thing: its ``names_text``, and what is said about it as children."""


class _AnyOption(dict[str, Any]):
    """Allows every option; docutils takes an empty table for a directive that has none."""

    def __bool__(self) -> bool:
        return True

    def __missing__(self, key: str) -> Callable[[Any], Any]:
        return lambda value: value


class _Lenient(Directive):
    """Stands in for each directive that docutils does not know: its content counts, its options do not."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[Any] = _AnyOption()

    def run(self) -> list[nodes.Node]:
        """Return the content's nodes, dressed according to the directive's name."""
        kind = self.name.rpartition(":")[2].lower()
        argument = " ".join(self.arguments[0].split()) if self.arguments else ""
        if kind in _NOTHING:
            return []
        if kind in _CODE:
            return [nodes.literal_block("", "\n".join(self.content))]
        if kind in _DESCRIBED:
            names = ", ".join(line.strip() for line in "".join(self.arguments).splitlines())
            return [self._nested(_Described("", names_text=names))]
        if kind in _ADMONITIONS:
            lead = " ".join(filter(None, (_ADMONITIONS[kind], argument)))
            return [self._lead(lead), *self._nested(nodes.container()).children]
        box = self._nested(nodes.container())
        return [self._lead(argument if kind in _TITLED_BOXES else ""), *box.children]

    def _nested(self, parent: nodes.Element) -> nodes.Element:
        self.state.nested_parse(self.content, self.content_offset, parent)
        return parent

    def _lead(self, text: str) -> nodes.Node:
        return (
            nodes.paragraph("", "", nodes.Text(text + ":" if self.content else text))
            if text
            else nodes.comment()
        )


def _text_role(
    role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Reduce an unknown role to the text that Sphinx would show."""
    shown = text.replace("\x00", "")
    if match := _TITLED.match(shown):
        shown = match[1]
    elif shown.startswith("~"):
        shown = shown[1:].rpartition(".")[2]
    return [nodes.inline(rawtext, shown.lstrip("!"))], []


@contextmanager
def _sphinx_dialect() -> Iterator[None]:
    """Answer docutils' look-ups for unknown directives and roles; Sphinx hooks in at the same two places."""
    known_directive, known_role = directives.directive, roles.role

    def directive(name: str, language: Any, document: Any) -> tuple[Any, list[Any]]:
        kind = name.rpartition(":")[2].lower()
        if kind in _NOTHING | _CODE | _DESCRIBED | set(_ADMONITIONS):
            return _Lenient, []
        found, _ = known_directive(name, language, document)
        return found or _Lenient, []

    def role(name: str, language: Any, lineno: int, reporter: Any) -> tuple[Callable[..., Any], list[Any]]:
        if name.lower() in _NATIVE_ROLES:
            return known_role(name, language, lineno, reporter)
        return _text_role, []

    directives.directive, roles.role = directive, role
    try:
        yield
    finally:
        directives.directive, roles.role = known_directive, known_role


def read_rst(text: str, name: str) -> Extract:
    """Read reStructuredText: sections as headings, code blocks fenced, roles reduced to their text."""
    try:
        with _sphinx_dialect():
            document = publish_doctree(text.replace("\x00", ""), settings_overrides=_SETTINGS)
    except RecursionError as error:
        raise Unreadable("its nesting is too deep") from error
    outline = Outline("rst")
    _walk(document, outline, 1)
    return outline.finish()


def _walk(parent: nodes.Element, outline: Outline, level: int) -> None:
    for node in parent.children:
        if isinstance(node, nodes.section):
            title = node.next_node(nodes.title)
            outline.heading(level, _inline(title) if title is not None else "")
            _walk(node, outline, level + 1)
        elif isinstance(node, _Described):
            outline.heading(level, str(node["names_text"]))
            _walk(node, outline, level + 1)
            outline.leave(level)
        elif isinstance(node, nodes.title | nodes.subtitle):
            continue
        elif isinstance(node, nodes.container | nodes.compound | nodes.topic | nodes.sidebar):
            _walk(node, outline, level)
        else:
            outline.block(_block(node))


def _block(node: nodes.Node) -> str:
    """Return the text of one block; nested blocks are set in by two blanks."""
    if isinstance(node, _INVISIBLE):
        return ""
    if isinstance(node, nodes.literal_block | nodes.doctest_block | nodes.math_block):
        return fenced(node.astext(), _language(node))
    if isinstance(node, nodes.bullet_list | nodes.enumerated_list):
        return _list(node)
    if isinstance(node, nodes.table):
        return _table(node)
    if isinstance(node, nodes.line_block):
        return "\n".join(filter(None, (_block(line) for line in node.children)))
    if isinstance(node, nodes.definition_list_item | nodes.field | nodes.option_list_item | _Described):
        return _defined(node)
    if isinstance(node, nodes.Admonition) and isinstance(node, nodes.Element):
        return _admonition(node)
    if isinstance(node, nodes.footnote | nodes.citation):
        return f"[{_inline(node.children[0])}] {_blocks(node.children[1:])}"
    if isinstance(node, nodes.definition_list | nodes.field_list | nodes.option_list):
        return _blocks(node.children)
    if isinstance(node, nodes.TextElement | nodes.Text | nodes.line):
        return one_line(_inline(node))
    return _blocks(node.children)


def _blocks(children: Sequence[nodes.Node]) -> str:
    return "\n".join(filter(None, (_block(child) for child in children)))


def _list(node: nodes.Element) -> str:
    start = int(node.get("start", 1))
    items = []
    for number, item in enumerate(node.children, start):
        mark = f"{number}. " if isinstance(node, nodes.enumerated_list) else "- "
        if text := _blocks(item.children):
            items.append(mark + text.replace("\n", "\n  "))
    return "\n".join(items)


def _defined(node: nodes.Element) -> str:
    if isinstance(node, _Described):
        name, rest = str(node["names_text"]), list(node.children)
    else:
        bodies = nodes.definition | nodes.field_body | nodes.description
        rest = [child for child in node.children if isinstance(child, bodies)]
        name = ", ".join(one_line(_inline(child)) for child in node.children if child not in rest)
    body = _blocks([block for part in rest for block in getattr(part, "children", ())]) if rest else ""
    if isinstance(node, _Described):
        body = _blocks(rest)
    joint = "\n" if body.startswith(("- ", "1. ", "```")) else " "
    return f"{name.rstrip(':')}:{joint}{body}" if body else name


def _admonition(node: nodes.Element) -> str:
    title = node.next_node(nodes.title) if isinstance(node, nodes.admonition) else None
    lead = _inline(title) if title is not None else str(node.tagname).capitalize()
    body = _blocks([child for child in node.children if not isinstance(child, nodes.title)])
    return f"{lead}: {body}" if body else ""


def _table(node: nodes.table) -> str:
    caption = node.next_node(nodes.title)
    rows, header = [], False
    for row in node.findall(nodes.row):
        header = header or isinstance(row.parent, nodes.thead)
        rows.append([_blocks(entry.children) for entry in row.children])
    body = table_text(rows, header=header)
    return "\n".join(filter(None, (_inline(caption) if caption is not None else "", body)))


def _language(node: nodes.Element) -> str:
    names = [name for name in node.get("classes", []) if name != "code"]
    return names[0] if names else ""


def _inline(node: nodes.Node) -> str:
    """Return running text; a link to the web keeps its address, for a reader cannot click on text."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, _INVISIBLE):
        return ""
    if isinstance(node, nodes.footnote_reference | nodes.citation_reference):
        return f"[{node.astext()}]"
    text = "".join(_inline(child) for child in node.children)
    address = str(node.get("refuri", "")) if isinstance(node, nodes.reference) else ""
    if address.startswith(("http://", "https://", "mailto:")):
        shown = address.removeprefix("mailto:")
        return text if text.rstrip("/") == shown.rstrip("/") else f"{text} ({shown})"
    return text
