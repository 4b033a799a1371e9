"""Tables, JSON and what Ctrl-C leaves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import answers
from benchmarks.answering.figures import Figure, Report, share


def test_a_bar_is_reached_or_not() -> None:
    assert Figure("a", 0.9, 0.88).met is True
    assert Figure("a", 0.87, 0.88).met is False
    assert Figure("a", 0.09, 0.08, at_most=True).met is False
    assert Figure("a", 0, 0, at_most=True, form="count").met is True
    assert Figure("a", None, 0.5).met is None
    assert Figure("a", 0.5).met is None


def test_a_table_shows_figures_bars_and_peers() -> None:
    report = Report("sample")
    report.add("facts", 0.9, 0.88, of=64)
    report.add("wrong", 3, 0, at_most=True, form="count", of=20)
    report.add("slow", 140.2, 120.0, at_most=True, form="ms", peer=500.0)
    report.note("two cores")
    report.note("two cores")
    lines = report.table().splitlines()
    assert lines[2].split() == ["facts", "64", "88.0%", "90.0%", "yes"]
    assert lines[3].split() == ["wrong", "20", "at", "most", "0", "3", "no"]
    assert lines[4].split() == ["slow", "at", "most", "120", "ms", "140", "ms", "500", "ms", "no"]
    assert lines[5:] == ["  (two cores)"]


def test_share_of_nothing_is_nothing() -> None:
    assert share([]) is None
    assert share([True, False]) == 0.5


def test_ctrl_c_keeps_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("sample")

    def work(part: list[int]) -> list[int]:
        if 4 in part:
            raise KeyboardInterrupt
        return [2 * item for item in part]

    assert report.work("Doubling", work, list(range(6)), 2) == [0, 2, 4, 6]
    assert report.stopped
    assert report.work("Doubling again", work, [1]) == []
    assert "doubling got to 4 of 6" in report.notes[0]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "4 of 6" in captured.err


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a function in the place of each sub-command's."""
    runs: dict[str, Any] = {}

    def find(name: str) -> SimpleNamespace:
        return SimpleNamespace(run=runs.get(name.rpartition(".")[2], lambda report, options: None))

    monkeypatch.setattr(answers.importlib, "import_module", find)
    return runs


def test_all_runs_what_has_its_arguments(modules: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert answers.main(["all", "--bot", "b"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("==")] == [
        "== sample",
        "== follow-ups",
        "== tables",
        "== overhead",
        "== agent",
    ]
    answers.main(["all", "--squad", "s", "--data", "d"])
    shown = capsys.readouterr().out
    assert "== squad" in shown and "== reader" in shown and "== follow-ups" in shown and "== faq" not in shown


def test_json_is_written_and_ctrl_c_ends_with_130(
    modules: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(report: Report, options: Any) -> None:
        report.add("facts", 0.5, 0.88, of=2)
        raise KeyboardInterrupt

    modules["sample"] = run
    file = tmp_path / "out.json"
    assert answers.main(["all", "--bot", "b", "--json", str(file)]) == 130
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["sample"]["figures"][0] | {"ours": 0.5, "met": False, "of": 2} == found["sample"]["figures"][0]
    assert found["sample"]["stopped"] and "follow-ups" not in found
    assert "50.0%" in capsys.readouterr().out


def test_every_sub_command_parses_with_the_options_of_all() -> None:
    parse = answers.parser().parse_args
    options = parse(["squad", "dev.json", "--limit", "5"])
    assert (options.squad, options.limit, options.bot, options.data) == (Path("dev.json"), 5, None, None)
    assert parse(["follow-ups", "bot"]).data is None
    assert parse(["follow-ups", "bot", "data"]).data == Path("data")
    assert parse(["faq", "docs", "--voice", "v.jsonl"]).voice == Path("v.jsonl")
    assert parse(["reader", "data", "dev.json"]).squad == Path("dev.json")
