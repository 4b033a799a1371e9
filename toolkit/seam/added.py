"""Rows that nobody wrote, beside the woven examples: questions of the bot's own documents, and general chat."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from toolkit.answering import Route, RoutePlanner
from toolkit.config import VoiceSettings
from toolkit.examples import general_examples
from toolkit.examples.made import made_examples
from toolkit.progress import Progress
from toolkit.prompts import chat_messages
from toolkit.seam.weave import SeamRow, as_served, declining_rows, typical_declines


def document_rows(
    rows: Sequence[SeamRow],
    planner: RoutePlanner,
    passages: Iterable[tuple[str, str, str]],
    settings: VoiceSettings,
    *,
    on_progress: Progress | None = None,
) -> list[SeamRow]:
    """Make rows from the documents: a question, what the bot finds for it, and the document's own words as the reply.

    One whose answer the bot does not find is left out: without notes it would be a fact to be learnt by heart. As of
    the examples, a share of them is made once more with the answer taken out, where ``rows_that_decline`` asks for it.

    Args:
        rows: Woven examples.
        planner: The route of the bot that will serve.
        passages: Source, heading path and text of each passage, as ``Knowledge.texts`` gives them.
        settings: The ``voice`` section of ``bot.yaml``.
        on_progress: Called after each row that is asked for.
    """
    wanted = _count(rows, settings.rows_from_documents)
    if not wanted or planner.picker is None:
        return []
    held = list(passages)
    # Each passage gives a heading, and each word of it a cell or a sentence at most: so many are all of them.
    most = sum(1 + len(text.split()) for _, _, text in held)
    made: list[SeamRow] = []
    for number, item in enumerate(made_examples(held, planner.picker.lexicon, settings.seed, most), _free_line(rows)):
        if len(made) == wanted:
            break
        row = as_served(item.as_example(number), planner)
        if row.kind == "passages":
            made.append(replace(row, plain=True))
            if on_progress:
                on_progress("Asking the documents", len(made), wanted)
    chance = random.Random(settings.seed)
    return made + declining_rows(made, typical_declines(rows, planner), planner, settings.rows_that_decline, chance)


def replay_rows(rows: Sequence[SeamRow], settings: VoiceSettings) -> list[SeamRow]:
    """Return rows of general chat, as they are: without notes, and without a system message of the bot's.

    Under the bot's own they would teach it to speak plainly where it is to speak in the voice.

    Args:
        rows: Woven examples.
        settings: The ``voice`` section of ``bot.yaml``.
    """
    known = general_examples()
    count = min(_count(rows, settings.replay_rows), len(known))
    made = []
    for number, item in enumerate(random.Random(settings.seed).sample(known, count), _free_line(rows)):
        messages = chat_messages(item.question, item.history)
        route = Route(item.question, "talk", item.question, [], [], messages)
        made.append(SeamRow(replace(item, line=number, conversation=number), "alone", route, plain=True))
    return made


def _count(rows: Sequence[SeamRow], share: float) -> int:
    """Return a share of the examples, in rows; those that were made of others are none."""
    return round(share * sum(not row.taken_out for row in rows))


def _free_line(rows: Sequence[SeamRow]) -> int:
    """Return a number that no example is called by, nor any after it."""
    return 1 + max((max(row.example.line, row.example.conversation) for row in rows), default=0)
