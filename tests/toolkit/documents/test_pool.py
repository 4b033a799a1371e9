"""Reading in child processes: results, limits, crashes, archives, and what is not read again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from toolkit.documents import FoundFile, ParsedFile, ParseLimits, find_files, parse_files
from toolkit.documents.chunking import chunk_documents, embedding_text
from toolkit.documents.worker import Overrun, Worker

ROOT = Path(__file__).resolve().parents[3]


def _read(folder: Path, **options: object) -> dict[str, ParsedFile]:
    return {parsed.source: parsed for parsed in parse_files(find_files([folder]), **options)}  # type: ignore[arg-type]


def _job(path: Path) -> dict[str, object]:
    return {"path": os.fsencode(path).hex(), "name": path.name, "seconds": 30, "memory_bytes": 1 << 30}


def test_documents_carry_what_the_other_rooms_rely_on(tmp_path: Path) -> None:
    data = b"# Guide\n\n## Start\n\nPress the button.\n"
    (tmp_path / "guide.md").write_bytes(data)
    os.utime(tmp_path / "guide.md", (1_700_000_000, 1_700_000_000))
    parsed = _read(tmp_path)["guide.md"]
    assert (parsed.type, parsed.error, parsed.unchanged) == ("md", None, False)
    (document,) = parsed.documents
    assert document.page_content == "Press the button."
    assert document.metadata == {
        "source": "guide.md",
        "type": "md",
        "heading": "Guide > Start",
        "title": "Guide",
        "sha256": hashlib.sha256(data).hexdigest(),
        "start": len("Guide\n\nStart\n\n"),
        "date": "2023-11-14",
    }


def test_the_date_is_the_documents_own_else_the_files_and_moves_no_chunk(tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("---\ntitle: A\ndate: 2020-02-01\nlastmod: '2021-03-04T10:00:00Z'\n---\nText.")
    (tmp_path / "none.md").write_text("Text.")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("one.md", (2019, 5, 6, 0, 0, 0)), "One.")
        archive.writestr(zipfile.ZipInfo("timeless.md"), "Two.")
        archive.writestr("mail.eml", "From: a@b.c\nTo: d@e.f\nDate: Mon, 07 Aug 2017 23:30:00 -0500\nSubject: x\n\nHi.")
    seen = []
    for seconds in (1_600_000_000, 1_700_000_000):
        for path in tmp_path.iterdir():
            os.utime(path, (seconds, seconds))
        found = _read(tmp_path)
        dates = [document.metadata["date"] for parsed in found.values() for document in parsed.documents]
        chunks = [
            chunk
            for parsed in found.values()
            for chunk in chunk_documents(parsed.documents, count_tokens=_words, max_tokens=99)
        ]
        seen.append((dates, [(chunk.metadata["id"], embedding_text(chunk)) for chunk in chunks]))
    assert seen[0][0] == ["2019-05-06", "2020-09-13", "2017-08-07", "2020-09-13", "2021-03-04"]
    assert seen[1][0] == ["2019-05-06", "2023-11-14", "2017-08-07", "2023-11-14", "2021-03-04"]
    assert seen[0][1] == seen[1][1]


def _words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_a_bad_file_is_named_and_the_rest_goes_in(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Good.")
    (tmp_path / "b.docx").write_bytes(b"PK\x03\x04 no office file")
    (tmp_path / "c.md").write_text("Good too.")
    found = _read(tmp_path)
    assert [bool(found[name].documents) for name in ("a.md", "b.docx", "c.md")] == [True, False, True]
    assert "damaged" in str(found["b.docx"].error)


def test_a_file_with_a_known_hash_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "same.md").write_text("Same.")
    (tmp_path / "new.md").write_text("New.")
    known = {"same.md": hashlib.sha256(b"Same.").hexdigest(), "new.md": hashlib.sha256(b"Old.").hexdigest()}
    found = _read(tmp_path, known=known)
    assert found["same.md"].unchanged and not found["same.md"].documents
    assert found["same.md"].sha256 == known["same.md"]
    assert not found["new.md"].unchanged and found["new.md"].documents


def test_several_workers_give_the_same_as_one(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.md").write_text(f"# Note {number}\n\nText {number}.")
    one, three = _read(tmp_path, workers=1), _read(tmp_path, workers=3)
    assert list(one) == sorted(one)
    assert {k: v.documents for k, v in one.items()} == {k: v.documents for k, v in three.items()}


def test_a_file_over_its_time_is_stopped_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "a-slow.md").write_text("[" * 300_000 + "*a " * 2_000_000)
    (tmp_path / "b.md").write_text("Good.")
    begin = time.monotonic()
    found = _read(tmp_path, limits=ParseLimits(seconds=0.7))
    assert time.monotonic() - begin < 5
    assert found["a-slow.md"].error == "stopped after 0.7 s"
    assert found["b.md"].documents


def test_a_file_over_its_memory_is_stopped_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "a-large.json").write_text("[" + "1," * 8_000_000 + "1]")
    (tmp_path / "b.md").write_text("Good.")
    (tmp_path / "c-huge.txt").write_bytes(b"x")
    os.truncate(tmp_path / "c-huge.txt", 300 << 20)
    found = _read(tmp_path, limits=ParseLimits(memory_bytes=150 << 20))
    assert "150 MiB" in str(found["a-large.json"].error)
    assert found["b.md"].documents
    assert found["c-huge.txt"].error == "larger than the memory limit of 150 MiB"


def test_a_worker_that_dies_is_named_and_replaced(tmp_path: Path) -> None:
    slow, good = tmp_path / "slow.md", tmp_path / "good.md"
    slow.write_text("[" * 300_000 + "*a " * 2_000_000)
    good.write_text("Good.")
    worker = Worker()
    try:
        assert worker.ask(_job(good), 30, 1 << 30)["type"] == "md"
        assert worker.pid is not None
        threading.Timer(0.3, os.kill, (worker.pid, signal.SIGSEGV)).start()
        with pytest.raises(Overrun, match="crashed .signal 11"):
            worker.ask(_job(slow), 30, 1 << 30)
        assert worker.ask(_job(good), 30, 1 << 30)["type"] == "md"
    finally:
        worker.stop()


def test_closing_the_iterator_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Text.")
    (tmp_path / "b-slow.md").write_text("[" * 300_000 + "*a " * 2_000_000)
    results = parse_files(find_files([tmp_path]), workers=2)
    next(results)
    begin = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begin < 1.5
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("reader")]
    assert names == []


def test_an_archive_is_read_member_by_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("docs/one.md", "# One\n\nFirst.")
        archive.writestr("../../two.csv", "Item,Price\nTea,4\n")
        archive.writestr("bad.docx", b"PK\x03\x04")
        archive.writestr("__MACOSX/x", "litter")
    parsed = _read(tmp_path)["all.zip"]
    assert parsed.error is None and parsed.type == "zip"
    assert [w.partition(":")[0] for w in parsed.warnings] == ["bad.docx"]
    first, second = parsed.documents
    assert (first.metadata["member"], first.metadata["heading"]) == ("docs/one.md", "docs/one.md > One")
    assert (first.metadata["type"], first.metadata["source"]) == ("md", "all.zip")
    assert (second.metadata["member"], second.page_content) == ("two.csv", "Item: Tea; Price: 4")
    assert second.metadata["start"] > first.metadata["start"] + len(first.page_content)


def test_an_archive_without_anything_readable_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.png", b"\x89PNG rest")
    assert "x.png: an image" in str(_read(tmp_path)["a.zip"].error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX systems")
def test_a_pipe_that_takes_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "late.md")
    file = FoundFile(tmp_path / "late.md", "late.md")
    (parsed,) = parse_files([file], limits=ParseLimits(seconds=5))
    assert parsed.error == "not an ordinary file"
    (gone,) = parse_files([FoundFile(tmp_path / "gone.md", "gone.md")])
    assert "not readable" in str(gone.error)


def test_the_child_starts_fast_and_without_heavy_libraries() -> None:
    code = (
        "import sys; import toolkit.documents.child, toolkit.documents.readers\n"
        "heavy = {'torch', 'transformers', 'numpy', 'langchain_core', 'chromadb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert time.monotonic() - begin < 2  # 0.1 s on an idle machine
