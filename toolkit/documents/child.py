"""The process that reads files: jobs come in on standard input, results go out on what was standard output.

It imports neither torch nor LangChain, so it starts in a tenth of a second and is cheap to kill. Messages
are JSON behind a length of four bytes: nothing that a hostile file makes of this process is executed by
the one that asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import struct
import sys
from typing import IO, Any

from toolkit.documents.archive import Archive, is_archive
from toolkit.documents.dates import day_of_time
from toolkit.documents.model import MOST_TEXT, Extract, Unreadable

_HEADER = struct.Struct(">I")
_GRACE_SECONDS = 10


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    data = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    stream.write(_HEADER.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: If the other side is gone.
    """
    head = _exactly(stream, _HEADER.size)
    return json.loads(_exactly(stream, _HEADER.unpack(head)[0]))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def serve() -> None:
    """Answer jobs until standard input ends."""
    jobs = sys.stdin.buffer
    results = os.fdopen(os.dup(1), "wb")
    # Libraries print; what they print must not get into the results.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    reader = _Reader()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            job = receive(jobs)
            _limit_memory(int(job["memory_bytes"]))
            _alarm(float(job["seconds"]))
            send(results, reader.answer(job))
            _alarm(0)


def _alarm(seconds: float) -> None:
    """Die some time after the deadline even where the parent, who should have killed us, is dead itself."""
    if hasattr(signal, "alarm"):
        signal.alarm(int(seconds) + _GRACE_SECONDS if seconds else 0)


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent watches the resident size instead
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Reader:
    """Does jobs; an archive stays open between the jobs for its members."""

    def __init__(self) -> None:
        self._archive: Archive | None = None

    def answer(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job and say what came of it; only what kills the process gets past this."""
        try:
            return self._read(job)
        except Unreadable as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"not readable ({error.strerror or error})"}
        except MemoryError:
            return {"error": "memory", "restart": True}
        except RecursionError:
            return {"error": "its nesting is too deep", "restart": True}
        # Readers are libraries fed with any bytes at all: whichever way one fails, the file is named and
        # the run goes on. This is the one place where that is decided.
        except BaseException as error:  # noqa: BLE001, B036
            words = " ".join(str(error).split())[:200]
            return {"error": f"the reader failed ({type(error).__name__}: {words})", "restart": True}

    def _read(self, job: dict[str, Any]) -> dict[str, Any]:
        path = bytes.fromhex(job["path"])
        most = int(job["memory_bytes"])
        if (member := job.get("member")) is not None:
            if self._archive is None or self._archive.path != path:
                self._archive = Archive(path)
            extract = _read_bytes(self._archive.read(int(member), most // 4), job["name"])
            return _packed(extract, self._archive.date(int(member)))
        data, date = _load(path, most)
        digest = hashlib.sha256(data).hexdigest()
        try:
            if is_archive(data, job["name"]):
                del data  # it may be large, and the members are read from the file
                self._archive = Archive(path)
                members, warnings = self._archive.members()
                return {"sha256": digest, "members": members, "warnings": warnings, "date": date}
            return {"sha256": digest, **_packed(_read_bytes(data, job["name"]), date)}
        except Unreadable as error:
            return {"sha256": digest, "error": str(error)}


def _read_bytes(data: bytes, name: str) -> Extract:
    from toolkit.documents.readers import read_bytes

    return read_bytes(data, name)


def _load(path: bytes, most: int) -> tuple[bytes, str]:
    """Return a file's bytes and the day on which it was last written."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise Unreadable("not an ordinary file")
        if state.st_size > most:
            raise Unreadable(f"larger than the memory limit of {most >> 20} MiB")
        return file.read(), day_of_time(state.st_mtime)


def _packed(extract: Extract, date: str) -> dict[str, Any]:
    if extract.length > MOST_TEXT:
        raise Unreadable(f"more than {MOST_TEXT >> 20} MiB of text; split the file")
    sections = [[s.text, s.start, s.heading, s.page, s.title, s.member, s.type] for s in extract.sections]
    return {
        "type": extract.type,
        "title": extract.title,
        "length": extract.length,
        "warnings": extract.warnings,
        "date": extract.date or date,
        "sections": sections,
    }
