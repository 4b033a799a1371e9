"""Serving a bot until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.serving.app import build_app
from pipelines.serving.limits import MOST_WAITING
from pipelines.serving.listening import address_of, run_app
from pipelines.serving.queueing import JobQueue

if TYPE_CHECKING:
    from toolkit.bot import Chatbot


def serve(
    bot: Chatbot,
    listener: socket.socket,
    *,
    say: Callable[[str], None],
    key: str | None = None,
    most_waiting: int = MOST_WAITING,
    documents_url: str = "",
) -> None:
    """Serve a bot behind OpenAI's interface until Ctrl-C, and close it.

    Args:
        bot: A loaded bot.
        listener: Where it is reached: see :func:`pipelines.serving.listening.listen`.
        say: Told the address once the bot can be asked.
        key: What clients have to show, or None on this machine alone.
        most_waiting: Questions that may wait.
        documents_url: What comes before the path of a document to open it.
    """
    jobs = JobQueue(most_waiting)
    needed = "with its key" if key else "no key needed"
    told = f"{bot.config.name} is at {address_of(listener)}/v1 ({needed}; Ctrl-C ends it)"
    try:
        app = build_app(bot, jobs, key=key, documents_url=documents_url)
        run_app(app, listener, ready=lambda: say(told), leave=jobs.close)
    except KeyboardInterrupt:
        say("Closed.")
    finally:
        jobs.close()
        jobs.join()
        bot.close()
