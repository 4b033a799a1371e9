"""The rows of a file of examples, whatever it is: JSONL, a JSON array, CSV or Parquet, each row with its number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from toolkit.errors import DataError
from toolkit.files import gather_rows, read_rows, read_text

T = TypeVar("T")
_TABLES = (".csv", ".tsv")
# A cell of a table is text: in these columns it is read as what it says.
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_FLAG_COLUMNS = ("declines", "label")
# A cell of these may be a list of messages, written as JSON.
_MESSAGE_COLUMNS = ("messages", "conversations", "prompt", "completion", "chosen", "rejected")
# An empty cell of these says nothing; of any other column it is a fault to be named.
_OPTIONAL_COLUMNS = (*_FLAG_COLUMNS, "input", "source", "conversation", "system")
# The csv module's own limit is 128 KiB, which a long conversation in one cell exceeds.
_LONGEST_CELL = 1 << 24


def read_any_rows(path: Path, parse: Callable[[Any, int], Iterable[T]], *, missing: str, looks_like: str) -> list[T]:
    r"""Read the rows of a file by its suffix: ``.json``, ``.csv``, ``.tsv``, ``.parquet``, anything else as JSONL.

    A ``.json`` file that is no array is read as JSONL, as the hub's files of that name often are.

    Args:
        path: The file.
        parse: Makes what is wanted out of one row and its number, from 1; says in a ``ValueError``, which may be
            pydantic's, what is wrong with it.
        missing: The remedy where there is no such file.
        looks_like: What a good row looks like, as JSON.

    Raises:
        DataError: The file is missing, cannot be read, or has bad rows; each is numbered.

    Example:
        >>> file = Path("sizes.csv")
        >>> _ = file.write_text("name,size\nlamp,3\n")
        >>> read_any_rows(file, lambda row, line: [(line, row["size"])], missing="Write one.", looks_like="{}")
        [(2, '3')]
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return gather_rows(path, _parquet(path, missing), parse, looks_like=looks_like, unit="row")
    if suffix in _TABLES:
        text = read_text(path, missing=missing)
        return gather_rows(path, _table(path, text), parse, looks_like=f"{looks_like}, a column for each key")
    if suffix == ".json":
        text = read_text(path, missing=missing)
        if text.lstrip().startswith("["):
            return gather_rows(path, enumerate(_array(path, text), 1), parse, looks_like=looks_like, unit="row")
    return read_rows(path, parse, missing=missing, looks_like=looks_like)


def _array(path: Path, text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON: {error.msg} at column {error.colno}.",
            "A .json file holds an array of rows, or one row a line.",
        ) from error
    assert isinstance(rows, list)
    return rows


def _table(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table with the line that each begins in.

    Raises:
        DataError: It has no header, or the quotes do not match.
    """
    # Where the comma is the decimal mark, spreadsheets put semicolons between the cells.
    header = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;", key=header.count)
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        # With its own line ends: those within quotes belong to the cell.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(reader, [])]
        if not any(names):
            raise DataError(f"{path} is empty.", "The first line of a table names its columns.")
        begin = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, _cells(names, cells)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table: {error}.") from error
    finally:
        csv.field_size_limit(before)


def _cells(names: list[str], cells: list[str]) -> dict[str, Any]:
    """Return a row of a table with its cells read as what they say; a cell too many is left to no column."""
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        bare = cell.strip()
        if not name or (not bare and name in _OPTIONAL_COLUMNS):
            continue
        if name in _FLAG_COLUMNS:
            row[name] = _FLAGS.get(bare.lower(), cell)
        elif name in _MESSAGE_COLUMNS and bare.startswith("[{"):
            row[name] = _messages(cell)
        else:
            row[name] = cell
    return row


def _messages(cell: str) -> Any:
    """Return the list that a cell holds as JSON; the cell itself where it is only a text that looks like one."""
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return cell


def _parquet(path: Path, missing: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a Parquet file; a column that a row has nothing in is no key of it.

    Raises:
        DataError: The file is missing or is no Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: value for name, value in row.items() if value is not None}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", missing) from None
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error
