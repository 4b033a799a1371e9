"""Hostile files cost at most their limits, and only themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hostile_files import GOOD_TEXT

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the files are made with what POSIX systems have"),
]

SECONDS = 15.0
TINY = int(os.environ.get("HOUSEVOICE_TINY_FILES", "10000"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read the hostile folder in a process of its own, whose children's memory is then known."""
    folder = tmp_path_factory.mktemp("faults")
    command = [
        sys.executable,
        str(ROOT / "tests/faults/hostile_files.py"),
        str(folder),
        str(SECONDS),
        str(TINY),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


GOOD = [
    "a-good.md",
    "m-good.md",
    "z-good.md",
    "inside.md",
    "..dots..md",
    "two\\nlines.md",
    "bytes-\\udcff.md",
    "bomb.zip",
    "nested.zip",
    "nested.html",
    "invalid.txt",
    "nul.txt",
    "wide.txt",
    "wide-bare.txt",
]
REASONS = {
    "bomb.docx": "unpack to",
    "flate-bomb.pdf": "1024 MiB",
    "cyclic.pdf": "no text",
    "cyclic-form.pdf": "no text",
    "cut-off.pdf": "damaged",
    "cut-off.zip": "damaged",
    "laughs.xml": "damaged XML",
    "laughs.docx": "damaged",
    "leak.xml": "no text",
    "line.txt": "64 MiB",
    "line.json": "64 MiB",
    "deep.json": "damaged JSON",
    "deep.html": "nesting",
    "zeros.txt": "empty",
    "noise.md": "binary",
    "pipe.txt": "pipe",
    "loop": "link",
    "circle.md": "circle",
    "escape.txt": "leads out",
}


@pytest.mark.parametrize("source", GOOD)
def test_good_neighbours_and_odd_but_readable_files_are_in(report: dict[str, Any], source: str) -> None:
    assert report["files"][source]["error"] is None
    assert GOOD_TEXT in report["files"][source]["text"]


@pytest.mark.parametrize("source", sorted(REASONS))
def test_each_file_that_cannot_be_read_is_named_with_its_reason(report: dict[str, Any], source: str) -> None:
    assert REASONS[source] in report["files"][source]["error"]


def test_no_file_takes_longer_than_its_limit(report: dict[str, Any]) -> None:
    slowest = max(entry["seconds"] for entry in report["files"].values())
    assert slowest <= SECONDS + 2


def test_no_reader_grows_over_a_gibibyte(report: dict[str, Any]) -> None:
    assert 0 < report["largest_bytes"] <= 1 << 30


def test_a_file_outside_of_the_folder_is_drawn_in_by_nothing(report: dict[str, Any]) -> None:
    assert not [name for name, entry in report["files"].items() if "secret is kept" in entry["text"]]


def test_bad_members_of_an_archive_are_named_and_names_lead_nowhere(report: dict[str, Any]) -> None:
    entry = report["files"]["bomb.zip"]
    assert any("huge.txt" in warning and "bomb" in warning for warning in entry["warnings"])
    assert any("large.txt" in warning for warning in entry["warnings"])
    assert entry["text"].count(GOOD_TEXT) == 2


def test_a_crowd_of_tiny_files_is_all_in(report: dict[str, Any]) -> None:
    crowd = [entry for name, entry in report["files"].items() if name.startswith("crowd/")]
    assert len(crowd) == TINY
    assert all(entry["error"] is None for entry in crowd)
