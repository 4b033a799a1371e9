"""Compound questions, answered part by part and said as one.

Each part is a question after the ones before it, so that "how long does it last?" finds what "it" is. The base answers
them with its voice off; the voice then brings its turns of phrase, and the facts stay as they were checked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.answering.checking import ReplyChecker, Support
from toolkit.answering.evidence import noted
from toolkit.answering.route import Route
from toolkit.answering.trace import OnStep, Trace, Tracer
from toolkit.answering.writing import Writing
from toolkit.prompts import Turn

if TYPE_CHECKING:
    from toolkit.answering.chain import Answer, Chain


def answer_in_parts(
    chain: Chain,
    question: str,
    parts: Sequence[str],
    history: Sequence[Turn],
    *,
    adapter: bool,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
) -> Answer | None:
    """Answer a compound question.

    What the documents do not tell is declined after what they do; where they tell nothing, the whole is declined.

    Args:
        chain: What answers each part.
        question: The whole question.
        parts: What it is made of.
        history: Earlier exchanges, oldest first.
        adapter: Whether the voice is on.
        on_step: Told each step as it is done.
        cancel: Stops between two parts.

    Returns:
        The answer; None where it was cancelled.
    """
    started, tracer = time.perf_counter(), Tracer(on_step)
    tracer.done("parts", {"question": question}, {"parts": list(parts)})
    turns, found = list(history), []
    for part in parts:
        if cancel is not None and cancel.is_set():
            return None
        answer = chain.looked_once([(part, turns)], adapter=False, on_step=on_step)[0]
        found.append(answer)
        turns.append(Turn(part, answer.text))  # a declined part as well: what "it" is stands there
    told = [answer for answer in found if not answer.abstained]
    tracer.begin()
    said = _said(chain, question, [answer.text for answer in told], adapter, tracer) if told else ""
    declined = next((answer.text for answer in found if answer.abstained), "")
    total = time.perf_counter() - started
    steps = [step for answer in found for step in answer.trace]
    return replace(
        (told or found)[0],
        question=question,
        text=" ".join(filter(None, [said, declined])),
        citations=list(dict.fromkeys(item for answer in told or found for item in answer.citations)),
        passages=list({item.id: item for answer in found for item in answer.passages}.values()),
        abstained=not told,
        adapter=adapter,
        seconds={
            "retrieve": sum(answer.seconds["retrieve"] for answer in found),
            "first_token": total,
            "total": total,
        },
        rewritten=" ".join(answer.rewritten for answer in found),
        replaced=[sentence for answer in found for sentence in answer.replaced],
        trace=Trace((tracer.steps[0], *steps, *tracer.steps[1:])),
    )


def _said(chain: Chain, question: str, texts: Sequence[str], adapter: bool, tracer: Tracer) -> str:
    """Have the voice say what was found, each text in its own words."""
    planner, speaker = chain.planner, chain.speaker
    if not (adapter and speaker.abilities.adapter):
        return " ".join(texts)
    notes = [noted(text, planner.language) for text in texts]
    messages = planner.messages_for(question, notes)
    route = Route(question, "question", question, [], notes, messages, tracer=tracer)
    reader = planner.picker.reader if planner.picker else None
    support = Support(question, notes, chain.voice, reader, planner.language)
    writing = Writing(route, ReplyChecker(question, support, chain.scales.exact(), whole=True), speaker, adapter)
    return "".join(writing.pieces([speaker.invoke(messages, adapter=True, **planner.decoding)])).strip()
