"""An agent's answer: the model looks with tools, what it says is checked, and the voice says it again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware, ToolRetryMiddleware

from toolkit.agent.found import Marks
from toolkit.agent.holding import hold
from toolkit.agent.watch import LimitReached, Watch
from toolkit.answering import Answer, Citation, Route
from toolkit.answering.checking import ReplyChecker, Support
from toolkit.answering.evidence import noted
from toolkit.answering.writing import Writing
from toolkit.prompts import chat_messages

if TYPE_CHECKING:
    import threading

    from langchain_core.tools import BaseTool

    from toolkit.agent.opening import ToolModel
    from toolkit.answering import Chain, Evidence, Tracer
    from toolkit.config import AgentSettings
    from toolkit.errors import ModelError
    from toolkit.prompts import Turn

_TASK = (
    "Look things up with the tools before you answer, as often as you need to. Then answer the question in full "
    "sentences, every part of it, from nothing but what the tools returned. If they do not tell, say so."
)
# A tool that failed is tried again after so many seconds, and twice as many each time.
_PAUSE = 0.2


class Agent:
    """Answers questions with tools, beside a chain whose documents, voice and checks it shares.

    Args:
        chain: The chain.
        model: The model that calls tools.
        tools: What it may call.
        settings: How far it may go.
        falls_back: Whether the chain answers what the agent does not; otherwise that is declined.
    """

    def __init__(
        self,
        chain: Chain,
        model: ToolModel,
        tools: Sequence[BaseTool],
        settings: AgentSettings,
        *,
        falls_back: bool = False,
    ) -> None:
        self.chain = chain
        self.tools = list(tools)
        self.settings = settings
        self._model = model
        self._falls_back = falls_back
        self._called = False
        self._unable = False

    def answer(
        self,
        question: str,
        history: Sequence[Turn],
        tracer: Tracer,
        *,
        adapter: bool,
        cancel: threading.Event | None = None,
    ) -> Answer | None:
        """Answer a question.

        Args:
            question: What is asked.
            history: Earlier exchanges, oldest first.
            tracer: Notes the steps.
            adapter: Whether the voice says it in the end; it is off while the agent looks.
            cancel: Stops it when set, from any thread.

        Returns:
            The answer, or None for what is left to the chain: talk, with ``falls_back`` what it cannot answer, and what
            was cancelled.

        Raises:
            ModelError: The model cannot be asked, or not with tools, and the settings want an agent.
        """
        if self._unable:
            return None
        planner, started = self.chain.planner, time.perf_counter()
        kind = planner.kind_of(question)
        if kind != "question":
            return None
        tracer.done("route", {"message": question}, {"kind": kind, "mode": "agent"})
        watch = Watch(self.settings, Marks.for_tokens(self.settings.result_tokens), tracer, planner.language, cancel)
        limit = self._look(question, planner.recent(history), watch)
        if limit:
            tracer.done("limit", {}, {"limit": limit}, seconds=0.0)
        if limit == "cancel":
            return None
        looked = time.perf_counter() - started
        text, cited = ("", []) if limit else self._checked(question, watch, tracer)
        if not text and self._falls_back:
            return None
        said = self._spoken(question, text, tracer) if text and adapter else text
        total = time.perf_counter() - started
        return Answer(
            question=question,
            text=said or self.chain.decline,
            citations=[Citation(item.passage.source, item.passage.page, item.quote) for item in cited],
            passages=list({item.id: item for found in watch.found for item in found.passages}.values()),
            abstained=not said,
            adapter=adapter,
            seconds={"retrieve": looked, "first_token": total, "total": total},
            rewritten=question,
            trace=tracer.trace,
        )

    def _look(self, question: str, history: Sequence[Turn], watch: Watch) -> str:
        """Let the model look until it has said something; returns the limit that it came to, or nothing."""
        settings = self.settings
        agent: Any = create_agent(
            self._model.make(watch.given_up),
            self.tools,
            system_prompt=f"{self.chain.settings.system}\n{_TASK}\n{watch.rule}",
            middleware=[
                watch,
                ModelCallLimitMiddleware(run_limit=settings.model_calls, exit_behavior="end"),
                ToolCallLimitMiddleware(run_limit=settings.tool_calls, exit_behavior="continue"),
                ToolRetryMiddleware(max_retries=settings.retries, initial_delay=_PAUSE, on_failure=_failed),
            ],
        )
        try:
            agent.invoke({"messages": chat_messages(question, history)})
        except LimitReached as reached:
            return reached.limit
        except Exception as error:  # noqa: BLE001 - told with its remedy, or raised as it is
            return self._refused(error)
        finally:
            self._called = self._called or watch.tokens > 0
        return "" if watch.final is not None else "model_calls"

    def _refused(self, error: Exception) -> str:
        """Leave it to the chain where the model could not be asked; one that never could is not asked again.

        Raises:
            ModelError: The settings want an agent.
        """
        told: ModelError | None = self._model.explained(error)
        if told is None:
            raise error
        if not self._falls_back:
            raise type(told)(
                told.message, f"{told.hint} If the server takes no tools, set chain.mode to 'auto' or 'chain'.".strip()
            ) from error
        self._unable = not self._called
        return "model"

    def _checked(self, question: str, watch: Watch, tracer: Tracer) -> tuple[str, list[Evidence]]:
        """Return what of the agent's words stands, and the evidence that it rests on."""
        planner = self.chain.planner
        tracer.begin()
        held = hold(
            watch.final or "",
            question,
            watch.found,
            scales=self.chain.scales,
            language=planner.language,
            voice=self.chain.voice,
            reader=planner.picker.reader if planner.picker else None,
        )
        told = {"sentences": held.sentences, "left_out": held.left_out}
        pieces = sum(len(found.evidence) for found in watch.found)
        tracer.done("checks", {"evidence": pieces}, told | {"cited": [item.passage.id for item in held.cited]})
        return " ".join(held.sentences), held.cited

    def _spoken(self, question: str, text: str, tracer: Tracer) -> str:
        """Have the voice say what was found out, as it does of small talk; what it adds is left out."""
        planner, speaker = self.chain.planner, self.chain.speaker
        if not speaker.abilities.adapter:
            return text
        note = noted(text, planner.language)
        route = replace(
            Route(question, "question", question, [], [note], planner.messages_for(question, [note])), tracer=tracer
        )
        reader = planner.picker.reader if planner.picker else None
        support = Support(question, [note], self.chain.voice, reader, planner.language)
        writing = Writing(route, ReplyChecker(question, support, self.chain.scales.exact()), speaker, True)
        return "".join(writing.pieces(speaker.stream(route.messages, adapter=True, **planner.decoding))).strip()


def _failed(error: Exception) -> str:
    """Tell the model that a tool failed, and not how it is built."""
    return f"The tool failed: {type(error).__name__}: {error}"
