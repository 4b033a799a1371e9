"""The command line: the only place where errors become sentences and exit codes."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from toolkit.chain import Answer

app = typer.Typer(
    name="housevoice",
    help="A chatbot that knows your documents and speaks in your voice, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[Path, typer.Argument(metavar="BOT_YAML", help="The bot.yaml, or the folder that holds it.")]
BotPath = Annotated[Path, typer.Argument(metavar="BOT", help="The bot folder that `build` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoVoice = Annotated[bool, typer.Option("--no-voice", help="Answer without the adapter.")]
NoKnowledge = Annotated[bool, typer.Option("--no-knowledge", help="Answer without the documents.")]
Device = Annotated[str | None, typer.Option(help="Where the model runs: auto, cpu, cuda or mps.")]

USER_ERROR = 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line; a :class:`HousevoiceError` becomes one message and exit code 2."""
    from toolkit.errors import HousevoiceError, Interrupted

    _be_quiet()
    try:
        app()
    except HousevoiceError as error:
        _say(error.message if isinstance(error, Interrupted) else f"Error: {error.message}")
        if error.hint:
            _say(error.hint)
        sys.exit(INTERRUPTED if isinstance(error, Interrupted) else USER_ERROR)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # what Typer makes of Ctrl-C
            _say("Stopped. What was finished is kept; run the same command again to go on.")
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        import errno

        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise
        _say(f"Error: {error.strerror}: {error.filename or 'while writing'}.")
        _say("Free some room, or choose another place with `output` in bot.yaml. What was there before is kept.")
        sys.exit(USER_ERROR)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="A new folder for the bot's sources.")]) -> None:
    """Lay out a folder for a new bot: a commented bot.yaml, documents/ and voice.jsonl."""
    from pipelines.init import lay_out

    for path in lay_out(folder):
        typer.echo(path)
    _say(f"Put documents into {folder}/documents and replies into {folder}/voice.jsonl, then:")
    _say(f"  housevoice build {folder}/bot.yaml")


@app.command()
def build(config: ConfigPath) -> None:
    """Ingest, tune and measure; what did not change is not done again."""
    _run_build(config, ("ingest", "tune", "evaluate"))


@app.command()
def ingest(config: ConfigPath) -> None:
    """Bring the knowledge in step with the documents."""
    _run_build(config, ("ingest",))


@app.command()
def tune(config: ConfigPath) -> None:
    """Train the voice on the example replies and the passages found for them."""
    _run_build(config, ("tune",))


@app.command()
def chat(bot: BotPath, no_voice: NoVoice = False, no_knowledge: NoKnowledge = False, device: Device = None) -> None:
    """Talk with a bot in the terminal."""
    from pipelines.chat import converse

    with _progress() as on_progress:
        loaded = _load(bot, device, on_progress)
    converse(loaded, adapter=not no_voice, knowledge=not no_knowledge, write=_write, read=_read_line)


@app.command()
def ask(
    bot: BotPath,
    question: Annotated[str | None, typer.Argument(help="What to ask.")] = None,
    questions: Annotated[Path | None, typer.Option(help="JSONL with a `question` a line, to ask in bulk.")] = None,
    as_json: AsJson = False,
    no_voice: NoVoice = False,
    no_knowledge: NoKnowledge = False,
    device: Device = None,
) -> None:
    """Ask once, or a file of questions; with --json one object a line."""
    from pipelines.chat import ask_in_bulk, read_bulk, show_answer
    from toolkit.errors import DataError

    if (question is None) == (questions is None):
        raise DataError("Give either a question or --questions FILE.")
    asked = read_bulk(questions) if questions else [str(question)]
    options = {"adapter": not no_voice, "knowledge": not no_knowledge}

    def show(answer: Answer) -> None:
        typer.echo(json.dumps(answer.to_dict(), ensure_ascii=False) if as_json else show_answer(answer))

    if questions is None:
        with _progress() as on_progress:
            loaded = _load(bot, device, on_progress)
        show(loaded.ask(asked[0], **options))
        return
    with _progress() as on_progress:
        loaded = _load(bot, device, on_progress)
        for answer in ask_in_bulk(loaded, asked, on_progress=on_progress, **options):
            show(answer)


@app.command()
def search(
    bot: BotPath,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option(min=1, max=1000, help="How many passages.")] = 10,
    source: Annotated[list[str] | None, typer.Option(help="Only from this file; may be repeated.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only from files of this type, such as pdf; may be repeated.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only where the metadata fit: KEY=VALUE, or with >= <= != > <; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is retrieved for a query."""
    from pipelines.chat import nothing_found, open_for_search, show_passage
    from toolkit.store.filters import read_filter

    wanted = read_filter(where or (), source=source or (), type=type_ or ())
    with open_for_search(bot) as opened:
        passages = opened.search(query, k=k, filter=wanted)
        remark = nothing_found(opened, query)
    for number, passage in enumerate(passages, start=1):
        typer.echo(
            json.dumps(passage.to_dict(), ensure_ascii=False) if as_json else show_passage(number, passage)
        )
    if remark:
        _say(remark)


@app.command()
def demo(
    bot: BotPath,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 7860,
    device: Device = None,
) -> None:
    """Open the chatbot in the browser, on this machine only."""
    import importlib

    with _progress() as on_progress:
        loaded = _load(bot, device, on_progress)
    # The page is the outermost layer; the command line only starts it by name.
    importlib.import_module("demo.page").serve(loaded, port=port, say=_say)


@app.command("eval")
def eval_(
    bot: BotPath,
    questions: Annotated[Path | None, typer.Option(help="Questions to ask; default: those of the bot.")] = None,
    split: Annotated[str | None, typer.Option(help="Only the questions of this split.")] = None,
    as_json: AsJson = False,
    device: Device = None,
) -> None:
    """Measure a bot: facts, citations, declining, and the voice."""
    from pipelines.build import summary_lines
    from pipelines.evaluate import evaluate

    with _progress() as on_progress:
        loaded = _load(bot, device, on_progress)
        result = evaluate(loaded, questions=questions, split=split, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        for line in summary_lines(result):
            typer.echo(line)
        typer.echo(f"Report: {loaded.folder / 'report' / 'report.html'}")


@app.command()
def doctor(config: ConfigPath) -> None:
    """Check a bot.yaml, its inputs and this machine, without building."""
    from pipelines.doctor import examine

    healthy = True
    for check in examine(config):
        typer.echo(f"{'ok  ' if check.ok else 'BAD '} {check.what}: {check.found}")
        healthy = healthy and check.ok
    if not healthy:
        raise typer.Exit(USER_ERROR)


def _run_build(config: Path, steps: tuple[str, ...]) -> None:
    """Build with progress on the screen."""
    from pipelines.build import build as run

    with _progress() as on_progress:
        result = run(config, steps=steps, on_progress=on_progress, on_note=_say)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.seconds.items())
    _say(f"Done: {result.folder} ({spent})")
    typer.echo(result.folder)


def _load(bot: Path, device: str | None, on_progress: Callable[[str, int, int], None]) -> Any:
    """Open a bot and show that it is being opened."""
    from toolkit.chatbot import Chatbot

    on_progress("Opening the bot", 0, 1)
    loaded = Chatbot.load(bot, device=device, on_progress=on_progress)
    on_progress("Opening the bot", 1, 1)
    return loaded


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each kind of work, on standard error; plain lines where that is no terminal."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


def _plain_progress() -> Callable[[str, int, int], None]:
    """Report each tenth of a piece of work as a line, for logs."""
    said: dict[str, int] = {}

    def report(what: str, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > said.get(what, -1):
            said[what] = tenth
            _say(f"{what}: {done} of {total}")

    return report


def _be_quiet() -> None:
    """Keep libraries from calling home and from writing over the progress; set before any of them is imported."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # Threads that wait for each other in a busy loop slow a machine that does anything else many times over.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.filterwarnings("ignore", category=FutureWarning)  # addressed to the callers inside the libraries
    # bitsandbytes says at its import that an optional kernel package is missing; it works without.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _say(text: str) -> None:
    """Write a line to standard error, where it does not mix with results."""
    typer.echo(text, err=True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _read_line(prompt: str) -> str | None:
    try:
        return input(prompt)
    except EOFError:
        return None


if __name__ == "__main__":
    main()
