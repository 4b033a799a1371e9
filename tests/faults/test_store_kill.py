"""A writer killed at random moments: the store stays usable, and nothing acknowledged is lost.

The long form: ``python tests/faults/test_store_kill.py --times 100``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from langchain_core.documents import Document

from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder

SOURCES = 40
REMOVED = "-"


def chunks_of(source: str, version: int) -> list[Document]:
    """Make the chunks of a version of a made-up file; half of them are the same in every version."""
    sha256 = hashlib.sha256(f"{source} {version}".encode()).hexdigest()
    chunks = []
    for index in range(12):
        edition = version if index % 2 else 0
        words = random.Random(f"{source} {index} {edition}")
        text = f"{source} part {index} " + " ".join(f"w{words.randrange(5000)}" for _ in range(20))
        span = {"start": index * 1000, "end": index * 1000 + len(text), "id": f"{sha256[:16]}:{index}"}
        chunks.append(Document(page_content=text, metadata={"source": source, "sha256": sha256, **span}))
    return chunks


def write_forever(folder: Path, seed: int, sync_threshold: int | None) -> None:
    """Change sources at random, and say each change when it is acknowledged; runs until it is killed."""
    choice = random.Random(seed)
    with Knowledge.create(folder, HashEmbedder(), sync_threshold=sync_threshold) as knowledge:
        print("ready", flush=True)
        while True:
            held = choice.random() < 0.5
            for _ in range(choice.randrange(1, 12)):
                source = f"file{choice.randrange(SOURCES)}"
                if held:
                    with knowledge.writing():
                        _change(knowledge, source, choice)
                        _change(knowledge, f"file{choice.randrange(SOURCES)}", choice)
                else:
                    _change(knowledge, source, choice)


def _change(knowledge: Knowledge, source: str, choice: random.Random) -> None:
    if choice.random() < 0.1:
        print(f"try {source} {REMOVED}", flush=True)
        knowledge.remove(source)
        print(f"done {source} {REMOVED}", flush=True)
        return
    version = choice.randrange(1 << 30)
    sha256 = hashlib.sha256(f"{source} {version}".encode()).hexdigest()
    print(f"try {source} {version}", flush=True)
    knowledge.replace_source(source, sha256, chunks_of(source, version), "1")
    print(f"done {source} {version}", flush=True)


def kill_once(folder: Path, seed: int, sync_threshold: int | None) -> list[tuple[str, str, str]]:
    """Let a writer write for a moment and kill it; returns what it said: word, source, version."""
    command = [sys.executable, __file__, "--write", str(folder), "--seed", str(seed)]
    if sync_threshold is not None:
        command += ["--sync-threshold", str(sync_threshold)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.0, 1.2))
        process.kill()
        rest = process.stdout.read()
    lines = [line.split() for line in rest.splitlines() if line.count(" ") == 2]
    return [(word, source, version) for word, source, version in lines]


def check(folder: Path, acknowledged: dict[str, set[str]], dimension: int = 64) -> list[str]:
    """Open the store as a person would and return everything that is wrong with it."""
    faults: list[str] = []
    with Knowledge.open(folder, HashEmbedder(dimension)) as knowledge:
        sources = knowledge.sources()
        for source, versions in acknowledged.items():
            found = sources[source].sha256 if source in sources else REMOVED
            if found not in versions:
                faults.append(f"{source} is not what was acknowledged")
        ids = [item for record in sources.values() for item in record.chunk_ids]
        collection = sorted(_collection_ids(folder))
        if len(set(ids)) != len(ids) or len(ids) != knowledge.count():
            faults.append("duplicate chunks")
        if collection != sorted(ids):
            faults.append(f"the collection holds {len(collection)} chunks, the manifest {len(ids)}")
        for _, _, text in knowledge.texts():
            if not any(hit.text == text for hit in knowledge.search(text, k=3)):
                faults.append(f"a chunk does not find itself: {text[:40]}")
    return faults


def _collection_ids(folder: Path) -> list[str]:
    """Read the ids as anybody would who opens the folder with LangChain."""
    from chromadb import PersistentClient
    from langchain_chroma import Chroma

    client = PersistentClient(str(folder))
    try:
        return list(Chroma(client=client, embedding_function=HashEmbedder()).get(include=[])["ids"])
    finally:
        # A client left open would be shared with the next turn, and would not see what changed since.
        client.close()


def kill_many(times: int, seed: int = 0) -> list[str]:
    """Kill writers of two stores, the second with a small ``sync_threshold``; returns all faults."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        state: list[dict[str, set[str]]] = [{}, {}]
        for turn in range(times):
            small = turn % 2
            folder = Path(root) / f"store{small}"
            for word, source, version in kill_once(folder, seed + turn, 20 if small else None):
                sha256 = version
                if version != REMOVED:
                    sha256 = hashlib.sha256(f"{source} {version}".encode()).hexdigest()
                # What was tried and not said to be done may be there or not; what was said to be done is.
                known = state[small].setdefault(source, {REMOVED})
                state[small][source] = {sha256} if word == "done" else known | {sha256}
            found = check(folder, state[small])
            faults += [f"turn {turn}: {fault}" for fault in found]
            for source, fixed in _as_found(folder, state[small]).items():
                state[small][source] = fixed
    return faults


def _as_found(folder: Path, state: dict[str, set[str]]) -> dict[str, set[str]]:
    """Settle what may be there or not: it must not change any more."""
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        sources = knowledge.sources()
    return {name: {sources[name].sha256 if name in sources else REMOVED} for name in state}


@pytest.mark.faults
def test_killed_writer_loses_nothing() -> None:
    assert kill_many(8) == []


def main() -> int:
    """Run the long form, or be the writer that is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="be the writer on this folder")
    parser.add_argument("--sync-threshold", type=int)
    options = parser.parse_args()
    if options.write:
        write_forever(options.write, options.seed, options.sync_threshold)
    faults = kill_many(options.times, options.seed)
    print("\n".join(faults) or "no fault", f"in {options.times} kills", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
