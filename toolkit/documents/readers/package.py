"""Formats that are XML in a ZIP: EPUB books, OpenDocument texts and presentations.

The well-kept libraries for them are under licences that would bind whoever ships this, or unkept; both
formats are simple enough for the standard library and lxml.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from toolkit.documents.dates import first_day
from toolkit.documents.model import Extract, Unreadable
from toolkit.documents.outline import Outline, one_line, tidy
from toolkit.documents.readers.html import walk_html
from toolkit.documents.readers.xml import parse_xml
from toolkit.documents.sniff import decode
from toolkit.documents.tables import table_text

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_TITLE = _DC + "title"
_NOT_READ = {_TEXT + "tracked-changes", _OFFICE + "annotation", _TEXT + "sequence-decls", _OFFICE + "forms"}
_MOST_REPEATS = 100


def office_date(data: bytes) -> str:
    """Return the day on which an Office file was last changed by its own account, or ""."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            core = parse_xml(archive.read("docProps/core.xml"))
    except (KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, Unreadable):
        return ""
    return first_day([core.findtext("{*}modified"), core.findtext("{*}created")])


def _open(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise Unreadable(f"a damaged file ({error})") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except RuntimeError as error:
        raise Unreadable("it is encrypted with a password; save it without one") from error
    except (KeyError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise Unreadable(f"a damaged file: no {name} ({error})") from error


def read_epub(data: bytes, name: str) -> Extract:
    """Read a book's chapters in their order; the chapters' own headings give the path.

    Raises:
        Unreadable: If it is damaged or protected.
    """
    with _open(data) as archive:
        names = set(archive.namelist())
        if "META-INF/rights.xml" in names:
            raise Unreadable("the book is protected against copying (DRM)")
        container = parse_xml(_member(archive, "META-INF/container.xml"))
        root = container.find(".//{*}rootfile")
        if root is None:
            raise Unreadable("a damaged book: it does not say where its contents are")
        package_path = root.get("full-path") or ""
        package = parse_xml(_member(archive, package_path))
        outline = Outline("epub", package.findtext(".//" + _TITLE) or "")
        stamps = package.xpath('//*[local-name()="meta"][@property="dcterms:modified"]/text()')
        outline.date = first_day([*stamps, *(node.text for node in package.iterfind(f".//{_DC}date"))])
        for path in _spine(package, posixpath.dirname(package_path)):
            if path not in names:
                outline.warnings.append(f"chapter {path} is missing")
                continue
            outline.leave(1)
            walk_html(decode(_member(archive, path))[0], outline)
            outline.part()
        return outline.finish()


def _spine(package: Any, folder: str) -> list[str]:
    places = {item.get("id"): item.get("href") or "" for item in package.iterfind(".//{*}manifest/{*}item")}
    order = [item.get("idref") for item in package.iterfind(".//{*}spine/{*}itemref")]
    hrefs = [places[identity] for identity in order if places.get(identity)]
    return [posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0]))) for href in hrefs]


def read_odt(data: bytes, name: str) -> Extract:
    """Read an OpenDocument text: headings as path, lists, tables as rows."""
    return _read_odf(data, "odt")


def read_odp(data: bytes, name: str) -> Extract:
    """Read an OpenDocument presentation slide by slide."""
    return _read_odf(data, "odp")


def _read_odf(data: bytes, kind: str) -> Extract:
    with _open(data) as archive:
        manifest = "META-INF/manifest.xml"
        if manifest in archive.namelist() and b"encryption-data" in _member(archive, manifest):
            raise Unreadable("it is encrypted with a password; save it without one")
        content = parse_xml(_member(archive, "content.xml"))
        meta = parse_xml(_member(archive, "meta.xml")) if "meta.xml" in archive.namelist() else content
    outline = Outline(kind, meta.findtext(".//" + _TITLE) or "")
    outline.date = first_day([meta.findtext(f".//{_DC}date"), meta.findtext(".//{*}creation-date")])
    body = content.find(f".//{_OFFICE}body")
    if body is not None:
        _OdfWalker(outline).walk(body)
    return outline.finish()


class _OdfWalker:
    """Sends the blocks of an OpenDocument body to an outline."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._slide = 0

    def walk(self, parent: Any) -> None:
        """Go through the children; elements without a meaning of their own are gone into."""
        for node in parent:
            tag = node.tag
            if tag in _NOT_READ or not isinstance(tag, str):
                continue
            if tag == _TEXT + "h":
                level = node.get(_TEXT + "outline-level") or "1"
                self.outline.heading(int(level) if level.isdecimal() else 1, odf_text(node))
            elif tag == _TEXT + "p":
                self.outline.block(tidy(odf_text(node)))
                self._boxes(node)
            elif tag == _TEXT + "list":
                self.outline.block("\n".join(_list_lines(node, 0)))
            elif tag == _TABLE + "table":
                self.outline.block(table_text(_rows(node)))
            elif tag == _DRAW + "page":
                self._slide += 1
                self.outline.leave(1)
                self.outline.page(self._slide)
                self.walk(node)
            else:
                self.walk(node)

    def _boxes(self, paragraph: Any) -> None:
        for box in paragraph.iter(_DRAW + "text-box"):
            self.walk(box)


def odf_text(node: Any) -> str:
    """Return the text of a paragraph; blanks, tabs and breaks are elements of their own there."""
    special: dict[str, Callable[[Any], str]] = {
        _TEXT + "s": lambda e: " " * min(int(e.get(_TEXT + "c") or 1), _MOST_REPEATS),
        _TEXT + "tab": lambda e: "\t",
        _TEXT + "line-break": lambda e: "\n",
    }
    skipped = _NOT_READ | {_DRAW + "text-box", _TEXT + "note-citation"}
    pieces = [node.text or ""]
    for child in node:
        if child.tag in special:
            pieces.append(special[child.tag](child))
        elif child.tag == _TEXT + "note":
            pieces.append(f" ({one_line(odf_text(child))})")
        elif child.tag not in skipped and isinstance(child.tag, str):
            pieces.append(odf_text(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _list_lines(node: Any, depth: int) -> list[str]:
    lines = []
    for item in node:
        first = True
        for part in item:
            if part.tag == _TEXT + "list" and depth < 20:
                lines.extend(_list_lines(part, depth + 1))
            elif part.tag in {_TEXT + "p", _TEXT + "h"} and (text := one_line(odf_text(part))):
                lines.append("  " * depth + ("- " if first else "  ") + text)
                first = False
    return lines


def _rows(table: Any) -> list[list[str]]:
    rows = []
    for row in table.iter(_TABLE + "table-row"):
        cells: list[str] = []
        for cell in row:
            repeats = cell.get(_TABLE + "number-columns-repeated") or "1"
            text = " ".join(one_line(odf_text(part)) for part in cell.iter(_TEXT + "p", _TEXT + "h"))
            cells.extend([text] * (min(int(repeats), _MOST_REPEATS) if repeats.isdecimal() else 1))
        rows.append(cells)
    return rows
