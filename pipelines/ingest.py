"""Documents into knowledge: only what changed is read, cut and embedded again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.config import KnowledgeSettings
from toolkit.errors import DataError
from toolkit.progress import Progress
from toolkit.store import Knowledge

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from toolkit.documents import FoundFile


@dataclass
class IngestReport:
    """What an ingest did.

    Attributes:
        added: Sources that are new.
        changed: Sources whose content changed.
        unchanged: Sources that were left as they are.
        removed: Sources whose file is gone.
        failed: Source and reason of each file that could not be read.
        warnings: Source and remark of files that were read with a loss.
        mended: What was found damaged in the store and repaired.
        chunks: Passages held afterwards.
        seconds: Time taken, in seconds.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0


def find_documents(settings: KnowledgeSettings) -> list[FoundFile]:
    """Return the files that the ``knowledge`` section names.

    Raises:
        DataError: There is none.
    """
    from toolkit.documents import find_files

    if not settings.documents.exists() and not any(letter in str(settings.documents) for letter in "*?["):
        raise DataError(f"{settings.documents} does not exist.", "Put documents there, or change knowledge.documents.")
    files = find_files([settings.documents])
    if not files:
        raise DataError(f"{settings.documents} holds no documents.", "Put some there, or change knowledge.documents.")
    return files


def _all_held(settings: KnowledgeSettings, folder: Path, files: Sequence[FoundFile], version: str) -> int:
    """Look by hashes alone whether every file is held as it is, so that no model is loaded to do nothing.

    Returns:
        The number of passages; 0 where a closer look is needed.
    """
    from toolkit.embedding import BUNDLED, BUNDLED_NAME
    from toolkit.store.derived import DIRTY, SERVER
    from toolkit.store.layout import EMBEDDER
    from toolkit.store.manifest import FILE, Manifest

    if settings.embedder != BUNDLED or settings.chroma_host or not (folder / FILE).is_file():
        return 0
    manifest = Manifest(folder)
    try:
        identity = json.loads(manifest.setting(EMBEDDER) or "{}")
        clean = manifest.setting(DIRTY) == "0" and not manifest.pending_count() and not manifest.setting(SERVER)
        held = {name: record.sha256 for name, record in manifest.sources().items() if record.parser_version == version}
        if not clean or identity.get("name") != BUNDLED_NAME or set(held) != {file.source for file in files}:
            return 0
        for file in files:
            with file.path.open("rb") as handle:
                if hashlib.file_digest(handle, "sha256").hexdigest() != held[file.source]:
                    return 0
        return manifest.count()
    except OSError:
        return 0
    finally:
        manifest.close()


def ingest(
    settings: KnowledgeSettings,
    folder: Path,
    *,
    embedder: Embeddings | None = None,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Bring the knowledge in ``folder`` in step with the documents.

    A file that cannot be read is named with its reason and the rest goes in.

    Args:
        settings: The ``knowledge`` section of ``bot.yaml``.
        folder: The knowledge folder.
        embedder: What embeds the passages; None loads the one that ``settings`` name.
        on_progress: Called after each file.

    Raises:
        DataError: There is no document, or none that can be read.
        IndexMismatch: The folder holds the knowledge of another embedder.
        ModelError: The embedder cannot be loaded, or the Chroma server cannot be reached.
        StoreLocked: Another process is writing to it.
    """
    from toolkit.documents import PARSER_VERSION, ParseLimits, parse_files
    from toolkit.documents.chunking import chunk_documents
    from toolkit.embedding import as_embedder, load_embedder
    from toolkit.store import SourceUpdate
    from toolkit.store.locking import refuse_if_locked

    started = time.perf_counter()
    files = find_documents(settings)
    # What a file is cut into depends on the parser and on the longest passage: either one changed, it is cut anew.
    version = f"{PARSER_VERSION}/{settings.chunk_tokens}"
    report = IngestReport()
    if embedder is None and (chunks := _all_held(settings, folder, files, version)):
        report.unchanged, report.chunks = [file.source for file in files], chunks
        report.seconds = time.perf_counter() - started
        return report
    refuse_if_locked(folder)
    used = load_embedder(settings.embedder) if embedder is None else as_embedder(embedder)
    limits = ParseLimits(seconds=settings.parse_seconds, memory_bytes=settings.parse_megabytes << 20)
    server: Any = (settings.chroma_host, settings.chroma_port) if settings.chroma_host else "folder"
    with Knowledge.create(folder, used, server=server) as knowledge, knowledge.writing():
        before = knowledge.sources()
        known = {name: record.sha256 for name, record in before.items() if record.parser_version == version}

        def updates() -> Iterator[SourceUpdate]:
            for done, file in enumerate(parse_files(files, limits=limits, known=known), start=1):
                report.warnings.extend((file.source, remark) for remark in file.warnings)
                if file.unchanged:
                    report.unchanged.append(file.source)
                elif file.error:
                    report.failed.append((file.source, file.error))
                else:
                    chunks = chunk_documents(
                        file.documents,
                        count_tokens=used.count_tokens,
                        max_tokens=min(settings.chunk_tokens, used.max_tokens),
                    )
                    yield SourceUpdate(file.source, file.sha256, chunks, version)
                if on_progress:
                    on_progress("Reading and embedding documents", done, len(files))

        for source in knowledge.replace_sources(updates()):
            (report.changed if source in before else report.added).append(source)
        present = {file.source for file in files}
        for source in sorted(set(before) - present):
            knowledge.remove(source)
            report.removed.append(source)
        report.chunks = knowledge.count()
        report.mended = list(knowledge.notes)
    if not report.chunks:
        reasons = "\n".join(f"  - {source}: {reason}" for source, reason in report.failed[:20])
        raise DataError(f"No document in {settings.documents} could be read:\n{reasons}", "Add one with text in it.")
    report.seconds = time.perf_counter() - started
    return report
