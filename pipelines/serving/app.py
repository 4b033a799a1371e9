"""The endpoints."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from pipelines.serving.access import HEALTH, Guard
from pipelines.serving.errors import ApiError
from pipelines.serving.metrics import MEDIA_TYPE, Metrics
from pipelines.serving.queueing import Busy, Closed, Job, JobQueue, Work
from pipelines.serving.requests import ChatRequest, EmbeddingRequest, read_body, read_conversation, read_texts
from pipelines.serving.responses import Completion, comment, embeddings, event, model
from pipelines.serving.work import Finished, answering, embedding, manners
from toolkit.errors import HousevoiceError

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

# Proxies close connections that are silent for half a minute or a whole one.
_KEEP_ALIVE = 10.0  # seconds
_CLIENT_LEFT = 499  # as nginx calls it; nobody reads it
_LOG = logging.getLogger(__name__)


def build_app(bot: Chatbot, jobs: JobQueue, *, key: str | None = None, documents_url: str = "") -> FastAPI:
    """Put a bot behind OpenAI's interface, as an ASGI application.

    Args:
        bot: A loaded bot.
        jobs: Where its work waits.
        key: What clients have to show, or None.
        documents_url: What comes before the path of a document to open it.
    """
    api = _Api(bot, jobs, documents_url)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, key=key)
    app.add_api_route(HEALTH, api.health, methods=["GET"])
    app.add_api_route("/metrics", api.show_metrics, methods=["GET"])
    app.add_api_route("/v1/models", api.list_models, methods=["GET"])
    app.add_api_route("/v1/models/{name}", api.show_model, methods=["GET"])
    app.add_api_route("/v1/chat/completions", api.complete, methods=["POST"])
    app.add_api_route("/v1/embeddings", api.embed, methods=["POST"])
    for kind in (ApiError, Busy, Closed, ClientDisconnect, HousevoiceError, HTTPException, Exception):
        app.add_exception_handler(kind, api.refuse)
    return app


class _Api:
    """The endpoints of a bot."""

    def __init__(self, bot: Chatbot, jobs: JobQueue, documents_url: str) -> None:
        self._bot = bot
        self._jobs = jobs
        self._documents_url = documents_url
        self._models = manners(bot)
        self._metrics = Metrics()
        self._since = int(time.time())

    async def health(self) -> Response:
        """Tell that the server answers."""
        return JSONResponse({"status": "ok"})

    async def show_metrics(self) -> Response:
        """Tell what happened so far."""
        text = self._metrics.text(waiting=self._jobs.waiting, running=int(self._jobs.doing))
        return PlainTextResponse(text, media_type=MEDIA_TYPE)

    async def list_models(self) -> Response:
        """List what the bot can be asked as."""
        return JSONResponse({"object": "list", "data": [model(name, self._since) for name in self._models]})

    async def show_model(self, name: str) -> Response:
        """Tell of one of them."""
        self._check_model(name)
        return JSONResponse(model(name, self._since))

    async def complete(self, request: Request) -> Response:
        """Answer the last message of a conversation, whole or as a stream."""
        body = await read_body(request, ChatRequest)
        self._check_model(body.model)
        asked = read_conversation(body)
        completion = Completion(body.model, self._documents_url, counts_tokens=body.counts_tokens)
        job = self._enter(request, body.client, answering(self._bot, asked, self._models[body.model]))
        if body.stream:
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            events = self._events(request, job, completion)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        async with self._waited_for(request, job):
            async for result in job.results():
                if isinstance(result, Finished):
                    self._finish(job, result)
                    return JSONResponse(completion.whole(result))
        raise ClientDisconnect

    async def embed(self, request: Request) -> Response:
        """Embed texts with the embedder of the bot's documents."""
        body = await read_body(request, EmbeddingRequest)
        self._check_model(body.model)
        if self._bot.knowledge is None:
            raise ApiError(400, "This bot has no documents, and so no embedder.", param="model")
        embedder, texts = self._bot.knowledge.embedder, read_texts(body)
        if body.dimensions not in (None, embedder.identity.dimension):
            message = f"The vectors have {embedder.identity.dimension} numbers, and cannot have others."
            raise ApiError(400, message, param="dimensions")
        job = self._enter(request, body.client, embedding(embedder, texts, queries=body.input_type == "query"))
        async with self._waited_for(request, job):
            done = [result async for result in job.results()]
        if sum(len(some.vectors) for some in done) < len(texts):
            raise ClientDisconnect
        self._metrics.embedded += len(texts)
        vectors, tokens = np.concatenate([some.vectors for some in done]), sum(some.tokens for some in done)
        return JSONResponse(embeddings(body.model, vectors, tokens, body.encoding_format))

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Tell why a request is not answered, and count it."""
        if isinstance(error, ClientDisconnect):
            self._metrics.requests["cancelled"] += 1
            return Response(status_code=_CLIENT_LEFT)
        refused = _in_shape(error)
        outcome = "busy" if isinstance(error, Busy) else "failed" if refused.status >= 500 else "refused"
        self._metrics.requests[outcome] += 1
        return refused.response()

    async def _events(self, request: Request, job: Job, completion: Completion) -> AsyncIterator[str]:
        """Yield an answer as server-sent events, and the place in the queue while it waits."""
        over = False
        try:
            async with self._waited_for(request, job):
                yield completion.start()
                yield self._place(job)
                async for result in job.results(every=_KEEP_ALIVE):
                    if result is None:
                        yield self._place(job)
                    elif isinstance(result, Finished):
                        over = True
                        self._finish(job, result)
                        yield completion.end(result)
                    else:
                        yield completion.piece(result)
        except Exception as error:  # noqa: BLE001 - the response has begun: its client is told in the stream
            over = True
            self._metrics.requests["failed"] += 1
            yield event(_in_shape(error).body)
        finally:
            if not over:
                self._metrics.requests["cancelled"] += 1

    def _place(self, job: Job) -> str:
        return comment(f"answers before this one: {self._jobs.place(job)}")

    def _check_model(self, name: str) -> None:
        if name not in self._models:
            known = ", ".join(self._models)
            raise ApiError(
                404, f"There is no model {name!r:.80}. There are: {known}.", code="model_not_found", param="model"
            )

    def _enter(self, request: Request, client: str, work: Work) -> Job:
        """Let work wait for its turn."""
        return self._jobs.enter(f"{request.client.host if request.client else ''} {client}", work)

    @asynccontextmanager
    async def _waited_for(self, request: Request, job: Job) -> AsyncIterator[None]:
        """Stop a job as soon as its client goes away, or nobody reads on."""

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            self._jobs.leave(job)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            self._jobs.leave(job)

    def _finish(self, job: Job, finished: Finished) -> None:
        """Count an answer."""
        self._metrics.requests["declined" if finished.answer.abstained else "answered"] += 1
        self._metrics.spent({"waiting": job.waited or 0.0, **finished.answer.seconds})
        prompt, completion = finished.tokens or (0, 0)
        self._metrics.tokens.update(prompt=prompt, completion=completion)


def _in_shape(error: Exception) -> ApiError:
    """Return a failure as a client is told of it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Busy):
        headers = {"Retry-After": str(error.seconds)}
        return ApiError(429, "Too many questions wait. Try again later.", code="rate_limit_exceeded", headers=headers)
    if isinstance(error, Closed):
        return ApiError(503, "The server is ending.")
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, f"{error.detail}.", headers=error.headers)
    if isinstance(error, HousevoiceError):
        return ApiError(500, str(error))
    _LOG.error("A request failed.", exc_info=error)
    return ApiError(500, "Something went wrong. The server has written down what.")
