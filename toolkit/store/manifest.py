"""The manifest: one SQLite file that is the truth about what the store holds.

It keeps every chunk's text, metadata, words and vector, so that whatever is derived from it (the Chroma
collection, the BM25 index) can be thrown away and made again without reading or embedding a document.
A change is acknowledged when its transaction is on the disk, and not before.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DataError, StoreFull, StoreLocked
from toolkit.store.passages import Candidate, Chunk, SourceRecord

FILE = "manifest.sqlite3"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS source (
    source TEXT PRIMARY KEY, sha256 TEXT NOT NULL, parser_version TEXT NOT NULL);
-- AUTOINCREMENT: the number of a chunk that is gone is never given again, so an index that was derived
-- before a change can tell by the numbers alone what it lacks.
CREATE TABLE IF NOT EXISTS chunk (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    position INTEGER NOT NULL, text TEXT NOT NULL, metadata TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS chunk_source ON chunk (source, position);
CREATE INDEX IF NOT EXISTS chunk_digest ON chunk (digest);
-- What embedding a text gave, by the hash of the text: chunks of the same text share it.
CREATE TABLE IF NOT EXISTS embedded (digest TEXT PRIMARY KEY, vector BLOB NOT NULL, words BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS word (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
-- What the Chroma collection has still to be told: written with the change, deleted when it was told.
CREATE TABLE IF NOT EXISTS pending (id TEXT PRIMARY KEY, gone INTEGER NOT NULL);
"""


class Manifest:
    """Access to the manifest of one knowledge folder. Safe to use from several threads.

    Args:
        folder: The knowledge folder; it must exist.

    Raises:
        DataError: The file is no manifest, or one of a later version.
        StoreFull: The disk has no room for it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._depth = 0
        self.read_only = False
        try:
            self._db = self._open(str(self.path))
        except StoreFull:
            log = self.path.with_name(f"{FILE}-wal")
            if not self.path.exists() or (log.exists() and log.stat().st_size):
                raise
            # No room even for the log's index: what was stored can still be read.
            self.read_only = True
            self._db = self._open(f"{self.path.resolve().as_uri()}?mode=ro&immutable=1")
        version = self.setting("schema_version")
        if version is not None and int(version) > SCHEMA_VERSION:
            self.close()
            raise DataError(
                f"{self.path} was written by a later version.", "Update housevoice, or ingest again."
            )

    def _open(self, address: str) -> sqlite3.Connection:
        """Open the file, and lay out its tables where there are none."""
        db = sqlite3.connect(
            address, timeout=2.0, isolation_level=None, check_same_thread=False, uri=self.read_only
        )
        with self._errors():
            db.execute("PRAGMA temp_store=MEMORY")
            # A search reads a few hundred vectors from all over the file: map it rather than copy pages.
            db.execute(f"PRAGMA mmap_size={1 << 32}")
            if not self.read_only:
                db.execute("PRAGMA journal_mode=WAL")
            # FULL: a committed change survives a power cut, not only a killed process.
            db.execute("PRAGMA synchronous=FULL")
            # What was removed is overwritten, not only forgotten.
            db.execute("PRAGMA secure_delete=ON")
            db.execute("CREATE TEMP TABLE loose (digest TEXT PRIMARY KEY)")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'pending'").fetchone():
                db.executescript(_SCHEMA)
        return db

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
                raise StoreFull(
                    f"The disk of {self.path.parent} is full or failing: {error}.",
                    "Make room and run it again; what was stored before is kept.",
                ) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreLocked(
                    f"{self.path.parent} is being written to.", "Wait for the other to end."
                ) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise DataError(
                    f"{self.path} is damaged: {error}.", "Restore it, or remove it and ingest again."
                ) from (error)
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside happen together, or not at all; may be nested.

        Raises:
            StoreFull: The disk is full; nothing of the transaction was kept.
            StoreLocked: Another process is writing.
        """
        with self._lock, self._errors():
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0 and self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._errors():
            return self._db.execute(sql, values).fetchall()

    def _run(self, sql: str, values: Sequence[Any] = ()) -> None:
        with self.transaction():
            self._db.execute(sql, values)

    def _many(self, sql: str, rows: Sequence[Any]) -> None:
        with self.transaction():
            self._db.executemany(sql, rows)

    # Settings

    def setting(self, key: str) -> str | None:
        """Return a setting, or None where it was never set."""
        rows = self._all("SELECT value FROM setting WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def set_setting(self, key: str, value: str) -> None:
        """Set a setting."""
        self._run("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))

    # Sources

    def sources(self) -> dict[str, SourceRecord]:
        """Return the record of every source, sorted by name."""
        chunks: dict[str, list[str]] = {}
        with self._lock:
            for source, chunk in self._all("SELECT source, id FROM chunk ORDER BY source, position, number"):
                chunks.setdefault(source, []).append(chunk)
            rows = self._all("SELECT source, sha256, parser_version FROM source ORDER BY source")
        return {row[0]: SourceRecord(row[0], row[1], row[2], tuple(chunks.get(row[0], ()))) for row in rows}

    def put_source(self, source: str, sha256: str, parser_version: str) -> None:
        """Write the record of a source."""
        self._run("INSERT OR REPLACE INTO source VALUES (?, ?, ?)", (source, sha256, parser_version))

    def drop_source(self, source: str) -> None:
        """Forget a source and its chunks."""
        with self.transaction():
            self.drop_chunks(self.ids_of(source))
            self._run("DELETE FROM source WHERE source = ?", (source,))
            self.sweep()

    # Chunks

    def owner(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the source of each of ``ids`` that the store holds."""
        return {row[0]: row[1] for row in self._some("SELECT id, source FROM chunk WHERE id IN", ids)}

    def _some(self, sql: str, keys: Sequence[Any]) -> Iterator[Any]:
        """Run a query that ends in ``IN`` over any number of keys."""
        for start in range(0, len(keys), 500):
            part = list(keys[start : start + 500])
            yield from self._all(f"{sql} ({','.join('?' * len(part))})", part)

    def put_embedded(self, digests: Sequence[str], vectors: np.ndarray, words: Sequence[np.ndarray]) -> None:
        """Keep what embedding texts gave.

        Args:
            digests: Hash of each text.
            vectors: Shape ``(len(digests), dimension)``, float32.
            words: Numbers of the words of each text, in its order, int32.
        """
        rows = [
            (digest, vectors[index].tobytes(), words[index].astype(np.int32).tobytes())
            for index, digest in enumerate(digests)
        ]
        self._many("INSERT OR REPLACE INTO embedded VALUES (?, ?, ?)", rows)

    def put_chunks(self, chunks: Sequence[Chunk], first: int) -> None:
        """Write chunks of one source, replacing those of the same id; what embeds them must be kept already.

        Args:
            chunks: What to write.
            first: Position of the first of them in its source.
        """
        rows = [
            (
                c.id,
                c.source,
                first + index,
                c.text,
                json.dumps(c.metadata, ensure_ascii=False, default=str),
                c.digest,
            )
            for index, c in enumerate(chunks)
        ]
        with self.transaction():
            self.drop_chunks([chunk.id for chunk in chunks])
            self._many(
                "INSERT INTO chunk (id, source, position, text, metadata, digest) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._many("INSERT OR REPLACE INTO pending VALUES (?, 0)", [(row[0],) for row in rows])

    def drop_chunks(self, ids: Sequence[str]) -> None:
        """Delete chunks; call :meth:`sweep` when the change is complete."""
        with self.transaction():
            held = list(self.owner(ids))
            self._many(
                "INSERT OR IGNORE INTO loose SELECT digest FROM chunk WHERE id = ?",
                [(item,) for item in held],
            )
            self._many("DELETE FROM chunk WHERE id = ?", [(item,) for item in held])
            self._many("INSERT OR REPLACE INTO pending VALUES (?, 1)", [(item,) for item in held])

    def sweep(self) -> None:
        """Delete what was kept of texts that no chunk has any more."""
        with self.transaction():
            self._db.execute(
                "DELETE FROM embedded WHERE digest IN (SELECT digest FROM loose)"
                " AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.digest = embedded.digest)"
            )
            self._db.execute("DELETE FROM loose")

    def count(self) -> int:
        """Return the number of chunks."""
        return self._all("SELECT count(*) FROM chunk")[0][0]

    def vector_bytes(self) -> int:
        """Return about how many bytes the vectors of all chunks take."""
        rows = self._all("SELECT length(vector) FROM embedded LIMIT 1")
        return self.count() * rows[0][0] if rows else 0

    def chunks(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """Return those of ``ids`` that the store holds."""
        rows = self._some("SELECT id, source, text, metadata, digest FROM chunk WHERE id IN", ids)
        return {row[0]: Chunk(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows}

    def ids(self, limit: int = -1) -> list[str]:
        """Return the ids of all chunks, or of some of them, in no order."""
        return [row[0] for row in self._all("SELECT id FROM chunk LIMIT ?", (limit,))]

    def ids_of(self, source: str) -> list[str]:
        """Return the ids of a source's chunks, in the order of the text."""
        return [
            row[0]
            for row in self._all("SELECT id FROM chunk WHERE source = ? ORDER BY position, number", (source,))
        ]

    def next_position(self, source: str) -> int:
        """Return the position after the last chunk of a source."""
        return self._all("SELECT coalesce(max(position) + 1, 0) FROM chunk WHERE source = ?", (source,))[0][0]

    def vectors(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors of those of ``ids`` that the store holds."""
        rows = self._some("SELECT id, vector FROM chunk JOIN embedded USING (digest) WHERE id IN", ids)
        return {row[0]: np.frombuffer(row[1], dtype=np.float32) for row in rows}

    def candidates(self, ids: Sequence[str], numbers: Sequence[int]) -> list[Candidate]:
        """Return the candidates of a search, by their ids or numbers, each once."""
        columns = "SELECT number, id, vector FROM chunk JOIN embedded USING (digest) WHERE"
        rows = {row[0]: row for row in self._some(f"{columns} id IN", ids)}
        rows |= {
            row[0]: row for row in self._some(f"{columns} number IN", [n for n in numbers if n not in rows])
        }
        return [Candidate(row[0], row[1], np.frombuffer(row[2], np.float32)) for row in rows.values()]

    def numbers(self, where: str = "1", values: Sequence[Any] = ()) -> np.ndarray:
        """Return the numbers of the chunks for which an SQL condition holds, in order, int64."""
        rows = self._all(f"SELECT number FROM chunk WHERE {where}", values)
        return np.sort(np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows)))

    def words_of(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Return the word numbers of chunks, in the order of ``numbers``."""
        rows = self._some(
            "SELECT number, words FROM chunk JOIN embedded USING (digest) WHERE number IN", numbers.tolist()
        )
        found = {row[0]: np.frombuffer(row[1], dtype=np.int32) for row in rows}
        return [found[number] for number in numbers.tolist()]

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """Yield source, heading and text of every chunk, by source and in the order of the text."""
        for source in [row[0] for row in self._all("SELECT source FROM source ORDER BY source")]:
            for text, raw in self._all(
                "SELECT text, metadata FROM chunk WHERE source = ? ORDER BY position, number", (source,)
            ):
                yield source, str(json.loads(raw).get("heading") or ""), text

    def known_digests(self, digests: Sequence[str]) -> set[str]:
        """Return those digests whose text was embedded before."""
        return {
            row[0]
            for row in self._some("SELECT digest FROM embedded WHERE digest IN", list(dict.fromkeys(digests)))
        }

    def neighbours(self, chunk: str, distance: int) -> list[Chunk]:
        """Return the chunks up to ``distance`` places before and after one in its source, itself included."""
        rows = self._all(
            "SELECT other.id, other.source, other.text, other.metadata, other.digest FROM chunk"
            " JOIN chunk AS other ON other.source = chunk.source"
            " AND other.position BETWEEN chunk.position - ? AND chunk.position + ?"
            " WHERE chunk.id = ? ORDER BY other.position",
            (distance, distance, chunk),
        )
        return [Chunk(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows]

    # What the Chroma collection has still to be told

    def pending_count(self) -> int:
        """Return the number of changes that the collection has still to be told."""
        return self._all("SELECT count(*) FROM pending")[0][0]

    def pending(self, limit: int) -> tuple[list[str], list[str]]:
        """Return up to ``limit`` ids to write and to delete in the collection."""
        rows = self._all("SELECT id, gone FROM pending LIMIT ?", (limit,))
        return [row[0] for row in rows if not row[1]], [row[0] for row in rows if row[1]]

    def tell(self, write: Sequence[str], gone: Sequence[str]) -> None:
        """Note that the collection has to be told of chunks to write and to delete."""
        self._many(
            "INSERT OR REPLACE INTO pending VALUES (?, ?)", [(i, 0) for i in write] + [(i, 1) for i in gone]
        )

    def tell_all(self) -> None:
        """Note that a new collection has to be told of everything."""
        with self.transaction():
            self._db.execute("DELETE FROM pending")
            self._db.execute("INSERT INTO pending SELECT id, 0 FROM chunk")

    def told(self, ids: Sequence[str]) -> None:
        """Note that the collection has been told of ``ids``."""
        with self.transaction():
            self._db.executemany("DELETE FROM pending WHERE id = ?", [(item,) for item in ids])

    def data_version(self) -> int:
        """Return a number that changes when another process has changed the file."""
        return self._all("PRAGMA data_version")[0][0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # Words

    def words(self, start: int) -> dict[str, int]:
        """Return the words numbered ``start`` and up."""
        return {
            row[0]: row[1] for row in self._all("SELECT word, number FROM word WHERE number >= ?", (start,))
        }

    def add_words(self, numbers: Mapping[str, int]) -> None:
        """Write new words."""
        with self.transaction():
            self._db.executemany("INSERT INTO word (word, number) VALUES (?, ?)", list(numbers.items()))
