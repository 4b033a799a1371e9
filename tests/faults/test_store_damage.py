"""Files of the collection that are torn or garbled: made again from the manifest, and no process dies of them.

The long form, every file damaged in every way: ``python tests/faults/test_store_damage.py --all``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.test_store_kill import check, chunks_of
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder

SOURCES = 10


def garbled(content: bytes) -> bytes:
    """Return as many random bytes."""
    return random.Random(0).randbytes(len(content))


def patched(content: bytes) -> bytes:
    """Return the content with a tenth in its middle at random: a block that never reached the disk."""
    size, middle = max(1, len(content) // 10), len(content) // 2
    return content[:middle] + random.Random(1).randbytes(size) + content[middle + size :]


WAYS: dict[str, Callable[[bytes], bytes] | None] = {
    "torn": lambda content: content[: len(content) // 2],
    "garbled": garbled,
    "patched": patched,
    "gone": None,
}


def damages(store: Path, *, every: bool) -> Iterator[tuple[Path, str]]:
    """Yield files and ways to damage them; not all of the pairs, unless ``every`` is asked for."""
    files = [path for path in sorted(store.glob("*-*-*-*-*/*")) if path.stat().st_size]
    files.append(store / "chroma.sqlite3")
    for number, file in enumerate(files):
        for place, way in enumerate(WAYS):
            if every or place == number % len(WAYS) or file.name == "data_level0.bin":
                yield file.relative_to(store), way


def damage_all(root: Path, *, every: bool) -> list[str]:
    """Damage copies of a store, open each, and return what is wrong with them."""
    faults = []
    for sync_threshold in (20, None):
        store = root / f"store{sync_threshold}"
        with Knowledge.create(store, HashEmbedder(), sync_threshold=sync_threshold) as knowledge:
            for index in range(SOURCES):
                source = f"file{index}"
                knowledge.replace_source(source, source, chunks_of(source, index), "1")
        wanted = {source: {source} for source in knowledge_sources(store)}
        for file, way in damages(store, every=every):
            copy = root / f"{sync_threshold}-{file.name}-{way}"
            shutil.copytree(store, copy)
            change = WAYS[way]
            if change is None:
                (copy / file).unlink()
            else:
                (copy / file).write_bytes(change((copy / file).read_bytes()))
            print(f"{file.name} {way}, sync_threshold {sync_threshold}", flush=True)
            faults += [f"{file.name} {way}: {fault}" for fault in check(copy, wanted)]
            shutil.rmtree(copy)
    return faults


def knowledge_sources(store: Path) -> list[str]:
    """Open a sound store twice: it must not find anything to mend, whatever Chroma does to its files."""
    for _ in range(2):
        with Knowledge.open(store, HashEmbedder()) as knowledge:
            assert knowledge.notes == []
            knowledge.search("file1 part 3", k=3)
            found = list(knowledge.sources())
    return found


@pytest.mark.faults
def test_damaged_collection_ends_no_process_and_loses_nothing() -> None:
    # In a process of its own: Chroma's engine dies of some of these, and would take the tests along.
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def main() -> int:
    """Damage stores in many ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every file in every way")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        faults = damage_all(Path(root), every=options.all)
    print("\n".join(faults) or "no fault")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
