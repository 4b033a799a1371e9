"""What several commands take: their arguments and options, and the bot that they open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.progress import Progress

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

ConfigPath = Annotated[Path, typer.Argument(metavar="BOT_YAML", help="The bot.yaml, or the folder that holds it.")]
BotPath = Annotated[Path, typer.Argument(metavar="BOT", help="The bot folder that `build` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoVoice = Annotated[bool, typer.Option("--no-voice", help="Answer without the adapter.")]
NoKnowledge = Annotated[bool, typer.Option("--no-knowledge", help="Answer without the documents.")]
Method = Annotated[
    str | None, typer.Option(help="How the voice is tuned, in place of voice.method: see docs/methods.md.")
]
Accept = Annotated[bool, typer.Option("--accept", help="Take the tune whatever is measured of it.")]
Device = Annotated[str | None, typer.Option(help="Where the model runs: auto, cpu, cuda or mps.")]


def load_bot(bot: Path, device: str | None, on_progress: Progress) -> Chatbot:
    """Open a bot and show that it is being opened."""
    from toolkit.bot import Chatbot

    on_progress("Opening the bot", 0, 1)
    loaded = Chatbot.load(bot, device=device, on_progress=on_progress)
    on_progress("Opening the bot", 1, 1)
    return loaded
