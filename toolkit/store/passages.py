"""What the store hands out: passages of documents, and the record of a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.documents import Document


@dataclass(frozen=True)
class Passage:
    """A chunk that was found.

    Attributes:
        id: Stable id of the chunk.
        source: Name of the file it is from.
        text: Its exact text.
        score: How well it fits the question; comparable within one search only.
        page: Page from 1, where the file has pages.
        heading: Path of headings above it, joined by `` > ``; empty where there are none.
        metadata: Everything known of the chunk; ``dense`` is the cosine with the question and ``bm25`` the
            score of its words.
    """

    id: str
    source: str
    text: str
    score: float
    page: int | None = None
    heading: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what a person wants to see of the passage, as plain JSON types."""
        return {
            "id": self.id,
            "source": self.source,
            "page": self.page,
            "heading": self.heading,
            "text": self.text,
            "score": self.score,
        }

    def to_document(self) -> Document:
        """Return the passage as LangChain knows it, with its score among the metadata."""
        known = {"id": self.id, "source": self.source, "score": self.score, "heading": self.heading}
        if self.page is not None:
            known["page"] = self.page
        return Document(page_content=self.text, metadata={**self.metadata, **known}, id=self.id)


@dataclass(frozen=True)
class SourceRecord:
    """What the manifest knows of one source.

    Attributes:
        source: Name of the file.
        sha256: Hash of the file when it was read; empty for documents handed over without one.
        parser_version: Version of the parser that read it.
        chunk_ids: Ids of its chunks, in the order of the text.
    """

    source: str
    sha256: str
    parser_version: str
    chunk_ids: tuple[str, ...]


@dataclass(frozen=True)
class Chunk:
    """A chunk as the manifest keeps it.

    Attributes:
        id: Unique within the store.
        source: Name of the file it is from.
        text: Its exact text.
        metadata: Everything else that is known of it; plain JSON types.
        digest: Hash of the text that was embedded: equal digests share a vector.
    """

    id: str
    source: str
    text: str
    metadata: dict[str, Any]
    digest: str

    def passage(self, score: float, **extra: Any) -> Passage:
        """Return the chunk as a passage with ``score``; ``extra`` goes among its metadata."""
        page = self.metadata.get("page")
        return Passage(
            id=self.id,
            source=self.source,
            text=self.text,
            score=score,
            page=page if isinstance(page, int) else None,
            heading=str(self.metadata.get("heading") or ""),
            metadata={**self.metadata, **extra},
        )


@dataclass(frozen=True)
class Candidate:
    """A chunk that a search looks at.

    Attributes:
        number: Its number in the manifest.
        id: Its id.
        vector: Its unit vector, shape ``(dimension,)``, float32.
    """

    number: int
    id: str
    vector: np.ndarray
