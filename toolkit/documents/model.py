"""What goes between the rooms of this package: limits, found files, sections, parsed files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.documents import Document

# Change this when the text that a reader gives for the same bytes changes: stored files are then read again.
PARSER_VERSION = "3"

# More of it in one file is no document any more; the parent would have to hold it all.
MOST_TEXT = 64 << 20
# Between the blocks of the extracted text. The chunker counts on it to rebuild the text of a span.
GAP = "\n\n"
HEADING_SEPARATOR = " > "


class Unreadable(Exception):
    """A file has no text to give, for a reason that a person understands."""


@dataclass(frozen=True)
class ParseLimits:
    """What one file may cost.

    Args:
        seconds: Wall-clock time for the whole file, a ZIP with all its members included.
        memory_bytes: Memory of the process that reads it; a file larger than this is refused unread.
    """

    seconds: float = 30.0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True)
class FoundFile:
    """A file to read.

    Args:
        path: Where it is.
        source: Its name in citations and in the store: the posix path below the folder given.
        size: Bytes, as the folder said when it was looked at.
        problem: Why it must not be opened (a pipe, a link that leads out of the folder), or None.
    """

    path: Path
    source: str
    size: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class Section:
    """A piece of a file's text that belongs together.

    Args:
        text: Plain readable text; never empty.
        start: Offset of ``text`` in the whole extracted text of the file, in characters.
        heading: The headings that lead to it, outermost first.
        page: Page or slide number from 1, or None where there are no pages.
        title: The document's own title, where it is not the file's (an attachment, a ZIP member), or "".
        member: Path inside the archive, or "".
        type: Type of the member where it is not the file's own, or "".
        date: Date of the member as ``YYYY-MM-DD``, or "".
    """

    text: str
    start: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    title: str = ""
    member: str = ""
    type: str = ""
    date: str = ""


@dataclass
class Extract:
    """What a reader gives for one file.

    Args:
        type: Short name of the format, as in the metadata (``md``, ``pdf``).
        sections: In reading order.
        length: Length of the whole extracted text in characters.
        title: The document's title, or "".
        warnings: What was left out, each with its reason.
        date: When it was last changed, as ``YYYY-MM-DD``: what the document tells of itself, else what the
            file system tells, or "".
    """

    type: str
    sections: list[Section] = field(default_factory=list)
    length: int = 0
    title: str = ""
    warnings: list[str] = field(default_factory=list)
    date: str = ""


@dataclass(frozen=True)
class ParsedFile:
    """One file after reading.

    Args:
        path: Where it is.
        source: Its name in citations and in the store.
        sha256: Hash of the bytes that were read; "" where they could not be.
        type: Format by content; "" where it is unknown.
        documents: One per section; empty where nothing was read or the file is unchanged.
        error: Why it is not in, or None.
        warnings: Parts of it that are not in, each with the reason.
        unchanged: The hash is the known one, so it was not parsed again.
    """

    path: Path
    source: str
    sha256: str
    type: str
    documents: list[Document]
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    unchanged: bool = False


def build_documents(extract: Extract, source: str, sha256: str) -> list[Document]:
    """Turn sections into LangChain documents with the metadata that the other rooms rely on."""
    from langchain_core.documents import Document

    documents = []
    for section in extract.sections:
        metadata: dict[str, Any] = {
            "source": source,
            "type": section.type or extract.type,
            "heading": HEADING_SEPARATOR.join(section.heading),
            "sha256": sha256,
            "start": section.start,
        }
        if section.page is not None:
            metadata["page"] = section.page
        if title := section.title or extract.title:
            metadata["title"] = title
        # Not part of what is embedded: a file that was only touched keeps its chunks and their vectors.
        if date := section.date or extract.date:
            metadata["date"] = date
        if section.member:
            metadata["member"] = section.member
        documents.append(Document(page_content=section.text, metadata=metadata))
    return documents
