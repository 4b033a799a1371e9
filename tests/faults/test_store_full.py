"""A disk that fills up: a typed error in time, and nothing lost once there is room again.

Needs the right to mount a small file system; it is skipped where there is none.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conftest import mounted_disk
from tests.faults.test_store_kill import check, chunks_of
from toolkit.errors import StoreFull
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount 12 MiB."""
    with mounted_disk(tmp_path, "12m") as disk:
        yield disk


def fill(folder: Path) -> tuple[dict[str, set[str]], float]:
    """Write until the disk is full; returns what was acknowledged, and the seconds of the refused write."""
    acknowledged: dict[str, set[str]] = {}
    with Knowledge.create(folder, HashEmbedder(dimension=384)) as knowledge:
        for index in range(4000):
            source = f"file{index}"
            started = time.perf_counter()
            try:
                knowledge.replace_source(source, source, chunks_of(source, index), "1")
            except StoreFull:
                return acknowledged, time.perf_counter() - started
            acknowledged[source] = {source}
    raise AssertionError("the disk never got full")


@pytest.mark.faults
def test_full_disk_is_named_and_nothing_is_lost(small_disk: Path) -> None:
    folder = small_disk / "store"
    started = time.perf_counter()
    acknowledged, seconds = fill(folder)
    assert acknowledged
    assert seconds < 10

    started = time.perf_counter()
    with Knowledge.open(folder, HashEmbedder(dimension=384)) as knowledge:
        first = next(iter(acknowledged))
        text = next(text for source, _, text in knowledge.texts() if source == first)
        assert any(hit.text == text for hit in knowledge.search(text, k=3)), (
            "a full disk must not end the search"
        )
        with pytest.raises(StoreFull):
            for index in range(4000):
                knowledge.replace_source(f"more{index}", "x", chunks_of(f"more{index}", index), "1")
    assert time.perf_counter() - started < 10

    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert check(folder, acknowledged, dimension=384) == []


@pytest.mark.faults
def test_disk_filled_by_others_is_named(small_disk: Path) -> None:
    folder = small_disk / "store"
    with Knowledge.create(folder, HashEmbedder()) as knowledge:
        knowledge.replace_source("kept", "kept", chunks_of("kept", 1), "1")
    with (small_disk / "ballast").open("wb") as ballast:
        try:
            while True:
                ballast.write(b"x" * 65536)
                ballast.flush()
        except OSError:
            pass
    started = time.perf_counter()
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        assert knowledge.search("kept part 3", k=1)
        with pytest.raises(StoreFull):
            knowledge.replace_source("new", "new", chunks_of("new", 1), "1")
    assert time.perf_counter() - started < 10
    (small_disk / "ballast").unlink()
    assert check(folder, {"kept": {"kept"}}) == []
