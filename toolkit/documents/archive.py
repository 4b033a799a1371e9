"""ZIP archives: read like a folder, a member at a time."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib

from toolkit.documents.dates import iso_day
from toolkit.documents.finding import is_litter, printable
from toolkit.documents.model import Unreadable
from toolkit.documents.sniff import sniff

_MOST_MEMBERS = 10_000
_MOST_NAMED = 20


def is_archive(data: bytes, name: str) -> bool:
    """Tell whether a file is a ZIP of files, not an office file, which is a ZIP too.

    Raises:
        Unreadable: If it is of no kind that is read.
    """
    return sniff(data, name) == "zip"


class Archive:
    """An open ZIP whose members are read one by one.

    Nothing is ever unpacked to disk, so a member's name leads nowhere; it is only a label.
    """

    def __init__(self, path: bytes) -> None:
        """Open the archive at ``path``; raises Unreadable where it is damaged."""
        self.path = path
        try:
            # Held open between jobs; the process that holds it is a child that ends with its work.
            self._zip = zipfile.ZipFile(os.fsdecode(path))
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise Unreadable(f"a damaged ZIP file ({error})") from error

    def members(self) -> tuple[list[tuple[int, str]], list[str]]:
        """Return ``(number, label)`` of what can be read, and what cannot, each with its reason."""
        found: list[tuple[int, str]] = []
        skipped: list[str] = []
        for number, entry in enumerate(self._zip.infolist()):
            label = member_label(entry.filename)
            if entry.is_dir() or not label or any(is_litter(part) for part in label.split("/")):
                continue
            if entry.flag_bits & 1:
                skipped.append(f"{label}: encrypted with a password")
            elif stat.S_ISLNK(entry.external_attr >> 16):
                skipped.append(f"{label}: a link")
            elif len(found) >= _MOST_MEMBERS:
                skipped.append(f"{label}: more than {_MOST_MEMBERS} files in one archive")
            else:
                found.append((number, label))
        if len(skipped) > _MOST_NAMED:
            skipped[_MOST_NAMED:] = [f"and {len(skipped) - _MOST_NAMED} more"]
        return found, skipped

    def date(self, number: int) -> str:
        """Return the day that the archive notes for a member; "" for the one that stands for none."""
        year, month, day, *_ = self._zip.infolist()[number].date_time
        return "" if year <= 1980 else iso_day(f"{year:04}-{month:02}-{day:02}")

    def read(self, number: int, most: int) -> bytes:
        """Return the bytes of one member.

        Raises:
            Unreadable: If it is damaged, or would unpack to more than ``most`` bytes.
        """
        entry = self._zip.infolist()[number]
        if entry.file_size > most:
            raise Unreadable(f"it would unpack to {entry.file_size >> 20} MiB (a ZIP bomb?)")
        try:
            with self._zip.open(entry) as file:
                data = file.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise Unreadable(f"damaged in the archive ({error})") from error
        if len(data) > most:
            raise Unreadable(f"it would unpack to more than {most >> 20} MiB (a ZIP bomb?)")
        return data


def member_label(name: str) -> str:
    """Write a member's path without what leads out of the archive."""
    parts = printable(name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in {"", ".", ".."})
