"""Doubles that call tools: a policy says what to do next, behind LangChain or behind a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict

Row = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call of a tool.

    Attributes:
        tool: Its name.
        arguments: What it is given.
    """

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


# What a model does next: says something, or calls tools. It is shown the messages as the OpenAI protocol has them.
Policy = Callable[[list[Row]], "str | list[Call]"]


def moves(*steps: str | list[Call]) -> Policy:
    """Return the policy that does one thing after another, whatever it is shown; the last one again and again."""

    def next_move(messages: list[Row]) -> str | list[Call]:
        done = sum(message["role"] == "assistant" for message in messages)
        return steps[min(done, len(steps) - 1)]

    return next_move


class ScriptedToolModel(BaseChatModel):
    """A chat model that calls tools as a policy says.

    Attributes:
        policy: Says what to do next.
        asked: The messages of every call so far.

    Example:
        >>> model = ScriptedToolModel(policy=moves([Call("today")], "It is Monday."))
        >>> model.invoke("What day is it?").tool_calls[0]["name"]
        'today'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    policy: Any
    asked: list[list[Row]] = []

    def __init__(self, *, policy: Policy, **options: Any) -> None:
        super().__init__(policy=policy, **{"asked": []} | options)

    @property
    def _llm_type(self) -> str:
        return "scripted-tools"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Return itself: a policy knows its tools."""
        return cast(Any, self)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        rows = cast(list[Row], convert_to_openai_messages(list(messages)))
        self.asked.append(rows)
        said = self.policy(rows)
        if isinstance(said, str):
            message = AIMessage(content=said)
        else:
            calls = [
                ToolCall(name=call.tool, args=call.arguments, id=f"call_{len(rows)}_{number}")
                for number, call in enumerate(said)
            ]
            message = AIMessage(content="", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])


@dataclass
class ToolServer:
    """A model on a server that speaks the OpenAI protocol over HTTP and calls tools as a policy says.

    Attributes:
        policy: Says what to do next.
        takes_tools: Whether it takes requests with tools; one that does not refuses them, as several servers do.
        name: What the model is called.
        url: The root of its protocol, while it runs.
        requests: The bodies of the requests for replies.
    """

    policy: Policy
    takes_tools: bool = True
    name: str = "small"
    url: str = ""
    requests: list[Row] = field(default_factory=list)

    def reply(self, body: Row) -> tuple[int, Row]:
        """Return the status and the body of the answer to a request."""
        self.requests.append(body)
        if body.get("tools") and not self.takes_tools:
            return 400, {"error": {"message": f"{self.name} does not support tools", "type": "invalid_request_error"}}
        said = self.policy(body["messages"])
        message: Row = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if not isinstance(said, str):
            message["tool_calls"] = [
                {
                    "id": f"call_{len(body['messages'])}_{number}",
                    "type": "function",
                    "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
                }
                for number, call in enumerate(said)
            ]
        read, wrote = len(json.dumps(body)) // 4, len(json.dumps(message)) // 4
        usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if isinstance(said, str) else "tool_calls"}
        whole = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        return 200, whole | {"usage": usage}


@contextmanager
def serving(server: ToolServer) -> Iterator[ToolServer]:
    """Run a server on a free port of this machine until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {"object": "list", "data": [{"id": server.name, "object": "model", "owned_by": "us"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, content = server.reply(body)
            if status == 200 and body.get("stream"):
                self._stream(content)
            else:
                self._send(status, content)

        def log_message(self, format: str, *args: Any) -> None:
            return

        def _send(self, status: int, content: Row) -> None:
            self._write(status, "application/json", json.dumps(content).encode())

        def _stream(self, content: Row) -> None:
            """Send a whole reply as one piece, and its end."""
            (choice,) = content["choices"]
            head = {key: content[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
            ends: list[tuple[Row, str | None]] = [(choice["message"], None), ({}, choice["finish_reason"])]
            pieces = [
                head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in ends
            ]
            events = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
            self._write(200, "text/event-stream", events.encode())

        def _write(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        host, port = listening.server_address[:2]
        server.url = f"http://{host!s}:{port}/v1"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join(timeout=10)
