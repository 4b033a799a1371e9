"""Tool calls of a model in this process: rendered by its own chat template, and read back from what it writes."""

from __future__ import annotations

import copy
import json
import os
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

    A tokenizer may say itself how the calls of its template look; TRL knows it of many families. A template that is
    none of these to the letter, such as that of a tuned model, is of the family that reads back what it renders.
    """
    from trl import chat_template_utils as known

    if not known.supports_tool_calling(tokenizer):
        return None
    reading = copy.copy(tokenizer)
    if getattr(reading, "response_template", None) is not None:
        return reading
    try:
        return known.add_response_schema(reading)
    except ValueError:
        families = (value for name, value in vars(known).items() if name.endswith("_template"))
        for family in families:
            reading.response_template = family
            if isinstance(family, dict) and _reads_back(reading):
                return reading
    return None


def _reads_back(tokenizer: Any) -> bool:
    """Tell whether a tokenizer reads a call of a tool back that its template rendered."""
    from jinja2 import TemplateError

    asked: dict[str, Any] = {"role": "user", "content": "hi"}
    call = {"name": "look_up", "arguments": {"words": "two lamps"}}
    told = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
    try:
        prompt = render_tools_prompt(tokenizer, [asked], [])
        whole = str(tokenizer.apply_chat_template([asked, told], tokenize=False))
        # Some templates begin a reply with an empty thought that they leave out of a finished one.
        start = len(os.path.commonprefix([prompt, whole]))
        parsed = tokenizer.parse_response(whole[start:], prefix=whole[:start])
        read = [each["function"] for each in parsed.get("tool_calls") or ()]
    except (TemplateError, ValueError, TypeError, KeyError):
        return False
    return len(read) == 1 and read[0] == call


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
