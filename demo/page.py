"""The chat in the browser: the page of a bot, and the server that shows it on this machine."""

from __future__ import annotations

import errno
import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import uvicorn
from fastapi import FastAPI

from demo.conversation import Stops
from demo.guard import Guard
from demo.talking import Talking, connect
from demo.widgets import lay_out_widgets, theme
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

HOST = "127.0.0.1"
QUEUE = 16  # questions that may wait
STYLE = Path(__file__).with_name("page.css")


def build_page(bot: Chatbot, stops: Stops | None = None) -> gr.Blocks:
    """Lay out the page of a bot.

    Args:
        bot: A loaded bot.
        stops: Where the switches that stop replies are kept; give one to be able to stop them all.
    """
    talking = Talking(bot, stops or Stops())
    with gr.Blocks(title=bot.config.title or bot.config.name, analytics_enabled=False, fill_width=True) as page:
        talk, sources = lay_out_widgets(bot)
        connect(talking, talk, sources)
        page.unload(talking.leave)
    page.queue(max_size=QUEUE, default_concurrency_limit=1, api_open=False)
    return page


def build_app(page: gr.Blocks) -> FastAPI:
    """Put the page behind its guard, as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=0,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css_paths=[STYLE],
    )


def serve(bot: Chatbot, *, port: int, say: Callable[[str], None], open_browser: bool = False) -> None:
    """Serve the page on this machine until Ctrl-C.

    Args:
        bot: A loaded bot.
        port: Port on 127.0.0.1.
        say: Told the address once the page can be opened.
        open_browser: Whether to open it.

    Raises:
        ConfigError: The port cannot be taken.
    """
    url = f"http://{HOST}:{port}"

    def ready() -> None:
        say(f"{bot.config.title or bot.config.name} is at {url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(url)

    with _listen(port) as listener:
        stops = Stops()
        settings = uvicorn.Config(
            build_app(build_page(bot, stops)),
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        try:
            _Server(settings, ready, stops.stop_all).run(sockets=[listener])
        except KeyboardInterrupt:
            say("Closed.")


class _Server(uvicorn.Server):
    """A server that says when it can be reached and lets go of what is being said when it ends."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._leave = leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the model first, so that nothing waits for it."""
        self._leave()
        await super().shutdown(sockets)


def _listen(port: int) -> socket.socket:
    """Take a port on this machine before anything is built for it.

    Raises:
        ConfigError: It is taken, or not ours to take.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "is in use" if error.errno == errno.EADDRINUSE else "may not be used by you"
        other = port + 1 if 1024 <= port < 65535 else 7861
        raise ConfigError(f"Port {port} {reason}.", f"Choose another one: --port {other}") from error
    return listener
