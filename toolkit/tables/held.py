"""The tables of a knowledge folder, kept beside its manifest and made from it anew whenever that has changed."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.files import write_text
from toolkit.tables.model import Piece, Table, tables_of
from toolkit.tables.quantities import Measures

if TYPE_CHECKING:
    from toolkit.store.passages import Chunk

# Counted up when tables are read otherwise than before: what an earlier version kept is made anew.
_VERSION = 1


class HeldTables:
    """The tables of one knowledge folder. Safe to use from several threads.

    Args:
        folder: The knowledge folder.
        measures: Finds the amounts in cells.
    """

    def __init__(self, folder: Path, measures: Measures) -> None:
        self.folder = folder
        self.measures = measures
        self._seen: tuple[object, ...] = ()
        self._tables: list[Table] = []
        self._lock = threading.Lock()

    def tables(self) -> list[Table]:
        """Return the tables, the same list as before where nothing has changed.

        Raises:
            DataError: The manifest is damaged.
        """
        with self._lock:
            seen = self._state()
            if seen != self._seen:
                self._tables, self._seen = self._read(), seen
            return self._tables

    def _state(self) -> tuple[object, ...]:
        """Return what tells that the manifest was written to: cheap enough for every question."""
        from toolkit.store.manifest import FILE

        states = []
        for name in (FILE, f"{FILE}-wal"):
            with contextlib.suppress(OSError):
                status = (self.folder / name).stat()
                states.append((name, status.st_mtime_ns, status.st_size))
        return tuple(states)

    def _read(self) -> list[Table]:
        from toolkit.store.derived import TABLES
        from toolkit.store.manifest import Manifest

        manifest = Manifest(self.folder)
        try:
            numbers = manifest.numbers()
            # A number is never given again, so that these two name what the manifest holds.
            stamp = [_VERSION, len(numbers), int(numbers[-1]) if len(numbers) else 0, self.measures.language.name]
            kept = self._kept(self.folder / TABLES, stamp)
            if kept is not None:
                return kept
            ids = [chunk for record in manifest.sources().values() for chunk in record.chunk_ids]
            chunks = manifest.chunks(ids)
        finally:
            manifest.close()
        tables = tables_of((_piece(chunks[name]) for name in ids), self.measures)
        content = {"stamp": stamp, "tables": [table.to_dict() for table in tables]}
        with contextlib.suppress(OSError):  # a folder that cannot be written to is read all the same
            write_text(self.folder / TABLES, json.dumps(content, ensure_ascii=False) + "\n")
        return tables

    def _kept(self, file: Path, stamp: list[object]) -> list[Table] | None:
        """Return what was kept of this very state; None where nothing was."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["stamp"] == stamp:
                return [Table.from_dict(table, self.measures) for table in content["tables"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def chunks(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """Return passages by their ids, as the manifest keeps them."""
        from toolkit.store.manifest import Manifest

        manifest = Manifest(self.folder)
        try:
            return manifest.chunks(list(dict.fromkeys(ids)))
        finally:
            manifest.close()


def _piece(chunk: Chunk) -> Piece:
    heading, title = (str(chunk.metadata.get(name) or "") for name in ("heading", "title"))
    return Piece(chunk.id, chunk.source, heading, title, chunk.text)
