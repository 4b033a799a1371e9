"""The command that takes a bot's model along: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import BotPath
from pipelines.cli.screen import progress, say


def export(
    bot: BotPath,
    to: Annotated[str, typer.Option(help="merged, gguf, ollama, lmstudio or vllm.")],
    output: Annotated[Path | None, typer.Option(help="Where it goes; default: export/ in the bot folder.")] = None,
    quantization: Annotated[str | None, typer.Option(help="Of a GGUF: f16, q8_0 (the default) or q4_0.")] = None,
    adapter: Annotated[str, typer.Option(help="merged into the weights, or apart in a file of its own.")] = "merged",
    prompts: Annotated[int, typer.Option(min=1, help="Prompts on which it is compared with the bot.")] = 20,
    questions: Annotated[
        Path | None, typer.Option(help="JSONL with a `question` a line to make them from; default: the bot's own.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an export that is there.")] = False,
) -> None:
    """Write a bot's model for another program, load it again, and compare it with the bot."""
    from pipelines.exporting import export_bot

    with progress() as on_progress:
        result = export_bot(
            bot, to, output=output, quantization=quantization, adapter=adapter, prompts=prompts, questions=questions,
            force=force, on_progress=on_progress, on_note=say,
        )  # fmt: skip
    say(f"Done: {result.bytes / 2**20:.0f} MiB; how to use it stands in {result.folder / 'README.md'}")
    typer.echo(result.folder)
