"""The commands that make a bot: init, build, ingest, tune, compare, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import Accept, ConfigPath, Method
from pipelines.cli.exits import USER_ERROR
from pipelines.cli.screen import progress, say, show_marked


def init(folder: Annotated[Path, typer.Argument(help="A new folder for the bot's sources.")]) -> None:
    """Lay out a folder for a new bot: a commented bot.yaml, documents/ and voice.jsonl."""
    from pipelines.init import lay_out_sources

    for path in lay_out_sources(folder):
        typer.echo(path)
    say(f"Put documents into {folder}/documents and replies into {folder}/voice.jsonl, then:")
    say(f"  housevoice build {folder}/bot.yaml")


def build(config: ConfigPath, method: Method = None, accept: Accept = False) -> None:
    """Ingest, tune and measure; what did not change is not done again."""
    _run_build(config, ("ingest", "tune", "evaluate"), method, accept)


def ingest(config: ConfigPath) -> None:
    """Bring the knowledge in step with the documents."""
    _run_build(config, ("ingest",))


def tune(config: ConfigPath, method: Method = None, accept: Accept = False) -> None:
    """Train the voice on the example replies and the passages found for them, and then on preferences."""
    _run_build(config, ("tune",), method, accept)


def compare(
    config: ConfigPath,
    methods: Annotated[str | None, typer.Option(help="Methods, with commas between; default: all.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows; default: as in bot.yaml.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates of each method, in place of passes.")] = None,
    limit_rows: Annotated[int | None, typer.Option(min=1, help="Most rows to train on, spread over all.")] = None,
    install: Annotated[str | None, typer.Option(help="Put a finished method's adapter into the bot's place.")] = None,
) -> None:
    """Tune the voice in several ways on the same rows and lay their cost and their quality side by side."""
    from pipelines.comparing import compare as run
    from pipelines.comparing import install as put_in_place

    if install:
        typer.echo(put_in_place(config, install, on_note=say))
        say(f"To build with it from now on, put into the section voice of {config}: 'method: {install}'.")
        return
    names = [name.strip() for name in methods.split(",") if name.strip()] if methods else None
    with progress() as on_progress:
        result = run(
            config, methods=names, epochs=epochs, steps=steps, limit_rows=limit_rows,
            on_progress=on_progress, on_note=say,
        )  # fmt: skip
    say(f"Done: {result.folder / 'compare.html'}")
    typer.echo((result.folder / "compare.md").read_text(encoding="utf-8"))


def doctor(config: ConfigPath) -> None:
    """Check a bot.yaml, its inputs, its replies as the base sees them, and this machine, without building."""
    from pipelines.doctor import examine

    healthy = True
    with progress() as on_progress:
        for check in examine(config, on_progress=on_progress):
            word = "BAD " if not check.ok else "note" if check.note else "ok  "
            typer.echo(f"{word} {check.what}: {check.found}")
            for prompt in check.prompts:
                show_marked(prompt)
            healthy = healthy and check.ok
    if not healthy:
        raise typer.Exit(USER_ERROR)


def _run_build(config: Path, steps: tuple[str, ...], method: str | None = None, accept: bool = False) -> None:
    """Build with progress on the screen."""
    from pipelines.build import build as run

    with progress() as on_progress:
        result = run(config, steps=steps, method=method, accept=accept, on_progress=on_progress, on_note=say)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    say(f"Done: {result.folder} ({spent or 'nothing had changed'})")
    typer.echo(result.folder)
