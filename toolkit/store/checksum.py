"""Checksums: whether a file is still what was written."""

from __future__ import annotations

import zlib
from pathlib import Path


def crc_of(path: Path) -> int:
    """Return the CRC-32 of a file, read a mebibyte at a time."""
    crc = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
