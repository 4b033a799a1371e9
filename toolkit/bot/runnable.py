"""A bot as a LangChain ``Runnable``: invoke, stream, batch, and their async forms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.callbacks import CallbackManagerForChainRun
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.utils import AddableDict

from toolkit.answering.trace import OnStep
from toolkit.bot.history import History
from toolkit.bot.stream import AnswerStream

if TYPE_CHECKING:
    from toolkit.answering import Answer

# The name under which callbacks hear of the steps of an answer.
STEP = "housevoice_step"


class Answering(Protocol):
    """What the runnable asks of a bot; the bot imports the runnable, and not the other way."""

    def ask(
        self,
        question: str,
        history: History = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> Answer:
        """Answer a question."""
        ...

    def stream(
        self,
        question: str,
        history: History = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> AnswerStream:
        """Answer a question piece by piece."""
        ...


class AnswerRunnable(Runnable[dict[str, Any], dict[str, Any]]):
    """Takes ``{"question": str, "history": [...], "adapter": bool, "knowledge": bool}``; all but the first optional.

    ``invoke`` returns what ``Answer.to_dict`` holds. ``stream`` yields dicts that add up to it: first pieces of
    ``answer``, then everything else. Callbacks hear of each step of the trace as the custom event :data:`STEP`.
    """

    def __init__(self, bot: Answering) -> None:
        self.bot = bot

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """Answer one question."""

        def ask(asked: dict[str, Any], run_manager: CallbackManagerForChainRun) -> dict[str, Any]:
            return self.bot.ask(**_arguments(asked), on_step=_telling(run_manager)).to_dict()

        return self._call_with_config(ask, input, config)

    def stream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Iterator[dict[str, Any]]:
        """Answer one question piece by piece."""
        yield from self._transform_stream_with_config(iter([input]), self._pieces, config)

    def _pieces(
        self, asked: Iterator[dict[str, Any]], run_manager: CallbackManagerForChainRun
    ) -> Iterator[dict[str, Any]]:
        for one in asked:
            stream = self.bot.stream(**_arguments(one), on_step=_telling(run_manager))
            for piece in stream:
                yield AddableDict(answer=piece)
            if stream.answer is not None:
                rest = stream.answer.to_dict()
                del rest["answer"]
                yield AddableDict(rest)

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[dict[str, Any]]:
        """Answer one question piece by piece without blocking the event loop."""
        parts = self.stream(input, config)
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            yield part


def _telling(run: CallbackManagerForChainRun) -> OnStep | None:
    """Return what tells the callbacks of a run each step of the trace, as the custom event :data:`STEP`."""
    manager = run.get_child()
    if not manager.handlers:
        return None
    # As `dispatch_custom_event` does, which would look the callbacks up again for each step.
    return lambda step: manager.on_custom_event(STEP, step.to_dict(), run_id=run.run_id)


def _arguments(asked: dict[str, Any] | str) -> dict[str, Any]:
    """Return the arguments of :meth:`Answering.ask` for an input."""
    if isinstance(asked, str):
        return {"question": asked}
    return {key: asked[key] for key in ("question", "history", "adapter", "knowledge") if key in asked}
