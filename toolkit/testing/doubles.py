"""Doubles for tests, of housevoice itself and of what is built on it: no bundled weights, no network, no waiting.

A tiny random model stands in for a base where weights and tokens matter, a scripted chat model where only the
words matter, and a hash embedder for the embedder of the knowledge.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list
from pydantic import ConfigDict, Field

from toolkit.engines.base import Abilities, ScoredReply
from toolkit.prompts import Message
from toolkit.testing.hash_embedder import HashEmbedder

__all__ = ["CHATML_TEMPLATE", "HashEmbedder", "ScriptedCall", "ScriptedChatModel", "tiny_model"]

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TINY_TEXT = (
    "You answer customers in the voice of the house. Use only the notes.",
    "Notes:\n- The lamp burns for 38 hours.\n\nQuestion: How long does the lamp burn?",
    "The house is open from Monday to Friday, and the price of the lamp is 40 euros.",
    "user assistant system what where when how long much many",
)
_TINY_VOCABULARY = 384


def tiny_model(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a tiny random Llama with its tokenizer as an ordinary safetensors folder.

    It has 2 layers, 32 hidden numbers, 4 query heads over 2 key-value heads, a byte-level vocabulary of at most 384
    tokens and the ChatML template; a turn ends with ``<|im_end|>``, which is the EOS token as well. What it writes
    means nothing, but it is the same each time.

    Args:
        folder: Where to write it; made if it is missing.
        seed: Seed of the weights: two seeds give two bases of the same shape.

    Returns:
        The folder, which ``base.model`` of ``bot.yaml`` can name.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    path = Path(folder)
    tokenizer = _tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        # Ten times the usual spread: tokens differ clearly in probability, so that greedy replies are stable.
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _tiny_tokenizer() -> Any:
    """Train a byte-level BPE tokenizer on a few lines; any text can be written with it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_TINY_VOCABULARY,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TINY_TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHATML_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True)
class ScriptedCall:
    """One call of a :class:`ScriptedChatModel`.

    Attributes:
        messages: What it was shown, as roles and contents.
        adapter: Whether the voice was asked for; None where the caller did not say.
        streamed: Whether the reply was asked for piece by piece.
        arguments: Every keyword argument of the call, ``adapter`` among them.
    """

    messages: list[Message]
    adapter: bool | None
    streamed: bool
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last message: the question with its notes."""
        return self.messages[-1]["content"]


class ScriptedChatModel(BaseChatModel):
    """A chat model that replies what it was told to, and remembers how it was called.

    Takes the arguments of the bot's own model: ``adapter``, ``cancel``, ``max_new_tokens`` (in words here),
    ``temperature`` and ``forbid_first``.

    Attributes:
        replies: Replies in the order of the calls, or a function from the messages to a reply.
        scores: A function from the messages and a text to the log-probability that the reply starts with it; without
            one the model does not tell.
        short: The reply that goes with each score.
        calls: Every call so far.

    Example:
        >>> model = ScriptedChatModel(replies=["Ahoy!"])
        >>> model.invoke("Hello!").content
        'Ahoy!'
        >>> model.calls[0].text
        'Hello!'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    replies: list[str] | Callable[[list[Message]], str]
    scores: Callable[[list[Message], str], float] | None = None
    short: str = ""
    calls: list[ScriptedCall] = Field(default_factory=list)

    @property
    def abilities(self) -> Abilities:
        """What it takes: everything; it tells scores where it was given some."""
        return Abilities(adapter=True, cancel=True, batch=True, token_scores=self.scores is not None)

    def scored_replies(
        self, conversations: Sequence[Sequence[Message]], token_text: str, max_new_tokens: int
    ) -> list[ScoredReply] | None:
        """Return the score of each conversation with ``short``, or None where it was given no scores."""
        if self.scores is None:
            return None
        return [ScoredReply(self.scores(list(messages), token_text), self.short) for messages in conversations]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "".join(_words(self._reply(messages, stop, kwargs, streamed=False))).strip()
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        cancel = kwargs.get("cancel") or threading.Event()
        # LangChain takes a stream without a single piece for a failure; an empty reply is an empty piece.
        for word in _words(self._reply(messages, stop, kwargs, streamed=True)) or [""]:
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
            if cancel.is_set():
                return

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Reply to many conversations in their order; LangChain's own would ask from several threads."""
        configs = get_config_list(config, len(inputs)) if inputs else []
        return [self.invoke(item, settings, **kwargs) for item, settings in zip(inputs, configs, strict=True)]

    def _reply(
        self, messages: Sequence[BaseMessage], stop: Sequence[str] | None, arguments: dict[str, Any], *, streamed: bool
    ) -> str:
        """Note the call and return its reply, cut where a stop mark or the longest length says.

        Raises:
            AssertionError: There is no reply left.
        """
        shown = [
            {"role": str(row["role"]), "content": str(row["content"])}
            for row in convert_to_openai_messages(list(messages))
        ]
        self.calls.append(ScriptedCall(shown, arguments.get("adapter"), streamed, dict(arguments)))
        if callable(self.replies):
            reply = self.replies(shown)
        elif len(self.calls) <= len(self.replies):
            reply = self.replies[len(self.calls) - 1]
        else:
            raise AssertionError(f"There is no reply left for call {len(self.calls)}: {shown[-1]['content']!r}")
        ends = [at for mark in stop or () if (at := reply.find(mark)) >= 0]
        words = _words(reply[: min(ends, default=len(reply))])
        return "".join(words[: arguments.get("max_new_tokens") or len(words)])


def _words(text: str) -> list[str]:
    """Cut a text into words, each with the blank after it."""
    return re.findall(r"\s*\S+\s*", text)
