"""One writer at a time: a lock that the operating system drops with the process that holds it, however it dies."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from toolkit.errors import StoreLocked

LOCK_FILE = "writer.lock"
LOCK_SECONDS = 1.0


def lock_of(folder: Path, timeout: float = LOCK_SECONDS) -> FileLock:
    """Return the writer's lock of a knowledge folder, not yet taken; it waits for ``timeout`` seconds."""
    return FileLock(folder / LOCK_FILE, timeout=timeout, thread_local=False)


def refuse_if_locked(folder: Path) -> None:
    """Leave at once where another process is writing: before a model is loaded for work that cannot be done.

    Raises:
        StoreLocked: Another process is writing.
    """
    if not (folder / LOCK_FILE).exists():
        return
    try:
        with lock_of(folder, timeout=LOCK_SECONDS):
            pass
    except Timeout:
        raise lock_refused(folder) from None


def lock_refused(folder: Path) -> StoreLocked:
    """Return the error of a writer that finds another one at work."""
    return StoreLocked(
        f"{folder} is locked: another process is writing to it.", "Wait for it to end, then run this again."
    )
