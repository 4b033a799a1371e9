"""The prompts that an export is tried on, as they are served, and what it answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.exporting.forms import Written
from pipelines.parts import Parts
from toolkit.bot import Chatbot
from toolkit.errors import DataError
from toolkit.exporting import greedy_tokens
from toolkit.exporting.llama_cpp import is_installed, llama_cpp_tokens
from toolkit.files import read_json
from toolkit.progress import Progress
from toolkit.prompts import render_pair, render_prompt, stop_token_ids
from toolkit.scoring import read_questions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Questions that are planned at a time: the base thinks about them in batches.
_PLANNED_AT_ONCE = 16


@dataclass(frozen=True)
class Prompts:
    """Prompts as the bot serves them.

    Attributes:
        texts: The prompts.
        tokens: The tokens of each.
        stops: Tokens that end a reply.
        end: The one that the chat template ends a turn with.
        own: The first tokens of what the bot replies to each.
    """

    texts: list[str]
    tokens: list[list[int]]
    stops: list[int]
    end: int
    own: list[list[int]]


def served_prompts(parts: Parts, bot: Chatbot, model: Any, count: int, questions: Path | None) -> Prompts:
    """Lay out what the model of a bot is shown for its own questions, with the notes found, and let it reply.

    What the bot declines comes to no model, and is passed over.

    Args:
        parts: What the bot is made of.
        bot: The bot.
        model: Its model, the voice on.
        count: Prompts wanted.
        questions: A file of questions in place of those of the bot.

    Raises:
        DataError: The bot has no questions, or declines all of them.
    """
    asked = _spread(_questions(parts, questions), count)
    texts: list[str] = []
    planner, tokenizer = bot.chain.planner, parts.tokenizer()
    for start in range(0, len(asked), _PLANNED_AT_ONCE):
        if parts.on_progress:
            parts.on_progress("Laying out prompts", min(len(texts), count), count)
        routes = planner.plan_many([(question, ()) for question in asked[start : start + _PLANNED_AT_ONCE]])
        if bot.has_voice:
            routes = planner.retold(routes)
        texts += [render_prompt(tokenizer, route.messages) for route in routes if not route.declines]
        if len(texts) >= count:
            break
    if not texts:
        raise DataError(
            "The bot declines all of its questions, so that its export cannot be compared with it.", _REMEDY
        )
    if parts.on_progress:
        parts.on_progress("Laying out prompts", count, count)
    texts = texts[:count]
    tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    _, completion = render_pair(tokenizer, [{"role": "user", "content": "a"}], "b")
    end = tokenizer(completion, add_special_tokens=False)["input_ids"][-1]
    stops = stop_token_ids(tokenizer)
    own = greedy_tokens(model, tokens, stops, what="Asking the bot", on_progress=parts.on_progress)
    return Prompts(texts, tokens, stops, end, own)


_REMEDY = "Name a file of questions, objects with 'question' a line, with --questions."


def _questions(parts: Parts, file: Path | None) -> list[str]:
    """Return questions: from a file, or the bot's own, or of its example replies, or what it was measured on.

    Raises:
        DataError: There are none.
    """
    own = parts.config.evaluation.questions
    if file is not None:
        return [question.question for question in read_questions(file)]
    if own is not None and own.is_file():
        return [question.question for question in parts.questions(parts.config.evaluation.split)]
    if parts.config.voice is not None and parts.config.voice.examples.is_file():
        train, held = parts.examples()
        return [example.question for example in [*held, *train]]
    # A bot folder that was moved away from its sources.
    report = read_json(parts.folder.report / "report.json") or {}
    found = [str(detail["question"]) for detail in report.get("details", ())]
    if not found:
        raise DataError(f"The bot in {parts.folder.root} has no questions to compare its export on.", _REMEDY)
    return found


def _spread(questions: Sequence[str], count: int) -> list[str]:
    """Return questions in an order in which the first ones come from everywhere."""
    step = max(1, len(questions) // count)
    return [question for start in range(step) for question in questions[start::step]]


def answers_of(written: Written, prompts: Prompts, on_progress: Progress | None) -> tuple[list[list[int]], str]:
    """Load an export again and let it answer.

    Args:
        written: The export.
        prompts: What it is asked.
        on_progress: Called with what is being done, done, total.

    Returns:
        The tokens of each reply, and what it was loaded with.

    Raises:
        ModelError: It cannot be loaded.
    """
    if written.model.is_dir():
        model = _from_folder(written)
        return greedy_tokens(model, prompts.tokens, prompts.stops, on_progress=on_progress), _named("transformers")
    if is_installed():
        replies = llama_cpp_tokens(
            written.model, written.adapter, prompts.texts, prompts.tokens, prompts.end, on_progress=on_progress
        )
        return replies, _named("xllamacpp")
    model, tokenizer = _from_gguf(written.model)
    tokens = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in prompts.texts]
    return greedy_tokens(model, tokens, prompts.stops, on_progress=on_progress), _named("transformers")


def _named(library: str) -> str:
    """Return the name of a library with its version."""
    import importlib.metadata

    return f"{library} {importlib.metadata.version(library)}"


def _from_folder(written: Written) -> Any:
    """Load a folder in the plainest way there is, and the adapter on it."""
    from transformers import AutoModelForCausalLM

    from toolkit.models.bundled import no_bars

    with no_bars():
        model: Any = AutoModelForCausalLM.from_pretrained(written.model)
    if written.adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(written.adapter))
    return model.eval()


def _from_gguf(file: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """Read a GGUF back with transformers, model and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from toolkit.models.bundled import no_bars

    with no_bars():
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    return model.eval(), tokenizer
