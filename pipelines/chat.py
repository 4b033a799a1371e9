"""Asking a bot: a conversation in the terminal, one question, or a file of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.bot import BotFolder, Chatbot, open_knowledge, open_reader, read_config
from toolkit.errors import DataError
from toolkit.progress import Progress
from toolkit.prompts import Turn

if TYPE_CHECKING:
    from toolkit.answering import Answer
    from toolkit.store import Passage

_BULK_STEP = 32


def converse(
    bot: Chatbot,
    *,
    adapter: bool,
    knowledge: bool,
    write: Callable[[str], None],
    read: Callable[[str], str | None],
) -> None:
    """Talk until the person leaves. Ctrl-C stops the reply; at the prompt it ends the conversation.

    Args:
        bot: The bot.
        adapter: Whether to speak in the voice.
        knowledge: Whether to use the documents.
        write: Puts text on the screen.
        read: Asks for a line; None at the end of the input.
    """
    write(f"{bot.config.name}: ask away. An empty line starts over, Ctrl-D leaves.\n")
    history: list[Turn] = []
    while True:
        question = read("\n> ")
        if question is None:
            write("\n")
            return
        if not question.strip():
            history.clear()
            write("(a new conversation)\n")
            continue
        stream = bot.stream(question.strip(), history, adapter=adapter, knowledge=knowledge)
        text = ""
        try:
            for piece in stream:
                text += piece
                write(piece)
        except KeyboardInterrupt:
            stream.close()
            write(" (stopped)")
        write("\n")
        if stream.answer is not None:
            write(_sources_line(stream.answer))
        history.append(Turn(question.strip(), text))


def read_bulk(path: Path) -> list[str]:
    """Read the questions of a JSONL file: objects with ``question``.

    Raises:
        DataError: It is missing or has bad lines; each is numbered.
    """
    from toolkit.scoring import read_questions

    return [question.question for question in read_questions(path)]


def ask_in_bulk(
    bot: Chatbot,
    questions: Sequence[str],
    *,
    adapter: bool = True,
    knowledge: bool = True,
    on_progress: Progress | None = None,
) -> Iterator[Answer]:
    """Answer many questions and yield each answer as soon as its batch is done."""
    for start in range(0, len(questions), _BULK_STEP):
        chosen = questions[start : start + _BULK_STEP]
        yield from bot.ask_many(chosen, adapter=adapter, knowledge=knowledge)
        if on_progress:
            on_progress("Answering", start + len(chosen), len(questions))


@contextmanager
def open_for_search(folder: Path) -> Iterator[Chatbot]:
    """Open a bot without its language model.

    Raises:
        DataError: The folder is not a bot, or has no documents.
    """
    place = BotFolder(folder)
    config = read_config(place)
    knowledge = open_knowledge(place, config)
    if knowledge is None:
        raise DataError(f"The bot in {folder} has no documents.", "Add a 'knowledge' section and build it.")
    try:
        yield Chatbot.assemble(place, config, None, knowledge, open_reader(config))
    finally:
        knowledge.close()


def nothing_found(bot: Chatbot, query: str, passages: Sequence[Passage]) -> str | None:
    """Say so where the gate takes a query for one that the passages do not answer; None otherwise.

    Args:
        bot: The bot that was searched.
        query: What was looked for.
        passages: What was found for it, best first; as many as an answer is written from are judged.
    """
    planner = bot.chain.planner
    if planner.kind_of(query) == "talk":
        return None
    if not passages:
        return "Nothing was found."
    score, declines = planner.judge(query, passages[: planner.k])
    if planner.gate is None or score is None or not declines:
        return None
    return (
        f"The documents probably do not tell: score {score:.2f}; the bot answers from "
        f"{planner.gate.threshold:.2f} on, which declines {planner.gate.report['false_refusals']:.0%} of what they do "
        "tell."
    )


def show_answer(answer: Answer) -> str:
    """Lay an answer out for the terminal."""
    return f"{answer.text}\n{_sources_line(answer)}".rstrip()


def show_passage(number: int, passage: Passage) -> str:
    """Lay a passage out for the terminal."""
    page = f", page {passage.page}" if passage.page else ""
    heading = f"  {passage.heading}\n" if passage.heading else ""
    text = " ".join(passage.text.split())
    return f"{number:>2}. {passage.source}{page}  ({passage.score:.3f})\n{heading}  {text}\n"


def _sources_line(answer: Answer) -> str:
    """List where an answer stands."""
    lines = []
    for number, citation in enumerate(answer.citations, start=1):
        page = f", page {citation.page}" if citation.page else ""
        quote = " ".join(citation.quote.split())
        lines.append(f"  [{number}] {citation.source}{page}: {json.dumps(quote[:160], ensure_ascii=False)}")
    return "\n".join(lines) + ("\n" if lines else "")
