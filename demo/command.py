"""The whole command line: the jobs of ``pipelines`` and the page, which is the layer around them."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.app import new_app
from pipelines.cli.arguments import BotPath, Device, load_bot
from pipelines.cli.exits import run
from pipelines.cli.screen import progress, say

app = new_app()


@app.command()
def demo(
    bot: BotPath,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 7860,
    device: Device = None,
) -> None:
    """Open the chatbot in the browser, on this machine only."""
    with progress() as on_progress:
        loaded = load_bot(bot, device, on_progress)
    # Gradio takes seconds to import: only who wants the page waits for it.
    from demo.page import serve

    serve(loaded, port=port, say=say)


def main() -> None:
    """Run the command line."""
    run(app)
