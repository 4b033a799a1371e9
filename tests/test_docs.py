"""The documentation tells the truth: its Python runs, on the doubles; its settings, rows, commands and links exist."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import pkgutil
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import pipelines
import toolkit
from tests.conftest import write_sources
from tests.pages import GENERATED, PAGES, ROOT, anchors, blocks, command_lines, housevoice_calls, links
from toolkit.config import BotConfig
from toolkit.examples import read_examples
from toolkit.scoring import read_questions
from toolkit.testing import HashEmbedder

DOCS = ROOT / "docs"
LONGEST_PAGE = 120  # lines
# The one has the tree, the other is tables.
MAY_BE_LONG = ("README.md", "measurements.md")
# The `chroma` command comes with chromadb, and these with the system.
OTHER_COMMANDS = {"make", "pip", "python", "python3", "grep", "time", "pytest", "chroma", "housevoice"}


def named(page: Path) -> str:
    return page.name


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def modules() -> Iterator[ModuleType]:
    """Import every module of the toolkit and the pipelines."""
    for package in (toolkit, pipelines):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


@pytest.fixture
def workplace(
    small_bot: Path, tiny_base: Path, embedder: HashEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Go where the examples are at home: sources in ``mybot``, their bot in ``bots/mybot``, all on doubles."""
    import toolkit.models.loading
    import toolkit.store.derived

    connect = toolkit.store.derived.connect

    def connect_here(folder: Path, server: tuple[str, int] | None, spelling: int = 1) -> Any:
        """Let a folder stand in for a Chroma server; tests/faults has a real one."""
        return connect(tmp_path / "server" if server else folder, None, spelling)

    (tmp_path / "server").mkdir()
    monkeypatch.setattr(toolkit.store.derived, "connect", connect_here)
    monkeypatch.setattr(toolkit.models.loading, "bundled_folder", lambda *args, **options: tiny_base)
    sources = write_sources(tmp_path / "mybot", tiny_base)
    sources.change(output="../bots/mybot")
    for name in ("mybot", "sample"):
        shutil.copytree(small_bot, tmp_path / "bots" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_all(page: Path) -> dict[str, Any]:
    """Run all Python blocks of a page as one program."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        line = page.read_text(encoding="utf-8").split(block)[0].count("\n")
        exec(compile("\n" * line + block, str(page), "exec"), names)  # noqa: S102 - the pages are ours
    return names


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=named)
def test_the_python_of_a_page_runs(page: Path, workplace: Path) -> None:
    run_all(page)


def with_examples() -> list[doctest.DocTest]:
    """Return the examples in the docstrings."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for module in modules() for test in finder.find(module) if test.examples]


def test_the_examples_in_the_docstrings_run(workplace: Path) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    tests = with_examples()
    for test in tests:
        runner.run(test, out=said.append)
    assert len(tests) >= 10
    assert not runner.summarize(verbose=False).failed, "".join(said)


def test_the_examples_name_no_double_where_a_person_would_not() -> None:
    for page in PAGES:
        for block in blocks(page, "python"):
            assert "HashEmbedder" not in block or "toolkit.testing" in block, page


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_settings_of_a_page_exist(page: Path) -> None:
    for block in blocks(page, "yaml"):
        BotConfig.model_validate({"name": "mybot", "knowledge": {}} | yaml.safe_load(block))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_rows_of_a_page_are_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "json", "jsonl"):
        file = tmp_path / "rows.jsonl"
        file.write_text(block, encoding="utf-8")
        if "question" in json.loads(block.splitlines()[0]):
            assert read_questions(file)
        else:
            assert read_examples(file)


def command_line() -> Any:
    import typer.main

    from demo.command import app

    return typer.main.get_command(app)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    known = command_line().commands
    for words in housevoice_calls(page):
        if words[0].startswith("-"):
            continue
        assert words[0] in known, words
        options = {name for parameter in known[words[0]].params for name in parameter.opts} | {"--help"}
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0] in options, words
    for line in command_lines(page):
        assert Path(shlex.split(line, comments=True)[0]).name in OTHER_COMMANDS, line


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_make_targets_and_scripts_of_a_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in command_lines(page):
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert words[1] in targets, line
        for word in words:
            if word.endswith(".py") and not word.startswith("-"):
                assert (ROOT / word).is_file(), line


@pytest.mark.parametrize("page", [*PAGES, *(DOCS / name for name in GENERATED)], ids=named)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, name = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not name or name in anchors(target), link


def test_no_page_is_long() -> None:
    lengths = {page.name: len(page.read_text(encoding="utf-8").splitlines()) for page in PAGES}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_PAGE and name not in MAY_BE_LONG}


def test_every_page_can_be_reached() -> None:
    reached = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    assert {page for page in DOCS.glob("*.md") if page.name != "README.md"} <= reached


def test_the_command_line_page_is_what_the_commands_say() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == _generator().command_line(), "run: make docs"


def test_the_table_of_methods_is_what_the_methods_say() -> None:
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert page == _generator().with_table(page), "run: make docs"


def test_the_configuration_page_is_what_the_settings_say() -> None:
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == _generator().configuration(), "run: make docs"
