"""The same knowledge against a Chroma server, started for the test."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.ingest import ingest
from tests.faults.test_store_kill import chunks_of
from toolkit.config import KnowledgeSettings
from toolkit.errors import ModelError
from toolkit.store import Knowledge
from toolkit.store.dense import connect
from toolkit.testing import HashEmbedder


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A Chroma server on this machine.

    Args:
        folder: Where it keeps its data.
    """

    def __init__(self, folder: Path) -> None:
        self.address = ("127.0.0.1", free_port())
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--host", self.address[0], "--port", str(self.address[1])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            try:
                socket.create_connection(self.address, 0.1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[Server]:
    """Start a server for the test."""
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.stop()


def finds_all(knowledge: Knowledge) -> bool:
    """Tell whether every chunk finds itself, by the collection alone and by the search."""
    texts = [text for _, _, text in knowledge.texts()]
    vectors = knowledge.embedder.encode([f"\n{text}" for text in texts])
    by_vector = [list(knowledge.nearest(vector, 30)) for vector in vectors]
    return all(len(found) == len(texts) for found in by_vector) and all(
        knowledge.search(text, k=1)[0].text == text for text in texts
    )


@pytest.mark.faults
def test_knowledge_on_a_server(tmp_path: Path, chroma: Server) -> None:
    folder = tmp_path / "knowledge"
    with Knowledge.create(folder, HashEmbedder(), server=chroma.address) as knowledge:
        knowledge.replace_source("a", "1", chunks_of("a", 1), "1")
        knowledge.replace_source("b", "1", chunks_of("b", 1), "1")
        knowledge.remove("b")
    assert not (folder / "chroma.sqlite3").exists()
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        assert knowledge.notes == []
        assert knowledge.count() == 12
        assert finds_all(knowledge)


@pytest.mark.faults
def test_server_of_the_settings_is_used_and_may_change(tmp_path: Path, chroma: Server) -> None:
    embedder = HashEmbedder()
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "lamp.md").write_text("The lamp burns for 38 hours.\n", encoding="utf-8")
    here = KnowledgeSettings(documents=tmp_path / "documents")
    there = here.model_copy(update={"chroma_host": chroma.address[0], "chroma_port": chroma.address[1]})
    folder = tmp_path / "knowledge"
    embedded: list[int] = []
    for settings, in_folder in ((here, True), (there, False), (there, False), (here, True)):
        embedder.embedded.clear()
        ingest(settings, folder, embedder=embedder)
        embedded.append(len(embedder.embedded))
        assert (folder / "chroma.sqlite3").exists() is in_folder
        with Knowledge.open(folder, embedder) as knowledge:
            assert knowledge.notes == []
            assert finds_all(knowledge)
    assert embedded == [1, 0, 0, 0]
    client = connect(folder, chroma.address)
    assert client.list_collections() == [], "what was left behind on the server is deleted"


@pytest.mark.faults
def test_server_that_stops_ends_no_search_and_loses_nothing(
    tmp_path: Path, chroma: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.store.derived.RETRY_SECONDS", 0.0)
    folder = tmp_path / "knowledge"
    with Knowledge.create(folder, HashEmbedder(), server=chroma.address) as knowledge:
        knowledge.replace_source("a", "1", chunks_of("a", 1), "1")
        chroma.stop()
        text = next(text for _, _, text in knowledge.texts())
        assert knowledge.search(text, k=1)[0].text == text
        assert any("cannot be used" in note for note in knowledge.notes)
        with pytest.raises(ModelError, match="cannot be reached"):
            knowledge.replace_source("b", "1", chunks_of("b", 1), "1")
        chroma.start()
        assert knowledge.search(text, k=1)[0].text == text
        knowledge.replace_source("c", "1", chunks_of("c", 1), "1")
        assert finds_all(knowledge)
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        assert sorted(knowledge.sources()) == ["a", "c"]
        assert finds_all(knowledge)


@pytest.mark.faults
def test_server_that_stops_while_writing_is_caught_up_with(tmp_path: Path, chroma: Server) -> None:
    folder = tmp_path / "knowledge"
    with Knowledge.create(folder, HashEmbedder(), server=chroma.address) as knowledge:
        with knowledge.writing():
            knowledge.replace_source("a", "1", chunks_of("a", 1), "1")
            chroma.stop()
        assert any("failed" in note for note in knowledge.notes)
    chroma.start()
    with Knowledge.open(folder, HashEmbedder()) as knowledge:
        assert sorted(knowledge.sources()) == ["a"]
        assert finds_all(knowledge)


@pytest.mark.faults
def test_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be reached"):
        Knowledge.create(tmp_path / "knowledge", HashEmbedder(), server=("127.0.0.1", free_port()))
