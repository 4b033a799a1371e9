"""Files: written whole or not at all, and read line by line with every fault numbered."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import StringConstraints, ValidationError

from toolkit.errors import DataError

S = TypeVar("S")
T = TypeVar("T")
# Text that says something; a number is none.
Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, strict=True)]
# More faults than this are counted and not shown.
_SHOWN_FAULTS = 20
# What pydantic calls a fault -> what a person has to make of the value.
_FILLED, _OBJECT, _LIST = "must be a non-empty string", "must be an object", "must be a list"
_MUST = {
    "missing": "is missing",
    "string_type": _FILLED,
    "string_too_short": _FILLED,
    "model_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": "must not be empty",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
}


def nearest_folder(path: Path) -> Path:
    """Return the nearest path at or above one that exists: the disk that it will lie on."""
    while not path.exists():
        path = path.parent
    return path


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def replace_folder(fresh: Path, place: Path) -> None:
    """Put a finished folder in the place of another: at no moment is neither there.

    A process that is killed in between leaves the old one aside; :func:`mend_folder` brings it back.

    Args:
        fresh: The finished folder, beside ``place``.
        place: Where it belongs; may be missing.
    """
    mend_folder(place)
    aside = _aside(place)
    shutil.rmtree(aside, ignore_errors=True)  # of a replacement that was cut short when the new one was in place
    if place.exists():
        place.rename(aside)
    fresh.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def mend_folder(place: Path) -> None:
    """Bring back a folder whose replacement was cut short, if there is one."""
    if not place.exists() and _aside(place).exists():
        _aside(place).rename(place)


def _aside(place: Path) -> Path:
    """Return where a folder waits while another takes its place."""
    return place.with_name(f".{place.name}.old")


def read_rows(
    path: Path, parse: Callable[[Any, int], Iterable[T]], *, missing: str, looks_like: str
) -> list[T]:
    r"""Read a file with one JSON object a line.

    Args:
        path: The file; blank lines are passed over.
        parse: Makes what is wanted out of one object and the number of its line, from 1; says in a ``ValueError``,
            which may be pydantic's, what is wrong with it.
        missing: The remedy where there is no such file.
        looks_like: What a good line looks like.

    Raises:
        DataError: The file is missing, is no text, or has bad lines; each is numbered.

    Example:
        >>> file = Path("sizes.jsonl")
        >>> _ = file.write_text('{"size": 3}\n{"size": 4}\n')
        >>> read_rows(file, lambda row, line: [row["size"]], missing="Write one.", looks_like='{"size": 1}')
        [3, 4]
    """
    lines = read_text(path, missing=missing).splitlines()
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    return gather_rows(path, numbered, lambda line, number: parse(json.loads(line), number), looks_like=looks_like)


def read_json(file: Path) -> Any:
    """Return what a file of JSON holds; None where it is missing, or was cut short.

    For what a program left for itself: a file of the user's is read by what names its faults.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_text(path: Path, *, missing: str) -> str:
    """Read a text file; a byte order mark is no part of the text.

    Args:
        path: The file.
        missing: The remedy where there is no such file.

    Raises:
        DataError: The file is missing or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", missing) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}.") from error


def gather_rows(
    path: Path,
    numbered: Iterable[tuple[int, S]],
    parse: Callable[[S, int], Iterable[T]],
    *,
    looks_like: str,
    unit: str = "line",
) -> list[T]:
    """Make what is wanted out of the rows of a file; the faults of all of them are reported together.

    Args:
        path: The file, to be named.
        numbered: Pairs of number, from 1, and row.
        parse: As in :func:`read_rows`.
        looks_like: What a good row looks like.
        unit: What is numbered: ``line`` or ``row``.

    Raises:
        DataError: There are bad rows; each is numbered.
    """
    rows: list[T] = []
    faults: list[str] = []
    for number, row in numbered:
        try:
            rows.extend(parse(row, number))
        except json.JSONDecodeError as error:
            faults.append(f"{unit} {number}: not JSON: {error.msg} at column {error.colno}")
        except ValidationError as error:
            faults.append(f"{unit} {number}: {'; '.join(map(_in_words, error.errors()))}")
        except ValueError as error:
            faults.append(f"{unit} {number}: {error}")
    if faults:
        shown = [f"  - {fault}" for fault in faults[:_SHOWN_FAULTS]]
        more = [f"  - and {len(faults) - _SHOWN_FAULTS} more"] if len(faults) > _SHOWN_FAULTS else []
        raise DataError(
            f"{path} has {len(faults)} bad {unit}{'s' if len(faults) > 1 else ''}:\n" + "\n".join(shown + more),
            f"A {unit} looks like {looks_like}.",
        )
    return rows


def _in_words(fault: Any) -> str:
    """Say where in a line a fault of pydantic's is, and what has to be there."""
    place = [f"entry {part + 1}" if isinstance(part, int) else f"{part!r}" for part in fault["loc"]] or ["the line"]
    # "entry 1 of 'messages': 'content'" for ("messages", 0, "content").
    said = place[0]
    for before, part, name in zip(fault["loc"], fault["loc"][1:], place[1:], strict=False):
        said = f"{name} of {said}" if isinstance(part, int) and isinstance(before, str) else f"{said}: {name}"
    must = _MUST.get(fault["type"])
    return f"{said} {must.format(**fault.get('ctx', {}))}" if must else f"{said}: {fault['msg']}"
