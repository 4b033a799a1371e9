"""Finds the files to read: folders, globs and single files, each under a name that citations can use."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.documents.model import FoundFile
from toolkit.errors import DataError

_LITTER = {"__pycache__", "node_modules", "thumbs.db", "desktop.ini", "__macosx"}
_GLOB_SIGNS = "*?["
_BLOCK = 1 << 20


def find_files(inputs: Sequence[Path | str]) -> list[FoundFile]:
    """List the files below the inputs, sorted, each once.

    Hidden files and folders and what systems leave about are passed over in silence. A pipe, a device
    or a link that leads out of its folder is listed with the reason why it will not be opened.

    Args:
        inputs: Folders, files, or patterns such as ``docs/**/*.md``.

    Returns:
        Found files; ``source`` is the posix path below the folder given (below the part before the first
        wildcard of a pattern). Where two inputs would give the same source, the folder's name is put before.

    Raises:
        DataError: If an input does not exist or a pattern matches nothing.
    """
    found: list[FoundFile] = []
    taken: dict[str, Path] = {}
    for entry in inputs:
        base, files = _expand(entry)
        for path, problem in files:
            real = Path(os.path.abspath(path))
            source = printable(os.path.relpath(real, base))
            if taken.get(source, real) != real:
                source = printable(os.path.join(base.name, os.path.relpath(real, base)))
            if taken.get(source, real) != real:
                source = printable(str(real))
            if source not in taken:
                taken[source] = real
                found.append(FoundFile(path, source, _size(path), problem))
    return sorted(found, key=lambda file: file.source)


def printable(name: str) -> str:
    """Write a path with slashes, and with escapes for what would break a line or a database.

    Names are bytes to the system; those that are no UTF-8 arrive here as lone surrogates.
    """
    name = name.replace(os.sep, "/")
    if name.isprintable():
        return name
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
    return "".join(shown)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hex digits.

    Raises:
        OSError: If it cannot be read or is no ordinary file.
    """
    digest = hashlib.sha256()
    # Without O_NONBLOCK, opening a pipe that took a file's place would wait for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is not an ordinary file")
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _expand(entry: Path | str) -> tuple[Path, Iterator[tuple[Path, str | None]]]:
    """Return the folder that sources are relative to, and the files of one input."""
    path = Path(entry).expanduser()
    if path.is_dir():
        return Path(os.path.abspath(path)), _below(path)
    if os.path.lexists(path):
        return Path(os.path.abspath(path.parent)), iter([(path, _problem(path, None))])
    text = str(path)
    if any(sign in text for sign in _GLOB_SIGNS):
        matches = sorted(glob.glob(text, recursive=True))
        if not matches:
            raise DataError(f"Nothing matches the pattern {text}.", "Check the pattern and the folder.")
        base = Path(os.path.abspath(_before_wildcard(path)))
        return base, _matched(matches, base)
    raise DataError(f"{text} does not exist.", "Give a folder, a file or a pattern that is there.")


def _before_wildcard(path: Path) -> Path:
    parts = []
    for part in path.parts[:-1]:
        if any(sign in part for sign in _GLOB_SIGNS):
            break
        parts.append(part)
    return Path(*parts) if parts else Path(".")


def _matched(matches: Sequence[str], base: Path) -> Iterator[tuple[Path, str | None]]:
    for match in matches:
        path = Path(match)
        if path.is_dir():
            continue  # `**` matches folders too; their files match by themselves
        if not any(is_litter(part) for part in Path(os.path.relpath(match, base)).parts):
            yield path, _problem(path, base)


def _below(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Walk a folder without following links to folders, which may lead in a circle."""
    for folder, folders, names in os.walk(root, followlinks=False):
        kept = []
        for name in sorted(folders):
            path = Path(folder, name)
            if is_litter(name):
                continue
            if path.is_symlink():
                yield path, "a link to a folder; give that folder as an input of its own"
            else:
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            if not is_litter(name):
                path = Path(folder, name)
                yield path, _problem(path, root)


def is_litter(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left about by a system or an editor."""
    hidden = name.startswith(".") and not name.startswith("..")
    return hidden or name.startswith("~$") or name.lower() in _LITTER


def _problem(path: Path, root: Path | None) -> str | None:
    """Say why a path must not be opened, or None."""
    try:
        if path.is_symlink() and root is not None:
            target = path.resolve(strict=True)
            if not target.is_relative_to(root.resolve()):
                return "a link that leads out of the folder"
        mode = path.stat().st_mode
    except RuntimeError:
        return "a link that leads in a circle"
    except OSError as error:
        loop = path.is_symlink()
        return f"a link that leads nowhere ({error.strerror})" if loop else f"not readable ({error.strerror})"
    if stat.S_ISREG(mode):
        return None
    for test, words in (
        (stat.S_ISFIFO, "a pipe (FIFO), not a file"),
        (stat.S_ISSOCK, "a socket, not a file"),
        (stat.S_ISCHR, "a device, not a file"),
        (stat.S_ISBLK, "a device, not a file"),
    ):
        if test(mode):
            return words
    return "not an ordinary file"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
