"""Tool calls of a model in this process: rendered by its own chat template, and read back from what it writes."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from toolkit.engines.base import Decoding
from toolkit.prompts import render_tools_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from toolkit.engines import TextEngine


def reading_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase | None:
    """Return a tokenizer that can read calls of tools back, or None where its chat template has no place for them.

    How the calls of a template look is known of the templates that TRL knows, and of tokenizers that say it themselves.
    """
    from trl.chat_template_utils import add_response_schema, supports_tool_calling

    if not supports_tool_calling(tokenizer):
        return None
    reading = copy.copy(tokenizer)
    if getattr(reading, "response_template", None) is None:
        try:
            add_response_schema(reading)
        except ValueError:
            return None
    return reading


class LocalToolModel(BaseChatModel):
    """A model in this process that can call tools, its voice off.

    Attributes:
        engine: Writes: a :class:`toolkit.engines.TextEngine`.
        tokenizer: What :func:`reading_tokenizer` returned.
        decoding: How it writes.
        cancel: Stops it when set.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: Any
    tokenizer: Any
    decoding: Decoding
    cancel: threading.Event

    @property
    def _llm_type(self) -> str:
        return "housevoice-tools"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with tools that it may call; which one is its own choice."""
        return cast(Any, self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from trl.chat_template_utils import parse_response

        engine, tools = cast("TextEngine", self.engine), kwargs.get("tools") or []
        prompt = render_tools_prompt(self.tokenizer, self._plain(messages), tools)
        ids = engine.complete(prompt, adapter=False, decoding=self.decoding, cancel=self.cancel)
        before = engine.encoded(prompt)
        parsed = parse_response(self.tokenizer, ids, prefix=before, tools=tools)
        message = as_message(parsed)
        message.usage_metadata = {
            "input_tokens": len(before), "output_tokens": len(ids), "total_tokens": len(before) + len(ids),
        }  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _plain(self, messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
        """Return messages as templates take them; what others wrote holds no token that means more than its letters."""
        rows = convert_to_openai_messages(list(messages))
        plain = []
        for row in rows if isinstance(rows, list) else [rows]:
            row["content"] = str(row.get("content") or "")
            if row["role"] in ("user", "tool"):
                row["content"] = self._harmless(row["content"])
            for call in row.get("tool_calls") or ():
                call["function"]["arguments"] = json.loads(call["function"]["arguments"] or "{}")
            plain.append(row)
        return plain

    def _harmless(self, text: str) -> str:
        """Break up the tokens that end a turn or begin a call, which would count as the template's own."""
        for token in self.tokenizer.get_added_vocab():
            if len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def as_message(parsed: Mapping[str, Any]) -> AIMessage:
    """Return what was read back from a reply as LangChain has it; a call that cannot be read is told to the model."""
    calls, invalid = [], []
    for call in parsed.get("tool_calls") or ():
        function, name = call["function"], f"call_{uuid.uuid4().hex[:8]}"
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                arguments = None
        if isinstance(arguments, dict):
            calls.append(ToolCall(name=str(function["name"]), args=arguments, id=name))
        else:
            told = str(function.get("arguments"))
            wrong = InvalidToolCall(
                type="invalid_tool_call", name=str(function["name"]), args=told, id=name, error="no JSON object"
            )
            invalid.append(wrong)
    content = str(parsed.get("content") or "").strip()
    return AIMessage(content=content, tool_calls=calls, invalid_tool_calls=invalid)
