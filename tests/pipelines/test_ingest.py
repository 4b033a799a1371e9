"""Documents into knowledge: only what changed is read again, and what cannot be read is named."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from pipelines.ingest import ingest
from tests.conftest import DOCUMENTS
from toolkit.bot import BotFolder, open_knowledge
from toolkit.config import BotConfig, KnowledgeSettings
from toolkit.errors import DataError, IndexMismatch, StoreLocked
from toolkit.store import Knowledge, SearchOptions
from toolkit.testing import HashEmbedder


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_everything_goes_in_once(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    told: list[tuple[str, int, int]] = []
    settings = KnowledgeSettings(documents=papers)
    report = ingest(settings, tmp_path / "store", on_progress=lambda *args: told.append(args))
    assert sorted(report.added) == sorted(DOCUMENTS)
    assert report.chunks >= 3
    assert [entry[1:] for entry in told] == [(1, 3), (2, 3), (3, 3)]
    before = len(embedder.embedded)
    again = ingest(settings, tmp_path / "store")
    assert sorted(again.unchanged) == sorted(DOCUMENTS)
    assert (again.added, again.changed, again.removed, again.failed) == ([], [], [], [])
    assert again.chunks == report.chunks
    assert len(embedder.embedded) == before


def test_changes_are_followed(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    settings = KnowledgeSettings(documents=papers)
    ingest(settings, tmp_path / "store")
    (papers / "lamp.md").write_text("# Ember lamp\n\nThe Ember lamp burns for 44 hours.\n")
    (papers / "kite.md").unlink()
    (papers / "new.txt").write_text("The new pier opens in May.\n")
    report = ingest(settings, tmp_path / "store")
    assert (report.changed, report.removed, report.added, report.unchanged) == (
        ["lamp.md"], ["kite.md"], ["new.txt"], ["shop.txt"],
    )  # fmt: skip
    with Knowledge.open(tmp_path / "store", embedder) as knowledge:
        assert "44 hours" in knowledge.search("How long does the Ember lamp burn?", k=1)[0].text
        assert {hit.source for hit in knowledge.search("kite tail silk", k=10)} <= {"lamp.md", "new.txt", "shop.txt"}


def test_a_broken_file_is_named_and_the_rest_goes_in(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7 this is no pdf")
    report = ingest(KnowledgeSettings(documents=papers), tmp_path / "store")
    assert [source for source, _ in report.failed] == ["broken.pdf"]
    assert report.failed[0][1]
    assert len(report.added) == 3


def test_nothing_to_read_is_named(tmp_path: Path, embedder: HashEmbedder) -> None:
    with pytest.raises(DataError, match="does not exist"):
        ingest(KnowledgeSettings(documents=tmp_path / "none"), tmp_path / "store")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no documents"):
        ingest(KnowledgeSettings(documents=tmp_path / "empty"), tmp_path / "store")
    (tmp_path / "empty" / "a.pdf").write_bytes(b"%PDF-")
    with pytest.raises(DataError, match=r"could be read:\n  - a\.pdf: "):
        ingest(KnowledgeSettings(documents=tmp_path / "empty"), tmp_path / "store")


def test_a_glob_chooses(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    report = ingest(KnowledgeSettings(documents=papers / "*.md"), tmp_path / "store")
    assert len(report.added) == 2
    with pytest.raises(DataError, match=r"\*\.docx"):
        ingest(KnowledgeSettings(documents=papers / "*.docx"), tmp_path / "store")


def test_passages_fit_what_was_asked_for(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    (papers / "long.txt").write_text(" ".join(f"Sentence {number} speaks of oars." for number in range(300)))
    ingest(KnowledgeSettings(documents=papers, chunk_tokens=40), tmp_path / "store")
    assert max(embedder.count_tokens(embedder.embedded)) <= 40


def test_another_embedder_is_refused(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    ingest(KnowledgeSettings(documents=papers), tmp_path / "store")
    kept = embedder.identity
    embedder.identity = HashEmbedder(256, name="another").identity
    with pytest.raises(IndexMismatch) as caught:
        ingest(KnowledgeSettings(documents=papers), tmp_path / "store")
    assert "Set knowledge.embedder back to 'hash'" in caught.value.hint
    assert f"remove {tmp_path / 'store'} and run: housevoice ingest" in caught.value.hint
    # Both remedies work: back to the old one, or everything anew with the new one.
    embedder.identity = kept
    assert len(ingest(KnowledgeSettings(documents=papers), tmp_path / "store").unchanged) == 3
    shutil.rmtree(tmp_path / "store")
    embedder.identity = HashEmbedder(256, name="another").identity
    assert len(ingest(KnowledgeSettings(documents=papers), tmp_path / "store").added) == 3
    with Knowledge.open(tmp_path / "store", embedder) as knowledge:
        assert "38 hours" in knowledge.search("How long does the Ember lamp burn?", k=1)[0].text


def test_embeddings_of_langchain_can_be_handed_over(papers: Path, tmp_path: Path) -> None:
    from langchain_core.embeddings import DeterministicFakeEmbedding

    embeddings = DeterministicFakeEmbedding(size=16)
    assert len(ingest(KnowledgeSettings(documents=papers), tmp_path / "store", embedder=embeddings).added) == 3
    assert len(ingest(KnowledgeSettings(documents=papers), tmp_path / "store", embedder=embeddings).unchanged) == 3


def test_the_search_command_filters(small_bot: Path, embedder: HashEmbedder) -> None:
    from typer.testing import CliRunner

    from demo.command import app

    def sources(*options: str) -> set[str]:
        done = CliRunner().invoke(app, ["search", str(small_bot), "Ember lamp", "--json", *options])
        assert done.exit_code == 0
        return {json.loads(line)["source"] for line in done.stdout.splitlines()}

    assert sources() == {"lamp.md", "shop.txt", "kite.md"}
    assert sources("--source", "kite.md") == {"kite.md"}
    assert sources("--source", "kite.md", "--source", "shop.txt") == {"kite.md", "shop.txt"}
    assert sources("--type", "txt") == {"shop.txt"}
    assert sources("--type", "md", "--where", "source!=lamp.md") == {"kite.md"}


def test_a_bot_is_searched_as_its_settings_say(papers: Path, tmp_path: Path, embedder: HashEmbedder) -> None:
    place = BotFolder(tmp_path)
    settings = KnowledgeSettings(documents=papers, mmr=0.7, reranker="some/model", join_neighbours=2)
    with pytest.raises(DataError, match="holds no knowledge"):
        open_knowledge(place, BotConfig(name="a", knowledge=settings))
    ingest(settings, place.knowledge)
    knowledge = open_knowledge(place, BotConfig(name="a", knowledge=settings))
    assert knowledge is not None
    assert knowledge.options == SearchOptions(0.7, "some/model", 2)
    knowledge.close()


def test_a_locked_folder_is_left_before_the_embedder_is_loaded(
    papers: Path, tmp_path: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(KnowledgeSettings(documents=papers), tmp_path / "store")
    monkeypatch.setattr("toolkit.embedding.load_embedder", None)
    with Knowledge.open(tmp_path / "store", embedder) as knowledge, knowledge.writing():
        started = time.perf_counter()
        with pytest.raises(StoreLocked, match="is locked"):
            ingest(KnowledgeSettings(documents=papers), tmp_path / "store")
        assert time.perf_counter() - started < 2.0


def test_no_embedder_is_loaded_to_do_nothing(
    papers: Path, tmp_path: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KnowledgeSettings(documents=papers)
    first = ingest(settings, tmp_path / "store")
    monkeypatch.setattr("toolkit.embedding.BUNDLED_NAME", embedder.identity.name)

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("an embedder was loaded")

    monkeypatch.setattr("toolkit.embedding.load_embedder", refuse)
    again = ingest(settings, tmp_path / "store")
    assert (sorted(again.unchanged), again.chunks) == (sorted(DOCUMENTS), first.chunks)
    changed = settings.model_copy(update={"chunk_tokens": settings.chunk_tokens - 1})
    with pytest.raises(AssertionError, match="was loaded"):
        ingest(changed, tmp_path / "store")
    (papers / "lamp.md").write_text("# Ember lamp\n\nThe Ember lamp burns for 44 hours.\n")
    with pytest.raises(AssertionError, match="was loaded"):
        ingest(settings, tmp_path / "store")
