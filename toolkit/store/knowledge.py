"""The knowledge folder: documents in, passages out.

A change goes into the manifest first and is acknowledged there; the Chroma collection and the BM25 index
follow, and are mended from the manifest whenever they do not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import Timeout
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from toolkit.embedding import Embedder, as_embedder
from toolkit.errors import DataError
from toolkit.progress import Progress
from toolkit.store import lexical
from toolkit.store.derived import DerivedCollection
from toolkit.store.layout import Place, lay_out_store, matching_embedder
from toolkit.store.lexical import LexicalIndex
from toolkit.store.locking import lock_of, lock_refused
from toolkit.store.manifest import FILE, Manifest
from toolkit.store.options import Reranker, SearchOptions
from toolkit.store.passages import Passage, SourceRecord
from toolkit.store.prepare import PreparedSource, SourceUpdate, gather, prepare, with_identity
from toolkit.store.search import hybrid_search
from toolkit.store.vocabulary import Vocabulary
from toolkit.store.writer import store_batch

if TYPE_CHECKING:
    from toolkit.store.retriever import KnowledgeRetriever

# While another process writes, look for its changes this often at most.
LOOK_SECONDS = 2.0


class Knowledge:
    """A folder of chunks that can be searched.

    Use :meth:`create` or :meth:`open`; close it, or use it in a ``with``. It may be used from several
    threads. One process at a time may write; any number may search meanwhile.

    Args:
        folder: The knowledge folder.
        manifest: Its manifest.
        embedder: What embeds questions and chunks.
        on_progress: Called while the collection is made again.

    Attributes:
        notes: What was found wrong and mended, in sentences; empty when all was well.
        options: How it is searched where a call does not say otherwise.

    Example:
        >>> from toolkit.testing import HashEmbedder
        >>> with Knowledge.create("lamps", HashEmbedder()) as knowledge:
        ...     ids = knowledge.add_documents([Document(page_content="The lamp burns for 38 hours.")])
        ...     print(knowledge.search("How long does the lamp burn?")[0].text)
        The lamp burns for 38 hours.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, embedder: Embedder, on_progress: Progress | None = None
    ) -> None:
        self.folder = folder
        self.embedder = embedder
        self.notes: list[str] = []
        self.options = SearchOptions()
        self._reranker: Reranker | None = None
        self._manifest = manifest
        # Two locks, so that a search in one thread need not wait for the whole ingest of another.
        self._writer = threading.RLock()
        self._mutex = threading.RLock()
        self._lock = lock_of(folder)
        self._depth = 0
        self._changed = False
        self._unsaved = 0
        self._seen = manifest.data_version()
        self._looked = time.monotonic()
        self._lexical = LexicalIndex(folder, manifest, Vocabulary(manifest))
        self._collection = DerivedCollection(folder, manifest, self.notes)
        if not self._collection.open():
            self._repair(on_progress)

    @classmethod
    def create(
        cls,
        folder: Path | str,
        embedding: Embeddings | str,
        *,
        server: Place = None,
        sync_threshold: int | None = None,
    ) -> Knowledge:
        """Make a new knowledge folder, or open the one that is there if it has the same embedder.

        Args:
            folder: Where it is to be.
            embedding: What embeds its chunks: an embedder of ours, any LangChain ``Embeddings``, or the name of
                one, such as ``"bundled"``.
            server: Host and port of a Chroma server, or ``"folder"`` to keep the collection in the folder,
                where a new one is anyway. One that is elsewhere is made there anew; nothing is embedded for it.
            sync_threshold: Changes after which Chroma writes its graph; None for its default.

        Raises:
            IndexMismatch: The folder holds the knowledge of another embedder.
            ModelError: The embedder cannot be loaded, or the Chroma server cannot be reached.
            StoreLocked: Another process is writing to it while it has to be laid out or moved.
        """
        embedder = as_embedder(embedding)
        lay_out_store(Path(folder), embedder, server, sync_threshold)
        return cls.open(folder, embedder)

    @classmethod
    def open(
        cls, folder: Path | str, embedding: Embeddings | str | None = None, *, on_progress: Progress | None = None
    ) -> Knowledge:
        """Open a knowledge folder, and mend what a killed writer left.

        Args:
            folder: What :meth:`create` made.
            embedding: The embedder, any LangChain ``Embeddings``, or a name; None loads the one that the manifest
                names.
            on_progress: Called while the collection is made again.

        Raises:
            DataError: There is no knowledge in the folder.
            IndexMismatch: The knowledge was embedded by another embedder.
        """
        path = Path(folder)
        if not (path / FILE).exists():
            raise DataError(f"{path} holds no knowledge.", "Make it with: housevoice ingest <bot.yaml>")
        manifest = Manifest(path)
        try:
            given = None if embedding is None else as_embedder(embedding)
            embedder = matching_embedder(path, manifest, given)
            return cls(path, manifest, embedder, on_progress)
        except BaseException:
            manifest.close()
            raise

    def _repair(self, on_progress: Progress | None) -> None:
        """Mend the collection, unless a living writer is at work: it will."""
        try:
            with self._lock.acquire(timeout=0):
                # The writer may have ended between the look at its mark and the lock.
                if not self._collection.open():
                    self._collection.repair(on_progress)
                self._lexical.save()
        except Timeout:
            self.notes.append("Another process is writing: searching without the Chroma collection.")

    @contextmanager
    def writing(self, on_progress: Progress | None = None) -> Iterator[None]:
        """Be the one writer for a while; may be nested. Changes reach the collection together at the end.

        Raises:
            StoreLocked: Another process is writing.
            StoreFull: The disk has no room; what was acknowledged is kept.
        """
        with self._writer:
            if self._depth:
                yield
                return
            try:
                self._lock.acquire()
            except Timeout:
                raise lock_refused(self.folder) from None
            self._depth = 1
            try:
                with self._mutex:
                    self._take_up()
                    self._collection.open_for_writing(on_progress)
                try:
                    yield
                finally:
                    self._settle(on_progress)
            finally:
                self._depth = 0
                self._lock.release()

    def _settle(self, on_progress: Progress | None) -> None:
        """Bring what is derived in step when the writer ends."""
        with self._mutex:
            if self._changed or self._collection.dirty:
                self._collection.follow(end=True, on_progress=on_progress)
            if self._unsaved >= lexical.MIN_CHANGES or (self._changed and not self._lexical.saved):
                self._lexical.refresh()
                self._lexical.save()
                self._changed, self._unsaved = False, 0

    def add_documents(
        self, documents: Sequence[Document], *, on_progress: Progress | None = None
    ) -> list[str]:
        """Add documents to what is held of their sources; those over the embedder's window are chunked.

        Returns:
            The ids of the chunks, source by source. Adding a document again changes nothing.

        Raises:
            StoreLocked: Another process is writing.
            StoreFull: The disk is full; nothing of it was kept.
        """
        groups: dict[str, list[Document]] = {}
        for document in map(with_identity, documents):
            groups.setdefault(str(document.metadata["source"]), []).append(document)
        ids: list[str] = []
        with self.writing(on_progress):
            for batch in gather(
                prepare(SourceUpdate(source, str(members[0].metadata["sha256"]), members, ""), self.embedder)
                for source, members in groups.items()
            ):
                ids += [name for names in self._store(batch, keep=True) for name in names]
                if on_progress:
                    on_progress("Embedding documents", len(ids), max(len(ids), len(documents)))
        return ids

    def replace_source(
        self, source: str, sha256: str, chunks: Sequence[Document], parser_version: str
    ) -> list[str]:
        """Make ``chunks`` all that is held of ``source``; texts that were embedded before are not again.

        Returns:
            The ids of the chunks.

        Raises:
            StoreLocked: Another process is writing.
            StoreFull: The disk is full; the source is as it was before.
        """
        with self.writing():
            prepared = prepare(SourceUpdate(source, sha256, chunks, parser_version), self.embedder)
            return self._store([prepared], keep=False)[0]

    def replace_sources(self, updates: Iterable[SourceUpdate]) -> Iterator[str]:
        """Do :meth:`replace_source` for many sources, embedding chunks of several together: it is quicker.

        Yields:
            The name of each source, when it is stored.
        """
        with self.writing():
            for batch in gather(prepare(update, self.embedder) for update in updates):
                self._store(batch, keep=False)
                yield from (prepared.source for prepared in batch)

    def _store(self, batch: Sequence[PreparedSource], *, keep: bool) -> list[list[str]]:
        """Write sources in one transaction; returns the ids of each one's chunks."""
        self._collection.begin()
        self._changed = True
        ids = store_batch(self._manifest, self._lexical.vocabulary, self.embedder, batch, keep=keep)
        self._unsaved += sum(map(len, ids))
        with self._mutex:
            self._lexical.vocabulary.refresh()
            self._collection.follow(end=False)
        return ids

    def remove(self, source: str) -> None:
        """Forget a source; nothing of it is found from then on.

        Raises:
            StoreLocked: Another process is writing.
        """
        with self.writing():
            self._collection.begin()
            self._changed = True
            self._manifest.drop_source(source)

    def sources(self) -> dict[str, SourceRecord]:
        """Return what is known of every source, by its name."""
        return self._manifest.sources()

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yield source, heading and text of every chunk, by source and in the order of the text."""
        return self._manifest.texts()

    def count(self) -> int:
        """Return the number of chunks."""
        return self._manifest.count()

    def search(
        self,
        query: str,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        mmr: float | None = None,
        reranker: Reranker | None = None,
        expand: int | None = None,
    ) -> list[Passage]:
        """Find the ``k`` passages that fit ``query`` best.

        Args:
            query: A question, or words.
            k: Passages wanted; where hits are joined with each other there are fewer.
            filter: What the metadata must be, such as ``{"source": "a.md"}`` or ``{"type": ["md", "pdf"]}``.
            mmr: Balance of fit (1) and variety (0) of the passages; None does as :attr:`options` say.
            reranker: Reads the best candidates again and orders them; None does as :attr:`options` say.
            expand: Chunks before and after a hit that are joined with it, where they continue it; None does as
                :attr:`options` say.

        Returns:
            Passages, best first; ``metadata`` has their cosine as ``dense`` and their word score as ``bm25``.

        Raises:
            DataError: The filter cannot be understood.
            ModelError: The cross-encoder of the options cannot be loaded.
        """
        if k < 1 or not query.strip():
            return []
        vector = self.embedder.encode_queries([query])[0]
        with self._mutex:
            self._take_up()
            nearest = self.nearest if self._collection.usable else None
            found = hybrid_search(
                self._manifest,
                self._lexical,
                nearest,
                query,
                vector,
                k,
                filter=filter,
                mmr=self.options.mmr if mmr is None else mmr,
                reranker=reranker or self._own_reranker(),
            )
            distance = self.options.expand if expand is None else expand
            return self.expand(found, distance=distance) if distance else found

    def _own_reranker(self) -> Reranker | None:
        """Return the cross-encoder that the options name, loaded once."""
        if self._reranker is None and self.options.reranker:
            from toolkit.store.reranker import load_reranker

            self._reranker = load_reranker(self.options.reranker)
        return self._reranker

    def nearest(self, vector: np.ndarray, n: int) -> Sequence[str]:
        """Return the ids of the ``n`` chunks nearest to a unit vector, best first: the vector side alone."""
        from toolkit.store.search import exact_nearest

        found = self._collection.nearest(vector, n)
        return [c.id for c in exact_nearest(self._manifest, vector, n)] if found is None else found

    def _take_up(self) -> None:
        """Take up changes, own ones or those of another process."""
        self._collection.try_again()
        if self._changed:
            self._lexical.refresh()
            self._changed = self._depth > 0
        version = self._manifest.data_version()
        if version == self._seen:
            return
        busy = self._collection.dirty
        if busy and not self._depth and time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        self._lexical.refresh()
        if not busy:
            # A client that was open before sees nothing of the change.
            self._seen = version
            self._collection.open()

    def expand(self, passages: Sequence[Passage], *, distance: int = 1) -> list[Passage]:
        """Join the neighbours of each hit that continue it, and hits that are neighbours with each other.

        Args:
            passages: What :meth:`search` found.
            distance: Chunks before and after a hit that may be joined.
        """
        from toolkit.store.neighbours import join_neighbours

        return join_neighbours(passages, lambda name: self._manifest.neighbours(name, distance))

    def as_retriever(
        self, k: int = 10, filter: Mapping[str, Any] | None = None, **options: Any
    ) -> KnowledgeRetriever:
        """Return the knowledge as a LangChain retriever; ``options`` are its other fields."""
        from toolkit.store.retriever import KnowledgeRetriever

        return KnowledgeRetriever(knowledge=self, k=k, filter=dict(filter) if filter else None, **options)

    def close(self) -> None:
        """Let go of the folder's files."""
        with self._mutex:
            self._collection.close()
            self._manifest.close()

    def __enter__(self) -> Knowledge:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the folder."""
        self.close()
