"""Reads files in child processes that can be killed: one that hangs, bursts or crashes costs itself alone."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from toolkit.documents.finding import hash_file, printable
from toolkit.documents.model import GAP, Extract, FoundFile, ParsedFile, ParseLimits, Section, build_documents
from toolkit.documents.worker import Overrun, Worker

# One more process is worth its start for so many files or bytes.
_FILES_A_WORKER = 40
_BYTES_A_WORKER = 1 << 20
_AHEAD = 16  # results that may wait for the consumer, who embeds meanwhile
_POLL_SECONDS = 0.1
_LEAST_SECONDS = 1.0


def parse_files(
    files: Sequence[FoundFile],
    *,
    limits: ParseLimits | None = None,
    workers: int | None = None,
    known: Mapping[str, str] | None = None,
) -> Iterator[ParsedFile]:
    """Read files in child processes, and give each as soon as it is done.

    With one worker the order is that of ``files``; with more it is the order in which they finish.
    Closing the iterator stops the workers.

    Args:
        files: What :func:`find_files` found.
        limits: What one file may cost; by default 30 s and 1 GiB.
        workers: Processes at once; by default as many as there are cores and work for.
        known: Source -> hash of files read before; one with the same hash is not read again.

    Yields:
        One result a file; where it could not be read, ``error`` says why.

    Example:
        >>> from toolkit.documents import find_files
        >>> for result in parse_files(find_files(["mybot/documents/kite.md"])):
        ...     print(result.documents[0].metadata["heading"], result.error)
        Storm kite None
    """
    crew = _Crew(list(files), limits or ParseLimits(), known or {})
    yield from crew.results(workers or _worth(files))


def _worth(files: Sequence[FoundFile]) -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    size = sum(file.size for file in files)
    return max(1, min(cores, 1 + len(files) // _FILES_A_WORKER + size // _BYTES_A_WORKER, len(files)))


class _Crew:
    """Threads that each keep one worker process busy."""

    def __init__(self, files: list[FoundFile], limits: ParseLimits, known: Mapping[str, str]) -> None:
        self._files = iter(files)
        self._count = len(files)
        self._limits = limits
        self._known = known
        self._lock = threading.Lock()
        self._done: queue.Queue[ParsedFile | BaseException] = queue.Queue(_AHEAD)
        self._stop = threading.Event()

    def results(self, workers: int) -> Iterator[ParsedFile]:
        threads = [threading.Thread(target=self._run, name="reader", daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self._count):
                result = self._done.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _run(self) -> None:
        worker = Worker(self._stop)
        try:
            while not self._stop.is_set():
                with self._lock:
                    file = next(self._files, None)
                if file is None:
                    break
                self._hand_over(self._parse(worker, file))
        except BaseException as error:  # noqa: BLE001, B036 - raised again in the thread that consumes
            self._hand_over(error)
        finally:
            worker.stop()

    def _hand_over(self, result: ParsedFile | BaseException) -> None:
        while not self._stop.is_set():
            try:
                return self._done.put(result, timeout=_POLL_SECONDS)
            except queue.Full:
                continue

    def _parse(self, worker: Worker, file: FoundFile) -> ParsedFile:
        most = self._limits.memory_bytes
        if file.problem:
            return _failed(file, file.problem)
        if file.size > most:
            return _failed(file, f"larger than the memory limit of {most >> 20} MiB")
        digest = ""
        if known := self._known.get(file.source):
            try:
                digest = hash_file(file.path)
            except OSError as error:
                return _failed(file, f"not readable ({error.strerror or error})")
            if digest == known:
                return ParsedFile(file.path, file.source, digest, "", [], unchanged=True)
        try:
            return _read(worker, file, self._limits)
        except Overrun as error:
            return _failed(file, str(error), digest)


def _failed(file: FoundFile, reason: str, digest: str = "") -> ParsedFile:
    return ParsedFile(file.path, file.source, digest, "", [], reason)


def _read(worker: Worker, file: FoundFile, limits: ParseLimits) -> ParsedFile:
    """Have one file read.

    Raises:
        Overrun: If it was stopped at a limit.
    """
    deadline = time.monotonic() + limits.seconds
    job = {
        "path": os.fsencode(os.path.abspath(file.path)).hex(),
        "name": printable(file.path.name),
        "seconds": limits.seconds,
        "memory_bytes": limits.memory_bytes,
    }
    reply = worker.ask(job, limits.seconds, limits.memory_bytes)
    digest = str(reply.get("sha256", ""))
    if error := reply.get("error"):
        return _failed(file, str(error), digest)
    extract = _members(worker, job, reply, deadline) if "members" in reply else _extract(reply)
    if not extract.sections:
        reason = "no file in the archive could be read: " + "; ".join(extract.warnings[:5])
        return _failed(file, reason if extract.warnings else "the archive is empty", digest)
    documents = build_documents(extract, file.source, digest)
    return ParsedFile(file.path, file.source, digest, extract.type, documents, None, extract.warnings)


def _extract(reply: dict[str, Any]) -> Extract:
    sections = [
        Section(text, start, tuple(heading), page, title, member, kind)
        for text, start, heading, page, title, member, kind in reply["sections"]
    ]
    return Extract(reply["type"], sections, reply["length"], reply["title"], reply["warnings"], reply["date"])


def _members(worker: Worker, job: dict[str, Any], listing: dict[str, Any], deadline: float) -> Extract:
    """Have an archive's members read, each a job of its own, all within the archive's time.

    A member may take half of the time that is left, so that one that hangs does not take the others along.
    """
    whole = Extract("zip", warnings=list(listing["warnings"]), date=listing["date"])
    members = listing["members"]
    for position, (number, label) in enumerate(members):
        left = deadline - time.monotonic()
        if left < _LEAST_SECONDS:
            whole.warnings.append(f"{len(members) - position} files from {label} on: no time left")
            break
        seconds = max(_LEAST_SECONDS, left / 2)
        inner = {**job, "member": number, "name": label.rpartition("/")[2], "seconds": seconds}
        try:
            reply = worker.ask(inner, seconds, int(job["memory_bytes"]))
        except Overrun as error:
            reply = {"error": str(error)}
        if reason := reply.get("error"):
            whole.warnings.append(f"{label}: {reason}")
            continue
        _append(whole, _extract(reply), label)
    return whole


def _append(whole: Extract, extract: Extract, label: str) -> None:
    base = whole.length + (len(GAP) if whole.length else 0)
    for section in extract.sections:
        whole.sections.append(
            replace(
                section,
                start=base + section.start,
                heading=(label, *section.heading),
                title=section.title or extract.title or label,
                member=label,
                type=extract.type,
                date=extract.date,
            )
        )
    whole.length = base + extract.length
    whole.warnings.extend(f"{label}: {warning}" for warning in extract.warnings)
