"""What the chain costs beside its models: a scripted model that answers at once, and the reader's time taken off."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.answering.figures import Report

if TYPE_CHECKING:
    from toolkit import Answer, Chatbot
    from toolkit.prompts import Message
    from toolkit.store import Knowledge

CHUNKS, MILLISECONDS = 1000, 30.0
# Log-probability of a refusal that lets nearly every question through.
_TOLD = -9.0


class Timed:
    """Something whose methods add up how long they take.

    Args:
        inner: The thing.
        names: The methods.

    Attributes:
        seconds: So long.
    """

    def __init__(self, inner: Any, *names: str) -> None:
        self.seconds = 0.0
        for name in names:
            setattr(inner, name, self._timed(getattr(inner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started

        return timed


@dataclass
class Spent:
    """What questions cost beside model and reader, in milliseconds each.

    Attributes:
        all: Everything.
        embedding: The embedder's part of it.
        answers: What was answered.
    """

    all: list[float]
    embedding: list[float]
    answers: list[Answer]


def first_note(messages: Sequence[Message]) -> str:
    """Reply with the best note, so that there is something to check and to cite."""
    content = messages[-1]["content"]
    return content.splitlines()[1].removeprefix("[1] ") if content.startswith("Notes:") else "Hello."


def fill(knowledge: Knowledge, count: int) -> int:
    """Add the documents under other names until there are at least so many chunks; returns how many there are."""
    from langchain_core.documents import Document

    held = sorted({source for _, source, _ in knowledge.texts()})
    texts = {source: [text for _, name, text in knowledge.texts() if name == source] for source in held}
    copy = 0
    while knowledge.count() < count:
        copy += 1
        for source in held:
            name = f"copy-{copy}/{source}"
            chunks = [Document(page_content=text, metadata={"source": name}) for text in texts[source]]
            knowledge.replace_source(name, name, chunks, "1")
            if knowledge.count() >= count:
                break
    return knowledge.count()


def ask(bot: Chatbot, reader: Timed, embedder: Timed, question: str) -> Spent:
    """Ask a question, and take the reader's time off."""
    read, embedded, started = reader.seconds, embedder.seconds, time.perf_counter()
    answer = bot.ask(question)
    spent = time.perf_counter() - started - (reader.seconds - read)
    return Spent([1000 * spent], [1000 * (embedder.seconds - embedded)], [answer])


def run(report: Report, options: argparse.Namespace) -> None:
    """Ask a bot's questions of a thousand chunks: half of them on a bot just opened, then the others."""
    from toolkit.bot import BotFolder, Chatbot, open_knowledge, open_reader, read_config
    from toolkit.scoring import read_questions
    from toolkit.testing import ScriptedChatModel

    questions = [item.question for item in read_questions(options.questions, "tune")]
    random.Random(options.seed).shuffle(questions)
    questions = questions[: options.limit or None]
    half = len(questions) // 2
    with tempfile.TemporaryDirectory() as work:
        place = BotFolder(Path(shutil.copytree(options.bot, Path(work) / "bot")))
        config = read_config(place)
        model = ScriptedChatModel(replies=first_note, scores=lambda messages, text: _TOLD)
        knowledge, read = open_knowledge(place, config), open_reader(config)
        assert knowledge is not None
        assert read is not None
        try:
            chunks = fill(knowledge, CHUNKS)
            bot = Chatbot.assemble(place, config, model, knowledge, read)
            reader, embedder = Timed(read, "read", "support"), Timed(knowledge.embedder, "encode")
            bot.ask(questions[0])  # what is loaded when it is first needed
            first, later = (
                report.work("Asking", lambda part: [ask(bot, reader, embedder, one) for one in part], part)
                for part in (questions[:half], questions[half:])
            )
        finally:
            knowledge.close()
    add_figures(report, chunks, together(first), together(later))


def together(parts: Sequence[Spent]) -> Spent:
    """Return what all questions cost."""
    return Spent(
        [value for part in parts for value in part.all],
        [value for part in parts for value in part.embedding],
        [answer for part in parts for answer in part.answers],
    )


def add_figures(report: Report, chunks: int, first: Spent, later: Spent) -> None:
    """Add the milliseconds beside the models, and where they go."""
    count = len(later.all)
    if not count:
        return
    name = "a question beside model and reader, mean"
    report.add(name, _mean(later.all), MILLISECONDS, at_most=True, form="ms", of=count)
    report.add("  median", float(np.median(later.all)), form="ms", of=count)
    report.add("  95 in 100", float(np.quantile(later.all, 0.95)), form="ms", of=count)
    report.add("  of it the embedder", _mean(later.embedding), form="ms", of=count)
    apart = [spent - embedding for spent, embedding in zip(later.all, later.embedding, strict=True)]
    report.add("  of it the chain itself", _mean(apart), MILLISECONDS, at_most=True, form="ms", of=count)
    report.add("the same of a bot just opened, mean", _mean(first.all), form="ms", of=len(first.all))
    steps: dict[str, list[float]] = {}
    for answer in later.answers:
        for step in answer.trace:
            steps.setdefault(step.name, []).append(1000 * step.seconds)
        report.details.append({"question": answer.question, "trace": answer.trace.to_dict()})
    for name, values in steps.items():
        reads = ", the reader in it" if name in ("evidence", "checks") else ""
        report.add(f"  step {name}{reads}", _mean(values), form="ms", of=len(values))
    report.note(f"{chunks} chunks; a scripted model that answers at once; {len(first.all)} other questions before")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
