"""A bot of doubles behind OpenAI's interface, on a port of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import uvicorn
from langchain_core.outputs import ChatGenerationChunk

from pipelines.serving.app import build_app
from pipelines.serving.listening import address_of, listen
from pipelines.serving.queueing import JobQueue
from tests.chains import make_chain
from toolkit.bot import Chatbot
from toolkit.config import BotConfig
from toolkit.engines import Speaker
from toolkit.prompts import Message
from toolkit.store import Knowledge
from toolkit.testing import ScriptedChatModel

SECONDS = 10.0  # within which everything here is long over


class SlowModel(ScriptedChatModel):
    """Takes its time for each word, and counts those that it wrote."""

    pause: float
    words: list[str] = []

    def _stream(self, *arguments: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(*arguments, **options):
            time.sleep(self.pause)
            self.words.append(str(chunk.message.content))
            yield chunk


def make_bot(
    replies: list[str] | Callable[[list[Message]], str],
    knowledge: Knowledge | None = None,
    *,
    name: str = "house",
    voice: bool = True,
    model: ScriptedChatModel | None = None,
) -> tuple[Chatbot, ScriptedChatModel]:
    """Return a bot and its model."""
    chain, scripted = make_chain(replies, knowledge)
    if model is not None:
        chain.planner.speaker, scripted = Speaker(model), model
    config = BotConfig.model_validate({"name": name, "voice": {}})
    return Chatbot(Path(), config, chain, knowledge, has_voice=voice), scripted


@dataclass
class Served:
    """A server that runs."""

    url: str
    jobs: JobQueue
    key: str

    def client(self, **options: Any) -> openai.OpenAI:
        """Return the official client; it does not try again unless it is told to."""
        chosen: dict[str, Any] = {"api_key": self.key, "max_retries": 0, "timeout": SECONDS} | options
        return openai.OpenAI(base_url=f"{self.url}/v1", **chosen)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=SECONDS, **options)

    def metric(self, name: str) -> float:
        """Return a number of ``/metrics``."""
        text = httpx.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.key}"}).text
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"housevoice_{name} "))

    def wait_until_free(self) -> None:
        """Wait until nothing waits and nothing is done."""
        until = time.monotonic() + SECONDS
        while self.jobs.doing or self.jobs.waiting:
            assert time.monotonic() < until, "a job was never let go of"
            time.sleep(0.005)


@contextmanager
def served(
    bot: Chatbot, *, key: str | None = None, most_waiting: int = 16, documents_url: str = ""
) -> Iterator[Served]:
    """Serve a bot in a thread."""
    jobs = JobQueue(most_waiting)
    app = build_app(bot, jobs, key=key, documents_url=documents_url)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(address_of(listener), jobs, key or "none")
        finally:
            jobs.close()
            server.should_exit = True
            thread.join(SECONDS)
            jobs.join()
    assert not thread.is_alive()
