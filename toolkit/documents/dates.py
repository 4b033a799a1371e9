"""Dates as ``YYYY-MM-DD``: what filters compare, as texts."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

# ISO 8601 with or without hyphens, and PDF's `D:20240131...`.
_DAY = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?:\D|\d{4}|$)")
_FIRST_YEAR = 1970


def iso_day(text: str | None) -> str:
    """Return the day that a date begins with; "" where there is none, or none that can be."""
    match = _DAY.match((text or "").strip().removeprefix("D:"))
    if not match or int(match[1]) < _FIRST_YEAR:
        return ""
    try:
        return datetime.date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return ""


def first_day(texts: Iterable[str | None]) -> str:
    """Return the first of several dates that is one, or ""."""
    return next(filter(None, map(iso_day, texts)), "")


def day_of_time(seconds: float) -> str:
    """Return the day (UTC) of a file system's time; "" where the clock was not set."""
    try:
        day = datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()
    except (OverflowError, OSError, ValueError):
        return ""
    return day.isoformat() if day.year > _FIRST_YEAR else ""
