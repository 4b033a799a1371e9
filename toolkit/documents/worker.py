"""A child process that reads files, seen from its parent: asked, watched, and killed when it must be."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from toolkit.documents.child import receive, send

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit.documents.child import serve; serve()"
_WATCH_SECONDS = 0.1
_FAT_BYTES = 400 << 20  # a worker this large after a file is replaced


class Overrun(Exception):
    """A job was stopped; the message says at which limit."""


class Worker:
    """One child process and the pipe to it; started with the first job, replaced after a stop."""

    def __init__(self, cancelled: threading.Event | None = None) -> None:
        """Make a worker; its process starts with the first job, and a set ``cancelled`` ends one."""
        self._cancelled = cancelled or threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @property
    def pid(self) -> int | None:
        """Return the id of the process, or None where none runs."""
        return self._process.pid if self._process is not None else None

    def ask(self, job: dict[str, Any], seconds: float, memory_bytes: int) -> dict[str, Any]:
        """Send one job and wait for its answer.

        Raises:
            Overrun: If it took too long, grew too large, or the process died of it.
        """
        process = self._process or self._start()
        deadline = time.monotonic() + seconds
        # A write that fails means a process that is gone; then the listener says so.
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                send(process.stdin, job)
        while True:
            left = deadline - time.monotonic()
            try:
                reply = self._replies.get(timeout=max(0.0, min(_WATCH_SECONDS, left)))
            except queue.Empty:
                if self._cancelled.is_set():
                    self.stop()
                    raise Overrun("cancelled") from None
                if left <= 0:
                    self.stop()
                    raise Overrun(f"stopped after {seconds:g} s") from None
                if resident_bytes(process.pid) > memory_bytes:
                    self.stop()
                    raise Overrun(_too_large(memory_bytes)) from None
                continue
            return self._judged(reply, process, memory_bytes)

    def _judged(self, reply: Any, process: subprocess.Popen[bytes], memory_bytes: int) -> dict[str, Any]:
        if not isinstance(reply, dict):
            self.stop()
            raise Overrun(_cause_of_death(process.wait(), memory_bytes))
        if reply.get("error") == "memory":
            reply["error"] = _too_large(memory_bytes)
        if reply.get("restart") or resident_bytes(process.pid) > min(_FAT_BYTES, memory_bytes // 2):
            self.stop()
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        # -P keeps the working folder off the child's path: a document named `csv.py` must not be imported.
        command = [sys.executable, "-P", "-c", _START, str(_ROOT)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._process = process
        self._replies = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(process.stdout, self._replies), daemon=True).start()
        return process

    def stop(self) -> None:
        """Kill the process, if there is one, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


def _listen(stream: Any, replies: queue.SimpleQueue[Any]) -> None:
    """Pass on each reply; then None, when the process has closed its end."""
    with stream:
        try:
            while True:
                replies.put(receive(stream))
        except (EOFError, OSError, ValueError):
            replies.put(None)


def _too_large(memory_bytes: int) -> str:
    return f"stopped: it needed more than {memory_bytes >> 20} MiB of memory"


def _cause_of_death(code: int, memory_bytes: int) -> str:
    if code < 0:
        return f"the reader crashed (signal {-code}) or needed more than {memory_bytes >> 20} MiB of memory"
    return f"the reader ended early (exit code {code})"


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 where it is gone."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            return 0
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
