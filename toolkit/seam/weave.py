"""Weaving: each example reply becomes a training row with what the bot finds for its question when it serves."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from toolkit.answering import Evidence, Route, RoutePlanner
from toolkit.answering.checking import SUPPORTED, Support, sentences_of_reply
from toolkit.answering.evidence import Picked
from toolkit.config import VoiceSettings
from toolkit.examples import Example
from toolkit.language import numbers
from toolkit.progress import Progress
from toolkit.prompts import Message

if TYPE_CHECKING:
    from toolkit.store import Passage

Kind = Literal["passages", "decline", "alone"]

# Units looked through for others that tell the same, where the answer is taken out of the evidence.
_UNITS_LOOKED_THROUGH = 12
# Declining replies that rows with the answer taken out are given: those that fit any question.
_TYPICAL_DECLINES = 8


@dataclass(frozen=True)
class SeamRow:
    """A training row before it is tokenised.

    Attributes:
        example: The example reply.
        kind: ``passages`` where the evidence supports the reply, ``decline`` where the reply says that the documents
            do not tell, ``alone`` where the reply rests on no document.
        route: What serving finds for the question and shows to the model.
        taken_out: Whether the answer was taken out of the evidence to make a row that declines.
        put_in: Whether evidence that serving would not have shown was put in place, because the reply rests on it.
        bare: Whether notes that serving would have shown were left out: by draw, or because the reply rests on none.
        plain: Whether the reply is in nobody's voice: a document's own words, or general chat.
    """

    example: Example
    kind: Kind
    route: Route
    taken_out: bool = False
    put_in: bool = False
    bare: bool = False
    plain: bool = False

    @property
    def trains(self) -> bool:
        """Whether an adapter learns from the row.

        Deciding is the gate's work, and an adapter that has learnt to decline does so where it should answer. Rows
        that were made to decline are asked for in the settings.
        """
        return self.kind != "decline" or self.taken_out

    @property
    def question(self) -> str:
        """The question as it is searched for."""
        return self.route.alone

    @property
    def evidence(self) -> Sequence[Evidence]:
        """What the model is shown."""
        return self.route.evidence

    @property
    def passages(self) -> Sequence[Passage]:
        """What was retrieved."""
        return self.route.passages

    @property
    def messages(self) -> list[Message]:
        """The messages that the model is shown."""
        return self.route.messages


def weave(
    examples: Sequence[Example], planner: RoutePlanner, settings: VoiceSettings, *, on_progress: Progress | None = None
) -> list[SeamRow]:
    """Lay out every example reply as the bot would be asked for it.

    A reply that rests on no passage found (small talk, or something the documents do not hold) is shown without
    passages, so that the adapter never learns to say what the notes do not. A share of the others is shown without
    passages as well.

    Args:
        examples: Example replies.
        planner: The route of the bot that will serve.
        settings: The ``voice`` section of ``bot.yaml``.
        on_progress: Called after each ten rows.
    """
    chance = random.Random(settings.seed)
    rows: list[SeamRow] = []
    for number, example in enumerate(examples, start=1):
        row = as_served(example, planner)
        if row.kind == "passages" and chance.random() < settings.rows_without_passages:
            row = _alone(example, row.route, planner)
        rows.append(row)
        if on_progress and (number % 10 == 0 or number == len(examples)):
            on_progress("Finding the passages of each example reply", number, len(examples))
    rows = _retold(rows, planner)
    rows += declining_rows(rows, typical_declines(rows, planner), planner, settings.rows_that_decline, chance)
    chance.shuffle(rows)
    return rows


def as_served(example: Example, planner: RoutePlanner) -> SeamRow:
    """Lay out an example reply as the bot would be asked for it, and decide what it rests on.

    Args:
        example: The example reply.
        planner: The route of the bot that will serve.
    """
    route = planner.plan(example.question, example.history)
    if not route.passages:
        return _alone(example, route, planner)
    if example.declines:
        return SeamRow(example, "decline", replace(route, declines=False))
    if _supporting(example.reply, route.alone, route.evidence, planner) is not None:
        return SeamRow(example, "passages", replace(route, declines=False))
    # The question alone may not find what the reply says: look with the reply, and show that among the rest.
    both = f"{route.alone} {example.reply}"
    better = planner.pick(both, planner.search(both), _UNITS_LOOKED_THROUGH)
    best = _supporting(example.reply, route.alone, better.evidence, planner)
    if best is None:
        return _alone(example, route, planner)
    (best,) = planner.shown_of(Picked([best], []))
    kept = [item for item in route.evidence if item.quote != best.quote][: max(0, len(route.evidence) - 1)]
    return SeamRow(example, "passages", planner.with_evidence(route, [best, *kept]), put_in=True)


def _retold(rows: Sequence[SeamRow], planner: RoutePlanner) -> list[SeamRow]:
    """Lay out small talk as it is served: the base writes it plainly, and the voice says it."""
    return [
        replace(row, route=route) for row, route in zip(rows, planner.retold([row.route for row in rows]), strict=True)
    ]


def _alone(example: Example, route: Route, planner: RoutePlanner) -> SeamRow:
    without = planner.without_notes(route, example.history)
    return SeamRow(example, "alone", without, bare=without.messages != route.messages)


def _supporting(reply: str, question: str, evidence: Sequence[Evidence], planner: RoutePlanner) -> Evidence | None:
    """Return the evidence that states what the reply says, or None.

    It must support a sentence of the reply, and all the evidence together must hold the reply's numbers.
    """
    if not evidence:
        return None
    told = numbers(" ".join([question, *(item.shown for item in evidence)]), planner.language)
    if numbers(reply, planner.language) - told:
        return None
    scores = support_matrix(reply, question, evidence, planner).max(axis=0)
    best = int(scores.argmax())
    return evidence[best] if scores[best] >= SUPPORTED else None


def support_matrix(reply: str, question: str, evidence: Sequence[Evidence], planner: RoutePlanner) -> np.ndarray:
    """Return how much each piece of evidence supports each sentence of a reply, of shape (sentences, pieces)."""
    picker = planner.picker
    support = Support(question, evidence, frozenset(), picker.reader if picker else None, planner.language)
    return np.stack([support.of(sentence) for sentence in sentences_of_reply(reply) or [reply]])


def declining_rows(
    rows: Sequence[SeamRow], replies: Sequence[str], planner: RoutePlanner, share: float, chance: random.Random
) -> list[SeamRow]:
    """Make rows that decline: a question that the documents answer, with the answer taken out of the evidence.

    What is left is about the same things and does not tell: the very case in which a model makes something up.

    Args:
        rows: Woven rows.
        replies: Declining replies that fit any question.
        planner: The route of the bot that will serve.
        share: How many to make, as a share of the rows with passages.
        chance: Draws the rows and their replies.
    """
    answered = [row for row in rows if row.kind == "passages"]
    if not replies or not answered:
        return []
    made = []
    count = round(share * len(answered))
    for row in chance.choices(answered, k=count) if share > 1 else chance.sample(answered, count):
        telling = units_that_tell(row, planner)
        picked = evidence_without(row, planner, telling, planner.units)
        if picked.evidence:
            example = replace(row.example, reply=chance.choice(replies), declines=True)
            route = planner.with_evidence(row.route, planner.shown_of(picked, without=telling))
            made.append(SeamRow(example, "decline", route, taken_out=True))
    return made


def units_that_tell(row: SeamRow, planner: RoutePlanner) -> set[str]:
    """Return the exact texts of the units that tell a row's reply.

    Args:
        row: A row with passages.
        planner: The route of the bot that will serve.
    """
    wide = planner.pick(row.question, row.passages, _UNITS_LOOKED_THROUGH).evidence
    if not wide:
        return set()
    reply = row.example.reply
    stated = numbers(reply, planner.language) - numbers(row.question, planner.language)
    scores = support_matrix(reply, row.question, wide, planner).max(axis=0)
    return {
        item.quote
        for item, score in zip(wide, scores, strict=True)
        if score >= SUPPORTED and (not stated or numbers(item.quote, planner.language) & stated)
    }


def evidence_without(row: SeamRow, planner: RoutePlanner, telling: Collection[str], count: int) -> Picked:
    """Return the evidence for a row's question once the units that tell its reply are taken out.

    Args:
        row: A row with passages.
        planner: The route of the bot that will serve.
        telling: Their exact texts; nothing is left where there are none, for then nobody knows what tells.
        count: Units to pick.
    """
    return planner.pick(row.question, row.passages, count, without=telling) if telling else Picked([], [])


def typical_declines(rows: Sequence[SeamRow], planner: RoutePlanner) -> list[str]:
    """Return the declining example replies that fit any question, best first.

    They are close to all the others and far from their own question: what they say of that would be odd elsewhere.
    Where there is none, the reply that ``chain.decline`` of ``bot.yaml`` gives, if it does.
    """
    examples = [row.example for row in rows if row.kind == "decline" and not row.taken_out]
    replies = [example.reply for example in examples]
    if not replies or planner.picker is None:
        return [planner.settings.decline] if planner.settings.decline else []
    vectors = planner.picker.encoder.encode(replies)
    questions = planner.picker.encoder.encode([example.question for example in examples])
    order = np.argsort((vectors * questions).sum(axis=1) - vectors @ vectors.mean(axis=0))
    return [replies[int(index)] for index in order[:_TYPICAL_DECLINES]]
