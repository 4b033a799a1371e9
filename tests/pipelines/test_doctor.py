"""The doctor: looks at everything, and goes on after a fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.doctor import Check, examine
from tests.conftest import Sources
from toolkit.testing import HashEmbedder


def look(config: Path) -> dict[str, Check]:
    return {check.what: check for check in examine(config)}


def test_a_healthy_bot_is_all_right(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    (sources.folder / "q.jsonl").write_text('{"question": "Who?", "unanswerable": true}\n')
    sources.change(evaluation={"questions": "q.jsonl"})
    found = look(sources.config)
    assert all(check.ok for check in found.values()), [check for check in found.values() if not check.ok]
    assert set(found) == {
        "settings", "example replies", "documents", "questions", "device", "base model", "embedder", "free disk",
        "libraries",
    }  # fmt: skip
    assert found["documents"].found == "3 files"
    assert found["base model"].found == str(tiny_base)
    assert "256 dimensions" in found["embedder"].found


def test_every_fault_is_found(make_sources: Callable[..., Sources], embedder: HashEmbedder) -> None:
    sources = make_sources("/nowhere/at/all")
    sources.voice.write_text("{}\n")
    for file in sources.documents.iterdir():
        file.unlink()
    sources.change(evaluation={"questions": "none.jsonl"})
    found = look(sources.config)
    bad = {what for what, check in found.items() if not check.ok}
    assert bad == {"example replies", "documents", "questions", "base model"}
    assert "line 1" in found["example replies"].found
    assert "libraries" in found


def test_bad_settings_end_the_examination(tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_text("name: a\nvoise: {}\n")
    checks = list(examine(tmp_path / "bot.yaml"))
    assert [check.ok for check in checks] == [False]
    assert "did you mean 'voice'?" in checks[0].found


def test_documents_may_be_a_glob(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> None:
    sources = make_sources(tiny_base)
    sources.change(knowledge={"documents": "documents/*.md"})
    check = look(sources.config)["documents"]
    assert (check.ok, check.found) == (True, "2 files")


def test_a_bot_of_one_half_is_looked_at(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    sources.change(voice=None)
    assert "example replies" not in look(sources.config)
