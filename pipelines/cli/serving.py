"""The command that puts a bot behind OpenAI's interface: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.arguments import BotPath, Device, load_bot
from pipelines.cli.screen import progress, say
from pipelines.serving.limits import HOST, MOST_WAITING


def serve(
    bot: BotPath,
    host: Annotated[str, typer.Option(help="Address to serve on; any but this machine's own needs a key.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key; default: the variable HOUSEVOICE_API_KEY, if it is set.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, max=1000, help="Questions that may wait.")] = MOST_WAITING,
    documents_url: Annotated[
        str, typer.Option(help="Where the documents can be opened: what comes before their paths in citations.")
    ] = "",
    device: Device = None,
) -> None:
    """Put a bot behind an OpenAI-compatible server."""
    from pipelines.serving.access import check_exposure, read_key
    from pipelines.serving.listening import listen
    from pipelines.serving.serve import serve as run

    key = read_key(api_key_file)
    check_exposure(host, key)
    with listen(host, port) as listener:
        with progress() as on_progress:
            loaded = load_bot(bot, device, on_progress)
        run(loaded, listener, say=say, key=key, most_waiting=queue, documents_url=documents_url)
