"""Documents on their way into the store: given an identity, cut to the window, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.documents import Document

from toolkit.documents.chunking import chunk_documents, embedding_text
from toolkit.embedding import Embedder
from toolkit.store.passages import Chunk

# Chunks embedded together: enough that those of a batch are of like length.
EMBED_TOGETHER = 256


@dataclass(frozen=True)
class SourceUpdate:
    """All chunks of one source, as they are to be from now on.

    Attributes:
        source: Name of the file.
        sha256: Hash of the file.
        chunks: Its chunks; longer documents are cut to the embedder's window.
        parser_version: Version of the parser that read it.
    """

    source: str
    sha256: str
    chunks: Sequence[Document]
    parser_version: str


@dataclass(frozen=True)
class PreparedSource:
    """Chunks of one source that fit the window, with the text that is embedded and its hash.

    Attributes:
        source: Name of the file.
        sha256: Hash of the file.
        parser_version: Version of the parser that read it.
        documents: The chunks.
        texts: What is embedded of each.
        digests: Hash of each of ``texts``.
    """

    source: str
    sha256: str
    parser_version: str
    documents: list[Document]
    texts: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def chunks(self, owners: Mapping[str, str]) -> list[Chunk]:
        """Give each chunk an id of its own.

        Files of the same content have chunks of the same id: the second file's get a suffix.

        Args:
            owners: Source of every id that the store holds.
        """
        suffix = f"~{sha256_of(self.source)[:8]}"
        chunks: dict[str, Chunk] = {}
        for document, digest in zip(self.documents, self.digests, strict=True):
            name = str(document.metadata["id"])
            if owners.get(name, self.source) != self.source:
                name += suffix
            metadata = {**document.metadata, "id": name, "source": self.source}
            chunks[name] = Chunk(name, self.source, document.page_content, metadata, digest)
        return list(chunks.values())


def prepare(update: SourceUpdate, embedder: Embedder) -> PreparedSource:
    """Cut what is over the window, and hash what is to be embedded."""
    named = [with_identity(document, update.source, update.sha256) for document in update.chunks]
    documents = [document for document in _fit(named, embedder) if document.page_content.strip()]
    texts = [embedding_text(document) for document in documents]
    digests = [sha256_of(text) for text in texts]
    return PreparedSource(update.source, update.sha256, update.parser_version, documents, texts, digests)


def gather(prepared: Iterable[PreparedSource]) -> Iterator[list[PreparedSource]]:
    """Gather sources until there is enough to embed together."""
    batch: list[PreparedSource] = []
    for item in prepared:
        batch.append(item)
        if sum(len(member.texts) for member in batch) >= EMBED_TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


def with_identity(document: Document, source: str | None = None, sha256: str | None = None) -> Document:
    """Fill in what a chunk needs and a document from elsewhere may lack."""
    metadata = dict(document.metadata)
    text = document.page_content
    metadata.setdefault("sha256", sha256 or sha256_of(text))
    metadata["source"] = source or str(metadata.get("source") or metadata["sha256"][:16])
    metadata.setdefault("heading", "")
    metadata.setdefault("start", 0)
    metadata.setdefault("end", metadata["start"] + len(text))
    if "id" not in metadata:
        metadata["id"] = document.id or f"{metadata['sha256'][:16]}:{metadata['start']}-{metadata['end']}"
    return Document(page_content=text, metadata=metadata)


def _fit(documents: Sequence[Document], embedder: Embedder) -> list[Document]:
    """Chunk those documents that are over the embedder's window."""
    lengths = embedder.count_tokens([embedding_text(document) for document in documents])
    fitting: list[Document] = []
    for document, length in zip(documents, lengths, strict=True):
        if length <= embedder.max_tokens:
            fitting.append(document)
        else:
            fitting += chunk_documents(
                [document], count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
            )
    return fitting


def sha256_of(text: str) -> str:
    """Return the hash of a text, lone surrogates and all."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
