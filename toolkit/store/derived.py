"""Keeping the Chroma collection in step with the manifest: opened, checked, repaired, or done without."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from toolkit.errors import HousevoiceError, ModelError, StoreFull
from toolkit.progress import Progress
from toolkit.store.dense import (
    BATCH,
    COLLECTION,
    DenseIndex,
    checksums,
    connect,
    has_room,
    remove_files,
)
from toolkit.store.manifest import Manifest

DIRTY = "dirty"
SERVER = "server"
FILES = "files"
COLLECTION_NAME = "collection"
SYNC_THRESHOLD = "sync_threshold"
# What `toolkit.tables` makes of the manifest.
TABLES = "tables.json"
RETRY_SECONDS = 30.0


# What Chroma was seen to raise over damaged files; AttributeError comes from its clean-up of a failed start.
_FAULTS = (RuntimeError, ValueError, KeyError, TypeError, OSError, AttributeError, sqlite3.Error)


class _CollectionError(Exception):
    """Chroma failed; whatever it raised is the cause."""


class DerivedCollection:
    """The collection of one knowledge folder.

    While it cannot be trusted (another process writes, the disk is full, it is damaged and the lock is held)
    :attr:`usable` is false, and the vectors of the manifest are searched instead.

    Args:
        folder: The knowledge folder.
        manifest: Its manifest.
        notes: Where to say what was found and mended.
    """

    def __init__(self, folder: Path, manifest: Manifest, notes: list[str]) -> None:
        self._folder = folder
        self._manifest = manifest
        self._notes = notes
        self._index: DenseIndex | None = None
        self._spelling = 1
        self._server = server_of(manifest)
        self._failed_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether the collection may be asked."""
        return self._index is not None

    @property
    def dirty(self) -> bool:
        """Whether a writer has begun and not ended: it is at work, or was killed."""
        return self._manifest.setting(DIRTY) == "1"

    def open(self) -> bool:
        """Open the collection and check it.

        Returns:
            Whether it is fit for use; if not, :meth:`repair` it while holding the writer's lock.

        Raises:
            ModelError: The Chroma server cannot be reached.
        """
        self.close()
        if self._server is None and not has_room(self._folder):
            self._notes.append("The disk is full: searching without the Chroma collection.")
            return True
        if self.dirty or self._manifest.pending_count():
            return False
        if not self._intact():
            self._note("Files of the Chroma collection are not as they were written.")
            return False
        try:
            with _chroma_errors():
                index = self._connect()
                if index.healthy(self._manifest):
                    self._index = index
                    return True
                index.close()
        except _CollectionError as error:
            self._note(f"The Chroma collection cannot be used: {error}.")
        return False

    def try_again(self) -> None:
        """Reach for a server that failed in the middle of the work, now and then: it may be back."""
        if self._server is None or self.usable or time.monotonic() - self._failed_at < RETRY_SECONDS:
            return
        self._failed_at = time.monotonic()
        with contextlib.suppress(ModelError):
            self.open()

    def _note(self, text: str) -> None:
        """Say something once."""
        if text not in self._notes:
            self._notes.append(text)

    def open_for_writing(self, on_progress: Progress | None = None) -> None:
        """Open the collection, and repair it where that is needed; the writer's lock must be held.

        Raises:
            StoreFull: The disk has no room to write to.
        """
        # Whoever holds the lock and finds the mark of a writer knows that the writer is dead.
        if self.dirty or not (self.usable or (self.open() and self.usable)):
            self.repair(on_progress)

    def repair(self, on_progress: Progress | None = None) -> None:
        """Bring the collection back in step; to be called while holding the writer's lock.

        A collection that a killed writer left is not looked at but made again: its files may be torn in ways
        that show later only. Nothing is embedded for it.

        Raises:
            StoreFull: The disk has no room for it.
        """
        self.close()
        if self._server is None and not has_room(self._folder):
            raise StoreFull(
                f"The disk of {self._folder} is full.", "Make room and open it again; nothing is lost."
            )
        if not self.dirty and self._intact() and self._mended():
            return
        self._manifest.set_setting(DIRTY, "1")
        count = self._manifest.count()
        if count:
            self._notes.append(f"The Chroma collection was made again from the manifest ({count} passages).")
        self._rebuild(on_progress)
        self._sign()

    def _intact(self) -> bool:
        """Tell whether the files of the collection are those that the last writer left."""
        kept = self._manifest.setting(FILES)
        return not kept or self._server is not None or json.loads(kept) == checksums(self._folder)

    def _sign(self) -> None:
        """Note that a writer ended, and what its files look like; a collection that fails stays dirty."""
        try:
            with _chroma_errors():
                found = self._index is not None and self._index.finds_itself(self._manifest)
        except _CollectionError:
            found = False
        if not found:
            self._note("The Chroma collection does not find what was written and will be made again.")
            self.close()
            return
        files = checksums(self._folder) if self._server is None else {}
        with self._manifest.transaction():
            self._manifest.set_setting(FILES, json.dumps(files))
            self._manifest.set_setting(DIRTY, "0")

    def _mended(self) -> bool:
        """Try to mend a drift by telling the collection what it lacks."""
        try:
            with _chroma_errors():
                index = self._connect()
                lacks, extra = index.drift(self._manifest)
                if len(lacks) + len(extra) <= BATCH:
                    self._manifest.tell(lacks, extra)
                    index.catch_up(self._manifest)
                    if index.healthy(self._manifest):
                        self._index = index
                        self._sign()
                        self._notes.append(
                            f"Drift repaired: {len(lacks)} passages written, {len(extra)} deleted."
                        )
                        return True
                index.close()
        except _CollectionError:
            pass
        return False

    def _rebuild(self, on_progress: Progress | None) -> None:
        """Make the collection again."""
        if self._server is None:
            remove_files(self._folder)
        else:
            with contextlib.suppress(_CollectionError), _chroma_errors():
                self._connect().clear()
        # Chroma would hand out the engine again that has the files open which were removed.
        self._spelling += 1
        self._manifest.tell_all()
        try:
            with _chroma_errors():
                self._index = self._connect()
                self._index.catch_up(self._manifest, on_progress)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> DenseIndex:
        threshold = self._manifest.setting(SYNC_THRESHOLD)
        try:
            client = connect(self._folder, self._server, self._spelling)
        except BaseException as error:
            self._spelling += 1
            if self._server is None or not isinstance(error, ValueError):
                raise
            host, port = self._server
            raise ModelError(
                f"The Chroma server {host}:{port} cannot be reached: {error}.",
                "Start it, or correct host and port.",
            ) from error
        name = self._manifest.setting(COLLECTION_NAME) or COLLECTION
        folder = self._folder if self._server is None else None
        return DenseIndex(client, name, folder, int(threshold) if threshold else None)

    def begin(self) -> None:
        """Note that a writer begins; to be called before its first change."""
        (self._folder / TABLES).unlink(missing_ok=True)  # what is removed must not stay there
        if not self.dirty:
            self._manifest.set_setting(DIRTY, "1")

    def follow(self, *, end: bool, on_progress: Progress | None = None) -> None:
        """Tell the collection of the changes so far, where they are many or the writer ends.

        Raises:
            StoreFull: The disk has no room for it; the manifest has everything.
        """
        waiting = self._manifest.pending_count()
        if self._index is None or (not end and waiting < BATCH):
            return
        try:
            if waiting:
                with _chroma_errors():
                    self._index.catch_up(self._manifest, on_progress)
        except _CollectionError as error:
            full = self._server is None and not has_room(self._folder)
            self.close()
            if full:
                raise StoreFull(
                    f"The disk of {self._folder} is full.", "Make room and run it again; nothing is lost."
                ) from error
            self._notes.append(
                f"The Chroma collection failed and will be made again on the next open: {error}."
            )
            return
        except HousevoiceError:
            self.close()
            raise
        if end:
            self._sign()

    def nearest(self, vector: np.ndarray, n: int) -> list[str] | None:
        """Return the ids of about ``n`` nearest chunks; None where the collection cannot be asked."""
        if self._index is None:
            return None
        try:
            with _chroma_errors():
                return self._index.nearest(vector, n)
        except _CollectionError as error:
            self._note(f"The Chroma collection cannot be used: {error}.")
            self._failed_at = time.monotonic()
            self.close()
            return None

    def close(self) -> None:
        """Let go of the collection."""
        index, self._index = self._index, None
        if index is not None:
            with contextlib.suppress(_CollectionError), _chroma_errors():
                index.close()


def server_of(manifest: Manifest) -> tuple[str, int] | None:
    """Return host and port of the server that the collection is on, or None where it is in the folder."""
    raw = manifest.setting(SERVER)
    if not raw:
        return None
    host, port = json.loads(raw)
    return str(host), int(port)


def forget_collection(folder: Path, manifest: Manifest) -> None:
    """Delete the collection where it is now; a server that is gone is left alone. The lock must be held."""
    server = server_of(manifest)
    if server is None:
        remove_files(folder)
        return
    name = manifest.setting(COLLECTION_NAME) or COLLECTION
    with contextlib.suppress(_CollectionError), _chroma_errors():
        client = connect(folder, server)
        client.delete_collection(name)


@contextmanager
def _chroma_errors() -> Iterator[None]:
    """Turn whatever a damaged collection makes Chroma raise into one error."""
    from chromadb.errors import ChromaError
    from httpx import HTTPError

    try:
        yield
    except (ChromaError, HTTPError) as error:
        raise _CollectionError(_first_line(error)) from error
    except _FAULTS as error:
        raise _CollectionError(_first_line(error)) from error
    except BaseException as error:
        # Chroma's engine is Rust: its panics come as an exception that is no Exception. What a server or a
        # proxy before it says that Chroma does not know, its client raises as a bare Exception.
        if type(error) is Exception:
            raise _CollectionError(_first_line(error)) from error
        if type(error).__name__ != "PanicException":
            raise
        raise _CollectionError(f"its engine stopped: {error}") from error


def _first_line(error: BaseException) -> str:
    """Return what an error says, or its kind where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
