"""The same knowledge against a Chroma server, started for the test."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_store_kill import chunks_of
from toolkit.errors import ModelError
from toolkit.store import Knowledge
from toolkit.testing_embedder import HashEmbedder


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Start a Chroma server and wait until it answers."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(tmp_path / "server")]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), 0.1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield "127.0.0.1", port
        finally:
            process.terminate()


@pytest.mark.faults
def test_knowledge_on_a_server(tmp_path: Path, server: tuple[str, int]) -> None:
    folder = tmp_path / "knowledge"
    with Knowledge.create(folder, HashEmbedder(), server=server) as knowledge:
        knowledge.replace_source("a", "1", chunks_of("a", 1), "1")
        knowledge.replace_source("b", "1", chunks_of("b", 1), "1")
        knowledge.remove("b")
    assert not (folder / "chroma.sqlite3").exists()
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        assert knowledge.notes == []
        vector = knowledge.embedder.encode([f"\n{text}" for _, _, text in knowledge.texts()])
        assert len(knowledge.nearest(vector[0], 30)) == 12
        for _, _, text in knowledge.texts():
            assert knowledge.search(text, k=1)[0].text == text


@pytest.mark.faults
def test_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be reached"):
        Knowledge.create(tmp_path / "knowledge", HashEmbedder(), server=("127.0.0.1", free_port()))
