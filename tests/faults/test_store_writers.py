"""Two writers at once: one writes, the other leaves within 2 s, and neither does damage.

The long form: ``python tests/faults/test_store_writers.py --times 20``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from toolkit.errors import StoreLocked
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder

SOURCES = 12


def write(folder: Path, name: str) -> None:
    """Ingest once, as one writer; says what became of it and how long a refusal took."""
    from tests.faults.test_store_kill import chunks_of

    with Knowledge.create(folder, HashEmbedder(), sync_threshold=100) as knowledge:
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        try:
            with knowledge.writing():
                for index in range(SOURCES):
                    source = f"{name}{index}"
                    knowledge.replace_source(source, source, chunks_of(source, index), "1")
                time.sleep(1.5)
        except StoreLocked:
            print(f"locked {time.perf_counter() - started:.3f}", flush=True)
        else:
            print("written 0", flush=True)


def race(folder: Path) -> list[str]:
    """Let two writers begin at the same time; returns what is wrong afterwards."""
    from tests.faults.test_store_kill import check

    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.faults.test_store_writers", "--write", str(folder), "--name"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
    writers = {name: subprocess.Popen([*command, name], **pipes) for name in ("left", "right")}  # type: ignore[call-overload]
    try:
        for process in writers.values():
            assert process.stdout.readline() == "ready\n"
        for process in writers.values():
            process.stdin.write("go\n")
            process.stdin.flush()
        said = {name: process.stdout.readline().split() for name, process in writers.items()}
    finally:
        for process in writers.values():
            process.stdin.close()
            process.wait(30)
            process.stdout.close()
    faults = []
    if sorted(word for word, _ in said.values()) != ["locked", "written"]:
        faults.append(f"the writers said {said}")
    faults += [f"{name} waited {seconds} s" for name, (_, seconds) in said.items() if float(seconds) > 2.0]
    written = [name for name, (word, _) in said.items() if word == "written"]
    wanted = {f"{name}{index}": {f"{name}{index}"} for name in written for index in range(SOURCES)}
    return faults + check(folder, wanted)


def race_many(times: int) -> list[str]:
    """Race writers for one folder again and again."""
    with tempfile.TemporaryDirectory() as root:
        return [fault for _ in range(times) for fault in race(Path(root) / "store")]


@pytest.mark.faults
def test_two_writers_do_no_damage() -> None:
    assert race_many(2) == []


def main() -> int:
    """Run the long form, or be one of the writers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--write", type=Path, help="be a writer on this folder")
    parser.add_argument("--name", default="")
    options = parser.parse_args()
    if options.write:
        write(options.write, options.name)
        return 0
    faults = race_many(options.times)
    print("\n".join(faults) or "no fault", f"in {options.times} races", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
