"""Rich Text Format, by striprtf."""

from __future__ import annotations

import re

from striprtf.striprtf import rtf_to_text

from toolkit.documents.dates import iso_day
from toolkit.documents.model import Extract
from toolkit.documents.outline import Outline, clean, tidy
from toolkit.documents.tables import table_text

_TITLE = re.compile(r"\\title\s+([^{}\\]{1,200})\}")

_STAMP = r"\s*\\yr(\d{1,4})\\mo(\d{1,2})\\dy(\d{1,2})"
_CHANGED = re.compile(r"\\revtim" + _STAMP)
_CREATED = re.compile(r"\\creatim" + _STAMP)


def read_rtf(data: bytes, name: str) -> Extract:
    """Read RTF: a line is a paragraph there; table cells come with bars between them."""
    source = data.decode("cp1252", "replace")
    title = _TITLE.search(source[:20_000])
    outline = Outline("rtf", title[1] if title else "")
    if stamp := _CHANGED.search(source[:20_000]) or _CREATED.search(source[:20_000]):
        outline.date = iso_day(f"{stamp[1]:0>4}-{stamp[2]:0>2}-{stamp[3]:0>2}")
    table: list[list[str]] = []
    for line in [*clean(rtf_to_text(source, errors="ignore")).split("\n"), ""]:
        if line.rstrip().endswith("|") and line.count("|") > 1:
            table.append(line.rstrip().removesuffix("|").split("|"))
            continue
        if table:
            outline.block(table_text(table))
            table = []
        outline.block(tidy(line))
    return outline.finish()
