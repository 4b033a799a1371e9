"""An engine behind LangChain's ``BaseChatModel``, so that it can be used in any LangChain chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from langchain_core.callbacks import CallbackManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list
from pydantic import ConfigDict

from toolkit.engines.base import Abilities, Decoding, ScoredReply, TextGenerator, Tokens
from toolkit.engines.stops import cut, cut_pieces
from toolkit.prompts import Message


class HouseChatModel(BaseChatModel):
    """A local model with its voice on or off per call: ``model.invoke(messages, adapter=False)``.

    Further keyword arguments of a call: ``max_new_tokens``, ``temperature``, ``seed``, ``forbid_first``, and for
    streams ``cancel``, a ``threading.Event``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    # A protocol cannot be checked by pydantic; SkipValidation would hide the type from the type checker as well.
    engine: Any

    def __init__(self, *, engine: TextGenerator, **options: Any) -> None:
        super().__init__(engine=engine, **options)

    @property
    def abilities(self) -> Abilities:
        """What the engine can do."""
        return cast(TextGenerator, self.engine).abilities

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Return how likely each reply starts as a text does, and one that does not."""
        return cast(TextGenerator, self.engine).scored_replies(conversations, token_text, max_new_tokens)

    def count_tokens(self, messages: Sequence[Message], reply: str) -> Tokens | None:
        """Count the tokens of a prompt and of a reply to it; None where the engine does not know them."""
        count = getattr(self.engine, "count_tokens", None)
        return count(messages, reply) if count else None

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
        empty = True
        try:
            for piece in cut_pieces(pieces, stop):
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
                empty = False
        finally:
            if hasattr(pieces, "close"):
                pieces.close()  # stops the model where a mark was met, or where nobody reads on
        if empty:
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
        """Write the replies to many conversations in batches, which is several times as fast as one by one.

        Callbacks, tags and metadata of ``config`` are heeded as by ``invoke``, and no more than its
        ``max_concurrency`` conversations are before the model at once. A failure is that of every conversation, as
        they share the batch.
        """
        if not inputs:
            return []
        conversations = [self._convert_input(item).to_messages() for item in inputs]
        configs = get_config_list(config, len(inputs))
        stop = kwargs.get("stop")
        runs = [self._start(*pair, kwargs) for pair in zip(conversations, configs, strict=True)]
        at_once = configs[0].get("max_concurrency") or len(inputs)
        replies: list[AIMessage] = []
        try:
            for start in range(0, len(inputs), at_once):
                texts = self.engine.generate(
                    [_plain(messages) for messages in conversations[start : start + at_once]],
                    adapter=kwargs.get("adapter", True),
                    decoding=_decoding(kwargs),
                    on_progress=kwargs.get("on_progress"),
                )
                replies += [AIMessage(content=cut(text, stop).strip()) for text in texts]
        except BaseException as error:
            for run in runs:
                run.on_llm_error(error, response=LLMResult(generations=[]))
            if return_exceptions and isinstance(error, Exception):
                return cast(list[AIMessage], [error] * len(inputs))  # as LangChain's own batch types them
            raise
        for run, reply in zip(runs, replies, strict=True):
            run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=reply)]]))
        return replies

    def _start(
        self, messages: list[BaseMessage], config: RunnableConfig, options: dict[str, Any]
    ) -> CallbackManagerForLLMRun:
        """Tell the callbacks of a call that it begins, as ``invoke`` does."""
        manager = CallbackManager.configure(
            config.get("callbacks"),
            self.callbacks,
            self.verbose,
            config.get("tags"),
            self.tags,
            config.get("metadata"),
            self.metadata,
        )
        (run,) = manager.on_chat_model_start(
            dumpd(self),
            [messages],
            invocation_params=self._get_invocation_params(stop=options.get("stop")),
            options={"stop": options.get("stop")},
            name=config.get("run_name"),
            run_id=config.get("run_id"),
            batch_size=1,
        )
        return run


def _plain(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return messages as the plain roles and contents that templates take."""
    converted = convert_to_openai_messages(list(messages))
    rows = converted if isinstance(converted, list) else [converted]
    return [{"role": str(row["role"]), "content": str(row["content"])} for row in rows]


def _decoding(arguments: dict[str, Any]) -> Decoding:
    """Return the decoding that the keyword arguments of a call ask for."""
    known = ("max_new_tokens", "temperature", "seed", "forbid_first")
    return Decoding(**{key: arguments[key] for key in known if key in arguments})
