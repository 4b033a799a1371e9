"""Finding files: what is listed, under which name, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from toolkit.documents import find_files, hash_file
from toolkit.errors import DataError


def _touch(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_is_read_to_its_depth_and_in_order(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.txt", "a/deep/d.md"):
        _touch(tmp_path / name)
    assert [file.source for file in find_files([tmp_path])] == ["a/c.txt", "a/deep/d.md", "b.md"]


def test_hidden_files_and_litter_are_passed_over_but_not_names_with_two_dots(tmp_path: Path) -> None:
    for name in (".git/config", ".hidden.md", "__pycache__/x.md", "~$open.docx", "Thumbs.db", "..dots..md"):
        _touch(tmp_path / name)
    assert [file.source for file in find_files([str(tmp_path)])] == ["..dots..md"]


def test_a_pattern_gives_sources_below_its_fixed_part(tmp_path: Path) -> None:
    for name in ("docs/a.md", "docs/in/b.md", "docs/c.txt", "docs/.git/d.md"):
        _touch(tmp_path / name)
    assert [file.source for file in find_files([f"{tmp_path}/docs/**/*.md"])] == ["a.md", "in/b.md"]


def test_a_file_given_twice_is_listed_once_and_alone_by_its_name(tmp_path: Path) -> None:
    file = _touch(tmp_path / "docs/a.md", "hello")
    found = find_files([file, tmp_path / "docs"])
    assert [(entry.source, entry.size) for entry in found] == [("a.md", 5)]


def test_two_folders_with_the_same_names_keep_both_files(tmp_path: Path) -> None:
    _touch(tmp_path / "one/readme.md")
    _touch(tmp_path / "two/readme.md")
    found = find_files([tmp_path / "one", tmp_path / "two"])
    assert [file.source for file in found] == ["readme.md", "two/readme.md"]


def test_what_does_not_exist_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        find_files([tmp_path / "missing"])
    assert caught.value.hint
    with pytest.raises(DataError, match="Nothing matches"):
        find_files([f"{tmp_path}/*.md"])


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert find_files([tmp_path]) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and links of POSIX systems")
def test_pipes_and_links_that_lead_out_or_in_circles_are_listed_with_the_reason(tmp_path: Path) -> None:
    inside = tmp_path / "docs"
    good = _touch(inside / "good.md")
    outside = _touch(tmp_path / "secret.txt")
    os.mkfifo(inside / "pipe")
    (inside / "circle").symlink_to(inside / "circle")
    (inside / "escape").symlink_to(outside)
    (inside / "folder").symlink_to(tmp_path)
    (inside / "gone").symlink_to(tmp_path / "nothing")
    (inside / "link.md").symlink_to(good)
    problems = {file.source: file.problem for file in find_files([inside])}
    assert problems.pop("good.md") is None
    assert problems.pop("link.md") is None
    words = {"pipe": "pipe", "circle": "circle", "escape": "leads out", "folder": "folder", "gone": "nowhere"}
    assert problems.keys() == words.keys()
    for source, word in words.items():
        assert word in str(problems[source])


def test_names_that_would_break_a_line_are_written_with_escapes(tmp_path: Path) -> None:
    _touch(tmp_path / "two\nlines.md")
    (file,) = find_files([tmp_path])
    assert file.source == "two\\nlines.md"
    assert file.path.read_text() == "x"


def test_the_hash_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    file = _touch(tmp_path / "a.bin", "some bytes")
    assert hash_file(file) == hashlib.sha256(b"some bytes").hexdigest()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX systems")
def test_hashing_a_pipe_fails_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not an ordinary file"):
        hash_file(tmp_path / "pipe")
