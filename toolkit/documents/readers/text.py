"""Plain text: paragraphs as they are."""

from __future__ import annotations

import re

from toolkit.documents.model import Extract
from toolkit.documents.outline import Outline, clean, one_line

_BLANK = re.compile(r"\n[ \t]*\n")
# "1.2 Title" or "TITLE IN CAPITALS", alone in its paragraph, is a heading to whoever reads it.
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2})*)\.?[ \t]+\S.{0,78}[^.:;,!?]$")
_UNDERLINE = re.compile(r"^(.{2,80})\n([=\-~^*]{3,})$")


def read_text(text: str, name: str) -> Extract:
    """Read plain text; a short line alone that is numbered, in capitals or underlined is a heading."""
    outline = Outline("txt")
    for block in _BLANK.split(clean(text)):
        block = "\n".join(line.rstrip() for line in block.split("\n")).strip("\n")
        level, heading = _heading(block)
        if level:
            outline.heading(level, heading)
        else:
            outline.block(block)
    return outline.finish()


def _heading(block: str) -> tuple[int, str]:
    line = block.strip()
    if match := _UNDERLINE.match(line):
        return (1 if match[2][0] == "=" else 2), match[1]
    if "\n" in line or not line:
        return 0, ""
    if match := _NUMBERED.match(line):
        return match[1].count(".") + 1, line
    letters = [character for character in line if character.isalpha()]
    capitals = len(letters) >= 4 and len(line) <= 80 and all(character.isupper() for character in letters)
    return (1, one_line(line)) if capitals else (0, "")
