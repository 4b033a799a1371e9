"""The pages of the project, cut into their blocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
# Written by docs/generate.py.
GENERATED = ("cli.md", "configuration.md")
PAGES = [README, *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in GENERATED)]


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page that are in one of the languages."""
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


def command_lines(page: Path) -> list[str]:
    """Return the commands of all shell blocks, continued lines joined and comments left out."""
    lines = []
    for block in blocks(page, "bash", "sh", "shell", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line and not line.startswith("#"):
                lines.append(line)
    return lines


def housevoice_calls(page: Path) -> list[list[str]]:
    """Return the words of every call of housevoice, in blocks and in the running text."""
    inline = re.findall(r"`(housevoice [^`\n]+)`", page.read_text(encoding="utf-8"))
    calls = [line for line in [*command_lines(page), *inline] if re.match(r"(?:\.venv/bin/)?housevoice\s", line)]
    return [shlex.split(call, comments=True)[1:] for call in calls]


def links(page: Path) -> list[str]:
    """Return where the links and pictures of a page lead."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
