"""The command that measures a bot: eval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.arguments import AsJson, BotPath, Device, load_bot
from pipelines.cli.screen import progress

Questions = Annotated[Path | None, typer.Option(help="Questions to ask; default: those of the bot.")]
Split = Annotated[str | None, typer.Option(help="Only the questions of this split.")]
Arms = Annotated[
    str | None, typer.Option(help="Of neither, knowledge, adapter and both, with commas between; default: all.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Most questions, spread evenly over all.")]
Against = Annotated[
    Path | None, typer.Option(metavar="BOT2", help="Compare with another bot on the same questions instead.")
]
Perturb = Annotated[
    bool, typer.Option("--perturb", help="Also ask with typos, in other words, and with an irrelevant passage on top.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ask again what was answered before.")]


def eval_(
    bot: BotPath,
    arms: Arms = None,
    against: Against = None,
    perturb: Perturb = False,
    questions: Questions = None,
    split: Split = None,
    limit: Limit = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
    device: Device = None,
) -> None:
    """Measure a bot arm by arm, or against another bot."""
    from pipelines.evaluating import against as compare_bots
    from pipelines.evaluating import duel_lines, evaluate
    from pipelines.report import short_form
    from toolkit.errors import DataError

    with progress() as on_progress:
        if against:
            if arms or perturb:
                raise DataError("--against compares bots as they are served.", "Leave out --arms and --perturb.")
            duel = compare_bots(
                bot, against, lambda place: load_bot(place, device, on_progress), questions=questions, split=split,
                limit=limit, fresh=fresh, on_progress=on_progress,
            )  # fmt: skip
            _show(duel.to_dict(), "\n".join(duel_lines(duel)), as_json)
            return
        names = [name.strip() for name in arms.split(",") if name.strip()] if arms else None
        loaded = load_bot(bot, device, on_progress)
        result = evaluate(
            loaded, questions=questions, split=split, arms=names, limit=limit, perturb=perturb, fresh=fresh,
            on_progress=on_progress,
        )  # fmt: skip
    _show(result.to_dict(), f"{short_form(result)}\nReport: {loaded.folder / 'report' / 'report.html'}", as_json)


def _show(content: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False) if as_json else text)
