"""The commands that ask a bot: chat, ask, search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.arguments import AsJson, BotPath, Device, NoKnowledge, NoVoice, load_bot
from pipelines.cli.screen import progress, read_line, say, write

if TYPE_CHECKING:
    from toolkit.answering import Answer


def chat(bot: BotPath, no_voice: NoVoice = False, no_knowledge: NoKnowledge = False, device: Device = None) -> None:
    """Talk with a bot in the terminal."""
    from pipelines.chat import converse

    with progress() as on_progress:
        loaded = load_bot(bot, device, on_progress)
    converse(loaded, adapter=not no_voice, knowledge=not no_knowledge, write=write, read=read_line)


def ask(
    bot: BotPath,
    question: Annotated[str | None, typer.Argument(help="What to ask.")] = None,
    questions: Annotated[Path | None, typer.Option(help="JSONL with a `question` a line, to ask in bulk.")] = None,
    as_json: AsJson = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show what was done for the answer, step by step.")] = False,
    no_voice: NoVoice = False,
    no_knowledge: NoKnowledge = False,
    device: Device = None,
) -> None:
    """Ask once, or a file of questions; with --json one object a line."""
    from pipelines.chat import ask_in_bulk, read_bulk, show_answer
    from pipelines.tracing import trace_lines
    from toolkit.errors import DataError

    if (question is None) == (questions is None):
        raise DataError("Give either a question or --questions FILE.")
    asked = read_bulk(questions) if questions else [str(question)]
    adapter, knowledge = not no_voice, not no_knowledge

    def show(answer: Answer) -> None:
        if as_json:
            typer.echo(json.dumps(answer.to_dict(trace=trace), ensure_ascii=False))
            return
        typer.echo(show_answer(answer))
        if trace:
            typer.echo("\n".join(trace_lines(answer.trace.to_dict())))

    if questions is None:
        with progress() as on_progress:
            loaded = load_bot(bot, device, on_progress)
        show(loaded.ask(asked[0], adapter=adapter, knowledge=knowledge))
        return
    with progress() as on_progress:
        loaded = load_bot(bot, device, on_progress)
        for answer in ask_in_bulk(loaded, asked, adapter=adapter, knowledge=knowledge, on_progress=on_progress):
            show(answer)


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
        # Enough of them for the judgement on what was found, however few are shown.
        passages = opened.search(query, k=max(k, opened.chain.k), filter=wanted)
        remark = nothing_found(opened, query, passages)
    for number, passage in enumerate(passages[:k], start=1):
        typer.echo(json.dumps(passage.to_dict(), ensure_ascii=False) if as_json else show_passage(number, passage))
    if remark:
        say(remark)
