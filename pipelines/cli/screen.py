"""The terminal: progress and remarks on standard error, results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from toolkit.progress import Progress

_INDENT = " " * 6  # of what belongs to the line above it


@contextmanager
def progress() -> Iterator[Progress]:
    """Show a bar for each kind of work, on standard error; plain lines where that is no terminal."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            name = what.partition(":")[0]  # its figures change with every step, and it is the same bar
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], description=what, completed=done, total=total)

        yield report


def _plain_progress() -> Progress:
    """Report each tenth of a piece of work as a line, for logs."""
    said: dict[str, int] = {}

    def report(what: str, done: int, total: int) -> None:
        tenth, (name, _, figures) = 10 * done // max(1, total), what.partition(":")
        if tenth > said.get(name, -1):
            said[name] = tenth
            say(f"{name}: {done} of {total}" + (f" ({figures.strip()})" if figures else ""))

    return report


def show_marked(stretches: Sequence[tuple[str, bool]]) -> None:
    """Write a training row to standard output: what is learnt from in colour, or between ``[[`` and ``]]`` in a log.

    Args:
        stretches: Texts, each with whether there is a loss on it.
    """
    if not sys.stdout.isatty():
        from pipelines.doctor.replies import in_marks

        typer.echo("\n".join(_INDENT + line for line in in_marks(stretches).splitlines()))
        return
    from rich.console import Console
    from rich.text import Text

    text = Text()
    for stretch, loss in stretches:
        text.append(stretch, style="bold green" if loss else "dim")
    # As it is: no markup, no emoji, no wrapping in the middle of what the base reads.
    Console(highlight=False, soft_wrap=True).print(Text("\n").join(Text(_INDENT) + line for line in text.split()))


def say(text: str) -> None:
    """Write a line to standard error, where it does not mix with results."""
    typer.echo(text, err=True)


def write(text: str) -> None:
    """Write a piece to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def read_line(prompt: str) -> str | None:
    """Read a line; None where the input has ended."""
    try:
        return input(prompt)
    except EOFError:
        return None
