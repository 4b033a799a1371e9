"""The engine behind LangChain's ``BaseChatModel``, so that it can be used in any LangChain chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from pydantic import ConfigDict

from toolkit.engines.text_engine import Decoding, TextEngine
from toolkit.prompts import Message


class HouseChatModel(BaseChatModel):
    """A local model with its voice on or off per call: ``model.invoke(messages, adapter=False)``.

    Further keyword arguments of a call: ``max_new_tokens``, ``temperature``, ``seed``, and for streams ``cancel``,
    a ``threading.Event``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    engine: TextEngine

    @property
    def _llm_type(self) -> str:
        return "housevoice"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(str(chunk.message.content) for chunk in self._stream(messages, stop, run_manager, **kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text.strip()))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces = self.engine.stream(
            _plain(messages),
            adapter=kwargs.get("adapter", True),
            decoding=_decoding(kwargs),
            cancel=kwargs.get("cancel"),
        )
        text, sent = "", 0
        for piece in pieces:
            text += piece
            ends = [at for mark in stop or () if (at := text.find(mark, 1)) >= 0]
            upto = min(ends, default=len(text))
            if upto > sent:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=text[sent:upto]))
                sent = upto
                if run_manager:
                    run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                yield chunk
            if ends:
                pieces.close()  # stops the model
                break
        if not sent:
            # LangChain takes a stream without a single piece for a failure; an empty reply is an empty piece.
            yield ChatGenerationChunk(message=AIMessageChunk(content=""))

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Write the replies to many conversations in batches, which is several times as fast as one by one."""
        conversations = [_plain(self._convert_input(item).to_messages()) for item in inputs]
        replies = self.engine.generate(
            conversations,
            adapter=kwargs.get("adapter", True),
            decoding=_decoding(kwargs),
            on_progress=kwargs.get("on_progress"),
        )
        return [AIMessage(content=reply) for reply in replies]


def _plain(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return messages as the plain roles and contents that templates take."""
    converted = convert_to_openai_messages(list(messages))
    rows = converted if isinstance(converted, list) else [converted]
    return [{"role": str(row["role"]), "content": str(row["content"])} for row in rows]


def _decoding(arguments: dict[str, Any]) -> Decoding:
    """Return the decoding that the keyword arguments of a call ask for."""
    return Decoding(**{key: arguments[key] for key in ("max_new_tokens", "temperature", "seed") if key in arguments})
