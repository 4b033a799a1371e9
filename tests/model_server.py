"""A model server for tests: speaks the OpenAI protocol on loopback, says what it was told to, and remembers."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

from toolkit.testing.hash_embedder import HashEmbedder

Body = dict[str, Any]
CUT, ENDED = 0, 1


@dataclass
class ModelServer:
    """What a server says, and what it heard.

    Attributes:
        url: The root of its protocol.
        models: What it lists; None where it has no list.
        owner: How it signs its list.
        null_for_none: Whether it writes an empty list as Ollama does.
        adapters: What a llama.cpp server tells of its adapters.
        key: The key that it wants, or None.
        replies: A function from the body of a request to the pieces of the reply.
        seed: Stands before every text that is embedded: another one makes other vectors.
        pause: Seconds before each piece.
        failures: Status codes of the first requests, or ``CUT`` or ``ENDED``: in the middle of a reply.
        requests: The bodies of the requests for replies.
        left: When a client went away in the middle of a reply, in seconds of ``time.monotonic``.
        most_at_once: Most replies that were being written at once.
    """

    url: str = ""
    models: list[str] | None = field(default_factory=lambda: ["small"])
    owner: str = ""
    null_for_none: bool = False
    adapters: list[Body] = field(default_factory=list)
    key: str | None = None
    replies: Callable[[Body], list[str]] = lambda body: ["Ahoy, ", "friend", "."]
    seed: str = ""
    pause: float = 0.0
    failures: list[int] = field(default_factory=list)
    requests: list[Body] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    most_at_once: int = 0
    _writing: int = 0

    def app(self) -> FastAPI:
        async def keyed(request: Request) -> None:
            if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
                raise HTTPException(401, "wrong key")

        app = FastAPI(dependencies=[Depends(keyed)])

        @app.get("/v1/models")
        async def models() -> Any:
            if self.models is None:
                return error(404, "no list")
            listed = [{"id": name, "object": "model", "owned_by": self.owner} for name in self.models]
            return {"object": "list", "data": None if self.null_for_none and not listed else listed}

        @app.get("/lora-adapters")
        async def adapters() -> Any:
            return self.adapters

        @app.post("/v1/embeddings")
        async def embeddings(body: Body) -> Any:
            if self.models is not None and body["model"] not in self.models:
                return error(404, "model not found")
            vectors = HashEmbedder(64).encode([self.seed + text for text in body["input"]]).tolist()
            return {
                "object": "list",
                "model": body["model"],
                "data": [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }

        @app.post("/v1/chat/completions")
        async def chat(body: Body) -> Any:
            self.requests.append(body)
            failure = self.failures.pop(0) if self.failures else None
            if failure and failure >= 400:
                return error(failure, "told to fail")
            if self.models is not None and body["model"] not in self.models:
                return error(404, "model not found")
            return StreamingResponse(self._written(body, failure), media_type="text/event-stream")

        return app

    async def _written(self, body: Body, failure: int | None) -> AsyncIterator[str]:
        self._writing += 1
        self.most_at_once = max(self.most_at_once, self._writing)
        try:
            for piece in self.replies(body):
                await asyncio.sleep(self.pause)
                yield event(body, {"content": piece}, None)
                if failure == CUT:
                    raise RuntimeError("told to")
                if failure == ENDED:
                    return
            yield event(body, {}, "stop")
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.left.append(time.monotonic())
            raise
        finally:
            self._writing -= 1


def event(body: Body, delta: Body, finish: str | None) -> str:
    choice = {"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": finish}
    chunk = {
        "id": "1", "object": "chat.completion.chunk", "created": 0, "model": body["model"], "choices": [choice],
    }  # fmt: skip
    return f"data: {json.dumps(chunk)}\n\n"


def error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "told", "code": status}}, status_code=status)


@contextmanager
def running(server: ModelServer) -> Iterator[ModelServer]:
    """Run a server on a free port until the end."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        host, port = listening.getsockname()
        server.url = f"http://{host}:{port}/v1"
        config = uvicorn.Config(server.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        served = uvicorn.Server(config)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not served.started:
                time.sleep(0.01)
            yield server
        finally:
            served.should_exit = True
            thread.join(timeout=10)
