"""The README tells the truth: its commands exist and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

if not README.is_file():
    pytest.skip("there is no README.md", allow_module_level=True)


def blocks(*languages: str) -> list[str]:
    """Return the code blocks of the README that are in one of the languages."""
    text = README.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


def command_lines() -> list[str]:
    """Return the commands of all shell blocks, continued lines joined and comments left out."""
    lines = []
    for block in blocks("bash", "sh", "shell", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line and not line.startswith("#"):
                lines.append(line)
    return lines


def housevoice_calls() -> list[list[str]]:
    """Return the words of every call of housevoice, in blocks and in the running text."""
    text = README.read_text(encoding="utf-8")
    inline = [code for code in re.findall(r"`([^`\n]+)`", text) if code.startswith("housevoice ")]
    calls = [line for line in [*command_lines(), *inline] if re.match(r"(?:\.venv/bin/)?housevoice\s", line)]
    return [shlex.split(call, comments=True)[1:] for call in calls]


def command_line() -> Any:
    import typer.main

    from demo.command import app

    return typer.main.get_command(app)


def test_the_commands_of_the_readme_exist() -> None:
    known = command_line().commands
    calls = housevoice_calls()
    assert calls
    for words in calls:
        if words[0].startswith("-"):
            continue
        assert words[0] in known, words
        options = {name for parameter in known[words[0]].params for name in parameter.opts} | {"--help"}
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0] in options, words


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [shlex.split(line)[1] for line in command_lines() if line.startswith("make ")]
    assert named
    assert set(named) <= targets


def test_the_scripts_and_files_of_the_readme_exist() -> None:
    for line in command_lines():
        for word in shlex.split(line, comments=True):
            if word.endswith(".py") and not word.startswith("-"):
                assert (ROOT / word).is_file(), line


def test_every_module_is_in_the_tree() -> None:
    text = README.read_text(encoding="utf-8")
    layers = [ROOT / layer for layer in ("toolkit", "pipelines", "demo")]
    rooms = [file.parent for layer in layers for file in layer.glob("*/__init__.py")]
    modules = [file for layer in layers for file in layer.glob("*.py") if not file.name.startswith("__")]
    missing = [str(path.relative_to(ROOT)) for path in (*rooms, *modules) if path.stem not in text]
    assert not missing


@pytest.mark.e2e
def test_the_python_of_the_readme_runs(
    sample_bot_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run all Python blocks as one program, with the sample bot in the place of ``bots/mybot``."""
    code = blocks("python")
    assert code
    (tmp_path / "bots").mkdir()
    for name in ("mybot", "sample"):
        (tmp_path / "bots" / name).symlink_to(sample_bot_folder)
    (tmp_path / "mybot").symlink_to(ROOT / "data")
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in code:
        exec(compile(block, str(README), "exec"), names)  # noqa: S102 - the README is ours
    if "answer" in names and hasattr(names["answer"], "text"):
        assert names["answer"].text
