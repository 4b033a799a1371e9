"""The vector side: a Chroma collection, derived from the manifest and made again when it is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import numpy as np

from toolkit.errors import StoreFull
from toolkit.offline import call_nobody
from toolkit.progress import Progress
from toolkit.store.checksum import crc_of
from toolkit.store.manifest import Manifest

if TYPE_CHECKING:
    from chromadb.api import ClientAPI, CreateCollectionConfiguration
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

# The name langchain_chroma looks for when it is given none.
COLLECTION = "langchain"
BATCH = 1000
# Chroma writes its graph anew and does not come back from a disk that fills up meanwhile: stay clear of that.
SPARE_BYTES = 4 << 20
_BYTES_A_CHUNK = 6000
# A collection of up to so many chunks is compared id by id whenever it is opened.
COMPARED_ALL = 20_000


class DenseIndex:
    """Nearest vectors through Chroma.

    Args:
        client: A Chroma client, on a folder or on a server.
        collection: Name of the collection.
        folder: The folder that must have room; None for a server.
        sync_threshold: Changes after which Chroma writes its graph to the disk; None for its default.
    """

    def __init__(
        self, client: ClientAPI, collection: str, folder: Path | None, sync_threshold: int | None = None
    ) -> None:
        self._client = client
        self._folder = folder
        hnsw: dict[str, Any] = {
            "space": "cosine",
            "ef_construction": 200,
            "max_neighbors": 24,
            "ef_search": 128,
        }
        if sync_threshold is not None:
            hnsw |= {"sync_threshold": sync_threshold, "batch_size": min(100, sync_threshold)}
        self._collection: Collection = client.get_or_create_collection(
            collection,
            configuration=cast("CreateCollectionConfiguration", {"hnsw": hnsw}),
            embedding_function=None,
        )

    def catch_up(self, manifest: Manifest, on_progress: Progress | None = None) -> None:
        """Tell the collection what the manifest says it has still to be told.

        Raises:
            StoreFull: The disk has no room; the manifest keeps what is still to be told.
        """
        total = manifest.pending_count()
        done = 0
        while True:
            write, gone = manifest.pending(BATCH)
            if not write and not gone:
                return
            self._check_room(manifest, len(write))
            if gone:
                self._collection.delete(ids=gone)
            if write:
                self._write(manifest, write)
            manifest.told([*write, *gone])
            done += len(write) + len(gone)
            if on_progress:
                on_progress("Indexing passages", done, total)

    def _check_room(self, manifest: Manifest, chunks: int) -> None:
        """Refuse to begin what the disk has no room to end."""
        need = SPARE_BYTES + _BYTES_A_CHUNK * chunks + manifest.vector_bytes()
        if self._folder is not None and shutil.disk_usage(self._folder).free < need:
            raise StoreFull(
                f"The disk of {self._folder} is full: about {need >> 20} MiB have to be free.",
                "Make room and run it again; what was stored before is kept.",
            )

    def _write(self, manifest: Manifest, ids: Sequence[str]) -> None:
        chunks = manifest.chunks(ids)
        vectors = manifest.vectors(ids)
        known = [item for item in ids if item in chunks]
        if not known:
            return
        self._collection.upsert(
            ids=known,
            embeddings=np.stack([vectors[item] for item in known]),
            documents=[chunks[item].text for item in known],
            metadatas=[_flat(chunks[item].source, chunks[item].metadata) for item in known],
        )

    def nearest(self, vector: np.ndarray, n: int) -> list[str]:
        """Return the ids of about ``n`` nearest chunks, best first."""
        found = self._collection.query(query_embeddings=[vector], n_results=n, include=[])
        return list(found["ids"][0])

    def healthy(self, manifest: Manifest) -> bool:
        """Tell whether the collection holds the chunks that it should, and finds some by themselves.

        Of a large one the number is compared and a few chunks are looked up: reading all ids takes too long.
        """
        count = manifest.count()
        if self._collection.count() != count:
            return False
        if count <= COMPARED_ALL and any(self.drift(manifest)):
            return False
        return self.finds_itself(manifest)

    def drift(self, manifest: Manifest) -> tuple[list[str], list[str]]:
        """Return the ids that the collection lacks, and those that it should not have."""
        held = set(self._collection.get(include=[])["ids"])
        wanted = set(manifest.ids())
        return sorted(wanted - held), sorted(held - wanted)

    def finds_itself(self, manifest: Manifest) -> bool:
        """Ask for a few chunks by their own vectors, which also makes Chroma write what it held back."""
        numbers = manifest.numbers()
        if not len(numbers):
            return True
        picked = {int(numbers[0]), int(numbers[len(numbers) // 2]), int(numbers[-1])}
        for candidate in manifest.candidates([], sorted(picked)):
            found = manifest.vectors(self.nearest(candidate.vector, 1))
            if not any(float(vector @ candidate.vector) > 0.999 for vector in found.values()):
                return False
        return True

    def clear(self) -> None:
        """Delete the collection."""
        self._client.delete_collection(self._collection.name)

    def close(self) -> None:
        """Let go of the collection's files."""
        cast("Client", self._client).close()


def connect(folder: Path, server: tuple[str, int] | None, spelling: int = 1) -> ClientAPI:
    """Open Chroma on a folder, or reach a server; telemetry off.

    Args:
        folder: The folder.
        server: Host and port; None opens the folder.
        spelling: Another number gives an engine of its own. Chroma shares one engine a path, refuses other
            settings for the same path, and hands out an engine again that failed to start.
    """
    call_nobody()
    import chromadb

    settings = chromadb.Settings(anonymized_telemetry=False)
    if server is not None:
        return chromadb.HttpClient(host=server[0], port=server[1], settings=settings)
    # Spelled unlike the path that somebody may open with langchain_chroma in the same process.
    return chromadb.PersistentClient(f"{folder.resolve()}{'/.' * spelling}", settings=settings)


def has_room(folder: Path) -> bool:
    """Tell whether Chroma can be opened in a folder without running into the end of the disk."""
    return shutil.disk_usage(folder).free >= SPARE_BYTES // 2


def remove_files(folder: Path) -> None:
    """Delete what Chroma keeps in ``folder``, and nothing else."""
    for path in folder.iterdir():
        if path.name.startswith("chroma.sqlite3"):
            path.unlink()
        elif path.is_dir() and _is_uuid(path.name):
            shutil.rmtree(path)


def checksums(folder: Path) -> dict[str, list[int]]:
    """Return length and CRC-32 of each file of Chroma's graphs in ``folder``.

    Chroma maps these files into memory unchecked, and damage in them ends the process; its database it checks
    itself. A graph that it never wrote, for want of changes, has files without meaning and is left out.
    """
    found = {}
    for path in sorted(folder.glob("*/*")):
        if _is_uuid(path.parent.name) and path.with_name("index_metadata.pickle").exists():
            found[f"{path.parent.name}/{path.name}"] = [path.stat().st_size, crc_of(path)]
    return found


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _flat(source: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that Chroma can hold: single values only."""
    plain = {key: value for key, value in metadata.items() if isinstance(value, str | int | float | bool)}
    return {**plain, "source": source}
