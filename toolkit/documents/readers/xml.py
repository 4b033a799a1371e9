"""XML from anybody: parsed without what it could draw in, its faults told apart from a want of memory."""

from __future__ import annotations

from typing import Any

from lxml import etree

from toolkit.documents.model import Unreadable

_NO_MEMORY = 2  # XML_ERR_NO_MEMORY of libxml2, which reports it like any fault of the text


def parse_xml(data: bytes) -> Any:
    """Parse XML that may be hostile: no entities, no network, no document type loaded.

    Raises:
        Unreadable: If it is not well-formed.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise damaged("damaged XML", error) from error


def damaged(what: str, error: Exception) -> Unreadable:
    """Return the error that names a damaged file.

    Raises:
        MemoryError: If it was not the file but the memory that failed.
    """
    if getattr(error, "code", None) == _NO_MEMORY:
        raise MemoryError from error
    return Unreadable(f"{what} ({error})")
