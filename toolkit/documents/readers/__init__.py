"""One reader a format: from bytes or text to an :class:`~toolkit.documents.model.Extract`."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from toolkit.documents.model import MOST_TEXT, Extract, Unreadable
from toolkit.documents.sniff import decode, sniff

if TYPE_CHECKING:
    from collections.abc import Callable

# Format -> module, function. Modules are imported when a file needs them: most sets have two or three.
_FROM_TEXT = {
    "md": ("markdown", "read_markdown"),
    "rst": ("rst", "read_rst"),
    "html": ("html", "read_html"),
    "txt": ("text", "read_text"),
    "csv": ("csv", "read_csv"),
    "json": ("data", "read_json"),
    "jsonl": ("data", "read_jsonl"),
    "ipynb": ("notebook", "read_notebook"),
}
_PLAIN = {"md", "rst", "txt", "csv"}  # nearly all of their bytes are text
_FROM_BYTES = {
    "pdf": ("pdf", "read_pdf"),
    "docx": ("docx", "read_docx"),
    "pptx": ("slides", "read_pptx"),
    "xlsx": ("sheets", "read_workbook"),
    "xls": ("sheets", "read_workbook"),
    "ods": ("sheets", "read_workbook"),
    "odt": ("package", "read_odt"),
    "odp": ("package", "read_odp"),
    "epub": ("package", "read_epub"),
    "rtf": ("rtf", "read_rtf"),
    "eml": ("mail", "read_mail"),
    "xml": ("data", "read_xml"),
}
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".emf", ".wmf", ".svg", ".webp")


def read_bytes(data: bytes, name: str, *, depth: int = 0) -> Extract:
    """Read one file in this process; archives are not opened here.

    Args:
        data: The whole file.
        name: Its name; used only where the content does not tell the type.
        depth: How many messages it is attached within.

    Returns:
        Its text in sections; at least one.

    Raises:
        Unreadable: If it has no text to give, with the reason.
    """
    kind = sniff(data, name)
    if kind in _FROM_BYTES:
        extract = _from_bytes(kind, depth)(data, name)
    elif kind in _FROM_TEXT:
        if len(data) > MOST_TEXT and kind in _PLAIN:
            raise Unreadable(f"more than {MOST_TEXT >> 20} MiB of text; split the file")
        text, encoding = decode(data)
        extract = _function(*_FROM_TEXT[kind])(text, name)
        if encoding.endswith("(damaged)"):
            extract.warnings.append("bytes that are not UTF-8 were replaced")
    else:
        raise Unreadable("an archive within another file, which is not opened")
    if not extract.sections:
        raise Unreadable("it has no text, only pictures" if _has_pictures(data, kind) else "it has no text")
    return extract


def _has_pictures(data: bytes, kind: str) -> bool:
    if kind not in {"docx", "pptx", "xlsx", "odt", "odp", "ods", "epub"}:
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(name.lower().endswith(_PICTURES) for name in archive.namelist() if "humbnail" not in name)


def _from_bytes(kind: str, depth: int) -> Callable[[bytes, str], Extract]:
    function = _function(*_FROM_BYTES[kind])
    if kind in {"xlsx", "xls", "ods"}:
        return partial(function, kind=kind)
    return partial(function, depth=depth) if kind == "eml" else function


def _function(module: str, name: str) -> Callable[..., Extract]:
    function: Callable[..., Extract] = getattr(import_module(f"{__name__}.{module}"), name)
    return function
