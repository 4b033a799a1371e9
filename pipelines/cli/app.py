"""The command line, put together from its commands."""

from __future__ import annotations

from collections.abc import Callable

import typer

from pipelines.cli import consulting, making, measuring, serving, taking
from pipelines.cli.exits import run


def new_app() -> typer.Typer:
    """Return the command line of the jobs; the page is a layer further out and adds its own command."""
    app = typer.Typer(
        name="housevoice",
        help="A chatbot that knows your documents and speaks in your voice, on your own machine.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    commands: tuple[Callable[..., None], ...] = (
        making.init, making.build, making.ingest, making.tune, making.compare,
        consulting.chat, consulting.ask, consulting.search, taking.export, serving.serve,
    )  # fmt: skip
    for command in commands:
        app.command()(command)
    app.command("eval")(measuring.eval_)
    app.command()(making.doctor)
    return app


def main() -> None:
    """Run the command line of the jobs, without the page."""
    run(new_app())
