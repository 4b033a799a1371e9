"""Hostile files cost at most their limits, and only themselves: the short form of ``hostile_files.py``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hostile_files import GOOD_TEXT, SECRET

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are asked of Linux, pipes of POSIX"),
]

SECONDS = 5.0
TINY = int(os.environ.get("HOUSEVOICE_TINY_FILES", "1000"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Read the hostile files in a process of its own, which has no other children."""
    path = tmp_path_factory.mktemp("faults") / "report.json"
    command = [sys.executable, "-m", "tests.faults.hostile_files", "--json", str(path)]
    subprocess.run([*command, "--seconds", str(SECONDS), "--tiny", str(TINY)], check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(path.read_text())
    result["files"] = {outcome["source"]: outcome for outcome in result["outcomes"]}
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
    "many-paragraphs.docx": r"1024 MiB of memory|stopped after",
    "flate-bomb.pdf": r"1024 MiB|stopped after",  # whichever comes first on a busy machine
    "emphasis.md": r"1024 MiB|stopped after",
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
    "deep.eml": "nesting",
    "deep.html": "nesting",
    "deep.rst": "nesting",
    "deep.rtf": "no text",
    "zeros.txt": "empty",
    "noise.md": "binary",
    "pipe.txt": "pipe",
    "loop": "link",
    "circle.md": "circle",
    "escape.txt": "leads out",
}
READ_SOMEHOW = {"deep.md", "include.rst", "laughs.html", "wide.csv", "crowd/"}


@pytest.mark.parametrize("source", GOOD)
def test_good_neighbours_and_odd_but_readable_files_are_in(report: dict[str, Any], source: str) -> None:
    assert report["files"][source]["error"] is None
    assert GOOD_TEXT in report["files"][source]["text"]


@pytest.mark.parametrize("source", sorted(REASONS))
def test_each_file_that_cannot_be_read_is_named_with_its_reason(report: dict[str, Any], source: str) -> None:
    assert re.search(REASONS[source], report["files"][source]["error"])


def test_every_hostile_file_is_looked_at_here(report: dict[str, Any]) -> None:
    assert set(report["files"]) == {*GOOD, *REASONS, *READ_SOMEHOW}


def test_no_file_takes_longer_than_its_limit(report: dict[str, Any]) -> None:
    slowest = max(entry["seconds"] for entry in report["files"].values() if entry["files"] == 1)
    assert 0 < slowest <= SECONDS + 2


def test_no_reader_grows_over_a_gibibyte(report: dict[str, Any]) -> None:
    peaks = {name: entry["peak_bytes"] for name, entry in report["files"].items()}
    assert max(peaks.values()) <= 1 << 30
    # The measure itself is sound: readers weigh something, and a bomb much more than a note.
    assert peaks["flate-bomb.pdf"] > 300 << 20 > peaks["a-good.md"] > 1 << 20
    assert not any(peaks[name] for name in ("pipe.txt", "loop", "circle.md", "escape.txt"))


def test_read_in_one_run_each_file_comes_out_as_it_does_alone(report: dict[str, Any]) -> None:
    assert report["changed"] == []


def test_a_file_outside_of_the_folder_is_drawn_in_by_nothing(report: dict[str, Any]) -> None:
    assert not [name for name, entry in report["files"].items() if SECRET in entry["text"]]


def test_bad_members_of_an_archive_are_named_and_names_lead_nowhere(report: dict[str, Any]) -> None:
    entry = report["files"]["bomb.zip"]
    assert any("huge.txt" in warning and "bomb" in warning for warning in entry["warnings"])
    assert any("large.txt" in warning for warning in entry["warnings"])
    assert entry["text"].count(GOOD_TEXT) == 2


def test_a_crowd_of_tiny_files_is_all_in(report: dict[str, Any]) -> None:
    crowd = report["files"]["crowd/"]
    assert (crowd["files"], crowd["read"], crowd["error"]) == (TINY, TINY, None)
