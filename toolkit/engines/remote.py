"""A model on a server as an engine: streamed, stopped, sent again, with its voice by name where the server has it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from toolkit.engines.base import Abilities, Decoding, ScoredReply
from toolkit.engines.speaker import CALLS_AT_ONCE
from toolkit.errors import ModelError
from toolkit.progress import Progress
from toolkit.prompts import Message
from toolkit.servers import ModelAddress, check_model, list_adapters, list_models
from toolkit.servers.address import OPENAI_HOST
from toolkit.servers.client import client_options, explained, need_client
from toolkit.servers.faults import broken_off, named
from toolkit.servers.listing import has

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI

# How often a reply that is waited for looks whether it was cancelled, in seconds.
_LOOK_SECONDS = 0.1


class RemoteEngine:
    """A model on a server that speaks the OpenAI protocol, through LangChain's ``ChatOpenAI``.

    Requests run in an event loop with a thread of its own, so that one can be cancelled from any thread; its
    connection is closed then, at which a server stops writing. Several replies are asked for at once.

    Args:
        address: The server and the model.
        adapter_name: The adapter that is the voice, as the server calls it; None where it has none.
        timeout: Longest silence before and within a reply, in seconds.
        retries: How often a request is sent again that failed before its reply began.
        extra_body: Further fields of every request.

    Raises:
        MissingExtra: ``langchain-openai`` is not installed.
    """

    def __init__(
        self,
        address: ModelAddress,
        *,
        adapter_name: str | None = None,
        timeout: float = 120.0,
        retries: int = 2,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        need_client()
        self.address = address
        self.adapter_name = adapter_name
        self._timeout = timeout
        self._retries = retries
        self._extra = dict(extra_body or {})
        self._loras: dict[str, int] = {}
        self._loop = _Loop()
        weakref.finalize(self, self._loop.close)

    @property
    def abilities(self) -> Abilities:
        """What it can do: no server tells how likely it holds a token that it did not write."""
        return Abilities(adapter=self.adapter_name is not None, cancel=True, batch=True)

    def check(self) -> None:
        """See to it that the server runs, and has the model and its adapter.

        Raises:
            ModelError: It does not.
        """
        check_model(self.address)
        if self.adapter_name is None:
            return
        if self.address.kind == "llamacpp":
            listed = list(self._adapters())
            known = self.adapter_name in self._adapters()
        else:
            listed = list_models(self.address) or []
            known = has(listed, self.adapter_name)
        if not known:
            lists = f"it lists {named(listed)}" if listed else "it lists none"
            raise ModelError(
                f"The server at {self.address.url} has no adapter '{self.adapter_name}'; {lists}.",
                "Start it with the adapter (vllm --enable-lora --lora-modules NAME=FOLDER, llama-server --lora "
                "FILE.gguf), or correct base.adapter_name.",
            )

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        on_progress: Progress | None = None,
    ) -> list[str]:
        """Write one reply to each conversation, some at a time, in their order.

        Raises:
            ModelError: The server does not answer, refuses, or has no such model.
        """
        turns = asyncio.Semaphore(CALLS_AT_ONCE)

        async def write(messages: Sequence[Message]) -> str:
            async with turns:
                return "".join([piece async for piece in self._pieces(messages, adapter, decoding)]).strip()

        running = [self._loop.start(write(messages)) for messages in conversations]
        try:
            for done, item in enumerate(concurrent.futures.as_completed(running), start=1):
                item.result()  # the first that fails ends all
                if on_progress:
                    on_progress("Writing replies", done, len(running))
            return [item.result() for item in running]
        except Exception as error:  # noqa: BLE001 - told with its remedy, or raised as it is
            self._tell(error)
        finally:
            for item in running:
                item.cancel()

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        cancel: threading.Event | None = None,
    ) -> Generator[str, None, None]:
        """Yield the pieces of one reply as they come.

        Closing the iterator, or setting ``cancel``, closes the connection.

        Raises:
            ModelError: The server does not answer, refuses, or has no such model.
        """
        pieces: queue.Queue[str | Exception | None] = queue.Queue()

        async def work() -> None:
            try:
                async for piece in self._pieces(messages, adapter, decoding):
                    pieces.put(piece)
                pieces.put(None)
            except Exception as error:  # noqa: BLE001 - handed to the reading thread, which raises it
                pieces.put(error)

        running = self._loop.start(work())
        try:
            while cancel is None or not cancel.is_set():
                try:
                    item = pieces.get(timeout=_LOOK_SECONDS)
                except queue.Empty:
                    continue
                if item is None:
                    return
                if isinstance(item, Exception):
                    self._tell(item)
                yield item
        finally:
            running.cancel()

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Return None: a server does not tell."""
        return None

    def tool_client(self, decoding: Decoding) -> ChatOpenAI:
        """Return LangChain's client for calls with tools, the voice off; it is asked in the calling thread.

        Args:
            decoding: How its replies are drawn.
        """
        import openai
        from langchain_openai import ChatOpenAI

        options = client_options(self.address, self._timeout, self._retries)
        http = openai.DefaultHttpxClient(timeout=options["timeout"], trust_env=not self.address.is_local)
        return ChatOpenAI(**options, **self._request(False, decoding), http_client=http, use_responses_api=False)

    def explained(self, error: Exception) -> ModelError | None:
        """Return an error of a client with its remedy; None for one that is no fault of the server's."""
        return explained(error, self.address, self._timeout)

    async def _pieces(
        self, messages: Sequence[Message], adapter: bool, decoding: Decoding
    ) -> AsyncIterator[str]:
        import openai

        began = whole = False
        chunks = self._client.astream(list(messages), **self._request(adapter, decoding))
        try:
            # Whatever is sent again meanwhile: silence is not waited for several times over.
            async with asyncio.timeout(self._timeout) as patience:
                async for chunk in chunks:
                    patience.reschedule(None)
                    began, whole = True, whole or bool(chunk.response_metadata.get("finish_reason"))
                    if text := str(chunk.text):
                        yield text
        except openai.APIConnectionError as error:
            if not began or isinstance(error, openai.APITimeoutError):
                raise
        if not whole:
            raise broken_off(self.address)

    def _request(self, adapter: bool, decoding: Decoding) -> dict[str, Any]:
        """Return the fields of a request."""
        body, fields = dict(self._extra), {"temperature": decoding.temperature}
        if self.address.host == OPENAI_HOST:
            fields["max_completion_tokens"] = decoding.max_new_tokens
        else:
            body["max_tokens"] = decoding.max_new_tokens  # the other name is unknown to several servers
        if decoding.temperature > 0:
            fields["seed"] = decoding.seed
        if self.adapter_name is not None and self.address.kind == "llamacpp":
            # All of them each time: a request that names none is answered with those that the server began with.
            scale = {self.adapter_name: float(adapter)}
            body["lora"] = [{"id": id_, "scale": scale.get(name, 0.0)} for name, id_ in self._adapters().items()]
        elif self.adapter_name is not None and adapter:
            fields["model"] = self.adapter_name  # type: ignore[assignment]
        return fields | {"extra_body": body}

    def _adapters(self) -> dict[str, int]:
        """Return the adapters of a llama.cpp server, asked for once."""
        if not self._loras:
            self._loras = list_adapters(self.address)
        return self._loras

    @cached_property
    def _client(self) -> ChatOpenAI:
        import openai
        from langchain_openai import ChatOpenAI

        options = client_options(self.address, self._timeout, self._retries)
        # A client of its own: LangChain's is shared by all models, and this one lives in this loop. What runs on this
        # machine is not asked for through a proxy for the world outside.
        http = openai.DefaultAsyncHttpxClient(timeout=options["timeout"], trust_env=not self.address.is_local)
        return ChatOpenAI(
            **options, stream_chunk_timeout=self._timeout, http_async_client=http, use_responses_api=False
        )

    def _tell(self, error: Exception) -> NoReturn:
        """Raise what went wrong with its remedy; what is no fault of the server's as it is."""
        told = self.explained(error)
        if told is None:
            raise error
        raise told from error


class _Loop:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self._loop, self._over = asyncio.new_event_loop(), asyncio.Event()
        work = (self._loop, self._over)  # and not the object itself, which ends the thread when it goes
        threading.Thread(target=_run, args=work, name="housevoice-requests", daemon=True).start()

    def start(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Start something; cancelling what is returned cancels it where it waits."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Let the thread end."""
        self._loop.call_soon_threadsafe(self._over.set)


def _run(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """Run a loop until it is over, and end what is still under way."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(over.wait())
