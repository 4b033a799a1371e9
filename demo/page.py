"""The chat in the browser: the page of a bot, and the server that shows it on this machine."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI

from demo.conversation import Stops
from demo.guard import Guard
from demo.talking import Talking, connect
from demo.widgets import lay_out_widgets, theme
from pipelines.serving.limits import HOST, MOST_WAITING
from pipelines.serving.listening import address_of, listen, run_app

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

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
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=1, api_open=False)
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
    with listen(HOST, port) as listener:
        stops, url = Stops(), address_of(listener)

        def ready() -> None:
            say(f"{bot.config.title or bot.config.name} is at {url} (Ctrl-C ends it)")
            if open_browser:
                webbrowser.open(url)

        try:
            run_app(build_app(build_page(bot, stops)), listener, ready=ready, leave=stops.stop_all)
        except KeyboardInterrupt:
            say("Closed.")
