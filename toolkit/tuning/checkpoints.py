"""Checkpoints on the disk: each there whole, or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from toolkit.tuning.record import sha256_of

COMPLETE = "complete.json"
# Where a checkpoint is written before it gets its name.
UNFINISHED = ".unfinished"
# The trainer's own settings as a pickle. Nothing reads them, and what is not there cannot be opened.
_PICKLED_SETTINGS = "training_args.bin"


def last_complete_checkpoint(work: Path) -> str | None:
    """Return the newest checkpoint that is as it was written, or None.

    A checkpoint counts only where the record that was written last names all its files, and their content is that of
    the record: one that was torn, cut or changed is passed over for the one before.

    Args:
        work: The folder of a run.
    """
    folders = [folder for folder in work.glob("checkpoint-*") if folder.name.split("-")[1].isdigit()]
    for folder in sorted(folders, key=lambda folder: int(folder.name.split("-")[1]), reverse=True):
        if is_complete(folder):
            return str(folder)
    return None


def is_complete(folder: Path) -> bool:
    """Tell whether all files of a checkpoint are there as they were written."""
    try:
        written = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        return bool(written) and all(sha256_of(folder / name) == sha256 for name, sha256 in written.items())
    except (OSError, ValueError, AttributeError):
        return False


def clear_incomplete(work: Path) -> None:
    """Remove what a kill left of checkpoints: it only takes room, and hides whole ones from the count of those kept.

    Args:
        work: The folder of a run.
    """
    for folder in [work / UNFINISHED, *work.glob("checkpoint-*")]:
        if not is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)


def finish_checkpoint(fresh: Path, place: Path) -> None:
    """Give a checkpoint that was written aside its name, once all of it is on the disk.

    Files first, then the record that names them, then the name: after a kill or a power cut at any moment there is
    either no folder of that name or a whole one.

    Args:
        fresh: The folder that was written; on the same disk as ``place``.
        place: What it will be called; a checkpoint of the same step that was there is replaced.
    """
    for name in (_PICKLED_SETTINGS, COMPLETE):
        (fresh / name).unlink(missing_ok=True)
    files = sorted(file for file in fresh.rglob("*") if file.is_file())
    record = {file.relative_to(fresh).as_posix(): sha256_of(file) for file in files}
    sync_folder(fresh)
    (fresh / COMPLETE).write_text(json.dumps(record, indent=2), encoding="utf-8")
    sync_folder(fresh)
    shutil.rmtree(place, ignore_errors=True)  # it was passed over as damaged, or this run would be past its step
    fresh.rename(place)
    _sync(place.parent)


def sync_folder(folder: Path) -> None:
    """Wait until a folder, with all that is in it, is on the disk."""
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and writes their entries with the files
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
