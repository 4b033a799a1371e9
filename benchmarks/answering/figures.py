"""Figures beside their bars and their peers, as a table and as JSON; work that Ctrl-C ends with what is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

Form = Literal["share", "score", "ms", "count", "difference"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Figure:
    """One line of a table.

    Attributes:
        name: What was measured.
        ours: The figure; None where there was nothing to measure on.
        bar: What it is to reach.
        at_most: Whether the bar is an upper one.
        peer: The same measure of what it is compared with, in the same run.
        form: How it is printed.
        of: How many cases it was measured on.
    """

    name: str
    ours: float | None
    bar: float | None = None
    at_most: bool = False
    peer: float | None = None
    form: Form = "share"
    of: int | None = None

    @property
    def met(self) -> bool | None:
        """Tell whether the bar is reached; None without a bar or without a figure."""
        if self.bar is None or self.ours is None:
            return None
        return self.ours <= self.bar if self.at_most else self.ours >= self.bar

    def row(self) -> list[str]:
        """Return the cells of the line."""
        bar = "" if self.bar is None else ("at most " if self.at_most else "") + shown(self.bar, self.form)
        verdict = {True: "yes", False: "no", None: ""}[self.met]
        count = "" if self.of is None else str(self.of)
        peer = "" if self.peer is None else shown(self.peer, self.form)
        return [self.name, count, bar, shown(self.ours, self.form), peer, verdict]


def shown(value: float | None, form: Form) -> str:
    """Return a figure as it is printed."""
    if value is None:
        return "-"
    forms = {"share": f"{value:.1%}", "score": f"{value:.3f}", "ms": f"{value:.0f} ms", "count": f"{value:.0f}"}
    return forms.get(form, f"{value:+.3f}")


@dataclass
class Report:
    """What one sub-command found, filled while it runs.

    Attributes:
        name: The sub-command.
        figures: The lines so far.
        notes: What a reader has to know of the run, printed under the table.
        details: Every question with its reply and what the measures said of it.
        stopped: Whether Ctrl-C ended the work; what is asked for after it is not begun.
    """

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False

    def add(self, name: str, ours: float | None, bar: float | None = None, **more: Any) -> None:
        """Add a line; see :class:`Figure`."""
        self.figures.append(Figure(name, ours, bar, **more))

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def work(
        self, label: str, do: Callable[[list[Item]], Iterable[Result]], items: Sequence[Item], size: int = 8
    ) -> list[Result]:
        """Do work in parts, telling on stderr how far it is.

        Args:
            label: What is being done.
            do: Does a part.
            items: All there is to do.
            size: Items in a part.

        Returns:
            The results of the parts that were done: all of them, unless Ctrl-C ended the work here or before.
        """
        done: list[Result] = []
        try:
            for start in range(0, 0 if self.stopped else len(items), size):
                done += do(list(items[start : start + size]))
                print(f"\r{label}: {len(done)} of {len(items)} ", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            self.stopped = True
        if len(done) < len(items):
            self.note(f"stopped: {label.lower()} got to {len(done)} of {len(items)}")
        print(file=sys.stderr)
        return done

    def table(self) -> str:
        """Return the lines under their headings, and the notes."""
        rows = [["figure", "of", "bar", "ours", "peer", "reached"], *(figure.row() for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = [f"== {self.name}"]
        for row in rows:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *(f"  ({note})" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        figures = [asdict(figure) | {"met": figure.met} for figure in self.figures]
        return {"figures": figures, "notes": self.notes, "stopped": self.stopped, "details": self.details}


def share(hits: Iterable[bool]) -> float | None:
    """Return the share of hits, or None where there was nothing to hit."""
    found = list(hits)
    return sum(found) / len(found) if found else None


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
