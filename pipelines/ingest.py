"""Documents into knowledge: only what changed is read, cut and embedded again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.inputs import find_documents
from pipelines.parts import Parts
from pipelines.steps import Step, digest
from toolkit.config import KnowledgeSettings
from toolkit.errors import DataError
from toolkit.progress import Progress
from toolkit.store import Knowledge, SourceUpdate

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from toolkit.documents import FoundFile
    from toolkit.embedding import Embedder


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


class IngestStep(Step[IngestReport]):
    """Brings the knowledge in step with the documents. What it was made from stands in its own manifest."""

    name = "ingest"

    def made_from(self, parts: Parts) -> str:
        """Name the documents by their content."""
        return digest(_hashes(parts.documents()))

    def is_fresh(self, parts: Parts) -> bool:
        """Look by hashes alone whether every file is held as it is, so that no model is loaded to do nothing."""
        assert parts.config.knowledge is not None
        held = _held(parts.config.knowledge, parts.folder.knowledge)
        return _same_names(held, parts.documents()) and digest(held) == self.made_from(parts)

    def kept(self, parts: Parts) -> IngestReport:
        """Return a report of nothing done."""
        return _unchanged(parts.folder.knowledge, parts.documents(), time.perf_counter())

    def run(self, parts: Parts) -> IngestReport:
        """Ingest; see :func:`ingest`."""
        settings, started = parts.config.knowledge, time.perf_counter()
        assert settings is not None
        knowledge = parts.hand_in(_make_knowledge(settings, parts.folder.knowledge, parts.embedder))
        return _fill(knowledge, settings, parts.documents(), started, parts.on_progress)

    def remarks(self, result: IngestReport, seconds: float) -> Iterator[str]:
        """Yield what was found."""
        yield (
            f"Documents: {len(result.added)} new, {len(result.changed)} changed, {len(result.unchanged)} unchanged, "
            f"{len(result.removed)} removed, {len(result.failed)} unreadable; {result.chunks} passages."
        )
        for source, reason in result.failed:
            yield f"Could not read {source}: {reason}"
        yield from result.mended


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
    from toolkit.embedding import as_embedder, load_embedder

    started = time.perf_counter()
    files = find_documents(settings)
    if embedder is None:
        held = _held(settings, folder)
        if _same_names(held, files) and held == _hashes(files):
            return _unchanged(folder, files, started)

    def used() -> Embedder:
        return load_embedder(settings.embedder) if embedder is None else as_embedder(embedder)

    with _make_knowledge(settings, folder, used) as knowledge:
        return _fill(knowledge, settings, files, started, on_progress)


def _version(settings: KnowledgeSettings) -> str:
    """Name what a file is cut into beside its content: another parser or longest passage, and it is cut anew."""
    from toolkit.documents import PARSER_VERSION

    return f"{PARSER_VERSION}/{settings.chunk_tokens}"


def _same_names(held: Mapping[str, str], files: Sequence[FoundFile]) -> bool:
    """Tell whether files were neither added nor taken away: else none of them need be read to know of a change."""
    return set(held) == {file.source for file in files}


def _hashes(files: Sequence[FoundFile]) -> dict[str, str]:
    """Name each file by its content; one that cannot be read has no name, and the ingest says why."""
    named = dict.fromkeys((file.source for file in files), "")
    for file in files:
        with contextlib.suppress(OSError), file.path.open("rb") as handle:
            named[file.source] = hashlib.file_digest(handle, "sha256").hexdigest()
    return named


def _held(settings: KnowledgeSettings, folder: Path) -> dict[str, str]:
    """Return the content that is held of each file; none where a closer look is needed."""
    from toolkit.embedding import BUNDLED, BUNDLED_NAME
    from toolkit.store.derived import DIRTY, SERVER
    from toolkit.store.layout import EMBEDDER
    from toolkit.store.manifest import FILE, Manifest

    if settings.embedder != BUNDLED or settings.chroma_host or not (folder / FILE).is_file():
        return {}
    version = _version(settings)
    manifest = Manifest(folder)
    try:
        identity = json.loads(manifest.setting(EMBEDDER) or "{}")
        clean = manifest.setting(DIRTY) == "0" and not manifest.pending_count() and not manifest.setting(SERVER)
        if not clean or identity.get("name") != BUNDLED_NAME or not manifest.count():
            return {}
        # One that was cut by another version is left out, so that it is missed.
        return {name: held.sha256 for name, held in manifest.sources().items() if held.parser_version == version}
    finally:
        manifest.close()


def _unchanged(folder: Path, files: Sequence[FoundFile], started: float) -> IngestReport:
    """Return the report of an ingest that had nothing to do."""
    from toolkit.store.manifest import Manifest

    manifest = Manifest(folder)
    try:
        report = IngestReport(unchanged=[file.source for file in files], chunks=manifest.count())
    finally:
        manifest.close()
    report.seconds = time.perf_counter() - started
    return report


def _make_knowledge(settings: KnowledgeSettings, folder: Path, embedder: Callable[[], Embedder]) -> Knowledge:
    """Return the knowledge to ingest into, made where there is none, or brought to where the settings say.

    Raises:
        IndexMismatch: The folder holds the knowledge of another embedder.
        StoreLocked: Another process is writing to it.
    """
    from toolkit.store.locking import refuse_if_locked

    refuse_if_locked(folder)  # before the embedder is loaded
    server: Any = (settings.chroma_host, settings.chroma_port) if settings.chroma_host else "folder"
    return Knowledge.create(folder, embedder(), server=server)


def _fill(
    knowledge: Knowledge,
    settings: KnowledgeSettings,
    files: Sequence[FoundFile],
    started: float,
    on_progress: Progress | None,
) -> IngestReport:
    """Take up new and changed files, and forget those that are gone.

    Raises:
        DataError: None can be read.
        StoreLocked: Another process is writing.
    """
    report, version = IngestReport(), _version(settings)
    with knowledge.writing():
        before = knowledge.sources()
        known = {name: record.sha256 for name, record in before.items() if record.parser_version == version}
        updates = _updates(knowledge, settings, files, known, report, on_progress)
        for source in knowledge.replace_sources(updates):
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


def _updates(
    knowledge: Knowledge,
    settings: KnowledgeSettings,
    files: Sequence[FoundFile],
    known: Mapping[str, str],
    report: IngestReport,
    on_progress: Progress | None,
) -> Iterator[SourceUpdate]:
    """Parse the files and cut those that changed, writing down what became of the others."""
    from toolkit.documents import ParseLimits, parse_files
    from toolkit.documents.chunking import chunk_documents

    embedder, version = knowledge.embedder, _version(settings)
    limits = ParseLimits(seconds=settings.parse_seconds, memory_bytes=settings.parse_megabytes << 20)
    for done, file in enumerate(parse_files(files, limits=limits, known=known), start=1):
        report.warnings.extend((file.source, remark) for remark in file.warnings)
        if file.unchanged:
            report.unchanged.append(file.source)
        elif file.error:
            report.failed.append((file.source, file.error))
        else:
            chunks = chunk_documents(
                file.documents,
                count_tokens=embedder.count_tokens,
                max_tokens=min(settings.chunk_tokens, embedder.max_tokens),
            )
            yield SourceUpdate(file.source, file.sha256, chunks, version)
        if on_progress:
            on_progress("Reading and embedding documents", done, len(files))
