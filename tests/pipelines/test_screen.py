"""The terminal: one bar, or a line each tenth, for a piece of work whose figures change all the time."""

from __future__ import annotations

import io
import sys

import pytest

from pipelines.cli.screen import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_figures_change_on_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with progress() as report:
        for step in range(1, 4):
            report(f"Tuning the voice: loss {4 - step}.0, 0:0{3 - step} left", step, 3)
    last = terminal.getvalue().rpartition("\x1b[2K")[2]  # what stands there once the lines before were wiped
    assert last.count("Tuning the voice") == 1
    assert "Tuning the voice: loss 1.0, 0:00 left" in last
    assert "3/3" in last


def test_a_log_tells_the_figures_of_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        for step in range(1, 101):
            report(f"Tuning the voice: loss {step}.0", step, 100)
        report("Reading", 1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert lines[10] == "Tuning the voice: 100 of 100 (loss 100.0)"
    assert lines[11] == "Reading: 1 of 1"
