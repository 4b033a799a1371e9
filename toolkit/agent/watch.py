"""What watches an agent while it works: its limits, the marks around results, and the steps of the trace."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately

from toolkit.agent.found import Found, Marks, computed
from toolkit.answering.trace import Tracer
from toolkit.engines.base import Tokens
from toolkit.language import Language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langgraph.prebuilt.tool_node import ToolCallRequest

    from toolkit.config import AgentSettings

Result = TypeVar("Result")
# How often it is looked whether somebody has stopped the answer, in seconds.
_LOOK_SECONDS = 0.05


class LimitReached(Exception):
    """An agent came to one of its limits, or was stopped.

    Args:
        limit: Which: ``seconds``, ``tokens``, or ``cancel``.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Watch(AgentMiddleware[Any, Any, Any]):
    """Watches one run of an agent. It is the outermost of the middleware, and sees each call once.

    Args:
        settings: The limits.
        marks: What results are put between.
        tracer: Notes the steps.
        language: The language of what is found.
        cancel: Set by who waits no longer.

    Attributes:
        found: What the tools brought, in the order of the calls.
        final: What the model said in the end; None where it came to no end.
        tokens: Tokens that were read and written so far.
        given_up: Set once nobody waits any more for what is going on.
    """

    def __init__(
        self,
        settings: AgentSettings,
        marks: Marks,
        tracer: Tracer,
        language: Language,
        cancel: threading.Event | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._marks = marks
        self._tracer = tracer
        self._language = language
        self._cancel = cancel
        self._until = time.perf_counter() + settings.seconds
        self._lock = threading.Lock()
        self.found: list[Found] = []
        self.final: str | None = None
        self.tokens = 0
        self.given_up = threading.Event()

    @property
    def rule(self) -> str:
        """What the model is told of the results of tools."""
        return self._marks.rule

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._until - time.perf_counter()

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model, if there are tokens and time left for it.

        Raises:
            LimitReached: There are not.
        """
        system = [request.system_message] if request.system_message else []
        shown: list[BaseMessage] = [*system, *request.messages]
        # The reply is written within what is left; a prompt alone that is longer is not sent any more.
        if self.tokens + _estimated(shown, request.tools) + self._settings.reply_tokens > self._settings.tokens:
            raise LimitReached("tokens")
        started, asked = time.perf_counter(), {"messages": len(shown)}
        try:
            response = self._within(lambda: handler(request))
        except LimitReached:
            self._note("model", asked, {"text": None, "calls": []}, started, False)
            raise
        (reply,) = [message for message in response.result if isinstance(message, AIMessage)]
        tokens = _spent(shown, reply, request.tools)
        calls = [{"tool": call["name"], **call["args"]} for call in reply.tool_calls]
        said = str(reply.text)
        self.tokens += tokens.prompt + tokens.reply
        told = tokens if reply.usage_metadata else None
        self._note("model", asked, {"text": said, "calls": calls}, started, False, told)
        if not reply.tool_calls and not reply.invalid_tool_calls:
            self.final = said
        return response

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]
    ) -> ToolMessage | Any:
        """Call a tool, put its result between the marks, and keep what it found.

        Raises:
            LimitReached: There is no time left for it.
        """
        started = time.perf_counter()
        call = {"tool": request.tool_call["name"], **request.tool_call["args"]}
        try:
            result = self._within(lambda: handler(request))
        except LimitReached:
            self._note("tool", call, {"result": None, "failed": True}, started)
            raise
        if not isinstance(result, ToolMessage):
            return result
        text, failed = str(result.text), result.status == "error"
        found = result.artifact if isinstance(result.artifact, Found) else computed(text, self._language)
        if not failed:
            self.found.append(found)
        self._note("tool", call, {"result": text, "failed": failed}, started)
        return result.model_copy(update={"content": self._marks.around(text), "artifact": None})

    def _note(
        self,
        name: str,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        started: float,
        adapter: bool | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """Note a step; several tools may be called at once, each in a thread of its own."""
        with self._lock:
            seconds = time.perf_counter() - started
            self._tracer.done(name, inputs, outputs, adapter=adapter, tokens=tokens, seconds=seconds)

    def _within(self, work: Callable[[], Result]) -> Result:
        """Do work in a thread of its own, as long as there is time and nobody has stopped it."""
        results: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put((work(), None))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                results.put((None, error))

        context = contextvars.copy_context()
        # A tool that never returns holds up nobody, and not the end of the process either.
        threading.Thread(target=context.run, args=(run,), name="housevoice-agent", daemon=True).start()
        while True:
            try:
                result, error = results.get(timeout=max(0.0, min(_LOOK_SECONDS, self.left)))
            except queue.Empty:
                if self._cancel is not None and self._cancel.is_set():
                    self.given_up.set()
                    raise LimitReached("cancel") from None
                if self.left <= 0:
                    self.given_up.set()
                    raise LimitReached("seconds") from None
                continue
            if error is not None:
                raise error
            return result  # type: ignore[return-value]


def _spent(shown: Sequence[BaseMessage], reply: AIMessage, tools: Sequence[Any]) -> Tokens:
    """Return what a call read and wrote, as the model says or else as it looks."""
    usage = reply.usage_metadata
    if usage:
        return Tokens(usage["input_tokens"], usage["output_tokens"])
    return Tokens(_estimated(shown, tools), _estimated([reply]))


def _estimated(messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
    return count_tokens_approximately(messages, tools=list(tools) or None)
