"""Weaving: each example reply becomes a training row with the passages that the bot finds when it serves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from toolkit.answering import Chain, Evidence
from toolkit.answering.checking import declines
from toolkit.config import VoiceSettings
from toolkit.examples import Example
from toolkit.language import numbers, stems
from toolkit.language.sentences import split_sentences
from toolkit.progress import Progress
from toolkit.prompts import Message, answer_messages

if TYPE_CHECKING:
    from toolkit.store import Passage

Kind = Literal["passages", "decline", "alone"]
# A reply is taken to rest on the evidence from this cosine on, between a sentence of each.
_SUPPORT_SIMILARITY = 0.55
# Units looked through for others that tell the same, where the answer is taken out of the evidence.
_UNITS_LOOKED_THROUGH = 30
# Declining replies that rows with the answer taken out are given: those that fit any question.
_TYPICAL_DECLINES = 8


@dataclass(frozen=True)
class SeamRow:
    """A training row before it is tokenised.

    Attributes:
        example: The example reply.
        kind: ``passages`` where the evidence supports the reply, ``decline`` where the reply says that the documents
            do not tell, ``alone`` where the reply rests on no document.
        question: The question as it is searched for: a follow-up is rewritten as in serving.
        evidence: What retrieval brings for it.
        messages: What the model is shown.
        passages: What was retrieved.
        taken_out: Whether the answer was taken out of the evidence to make a row that declines.
    """

    example: Example
    kind: Kind
    question: str
    evidence: tuple[Evidence, ...]
    messages: list[Message]
    passages: tuple[Passage, ...] = ()
    taken_out: bool = False


def weave(
    examples: Sequence[Example], chain: Chain, settings: VoiceSettings, *, on_progress: Progress | None = None
) -> list[SeamRow]:
    """Render every example reply together with the passages that retrieval finds for its question.

    A reply that rests on no passage found (small talk, or something the documents do not hold) is shown without
    passages, so that the adapter never learns to say what the notes do not. A share of the others is shown without
    passages as well.

    Args:
        examples: Example replies.
        chain: The chain that will serve, with the base model or any other chat model for rewriting.
        settings: The ``voice`` section of ``bot.yaml``.
        on_progress: Called after each row.
    """
    chance = random.Random(settings.seed)
    rows: list[SeamRow] = []
    for number, example in enumerate(examples, start=1):
        row = _row(example, chain)
        if row.kind == "passages" and chance.random() < settings.rows_without_passages:
            row = SeamRow(example, "alone", row.question, (), _alone(example, chain))
        rows.append(row)
        if on_progress and (number % 10 == 0 or number == len(examples)):
            on_progress("Finding the passages of each example reply", number, len(examples))
    rows += declining_rows(rows, chain, settings.rows_that_decline, chance)
    chance.shuffle(rows)
    return rows


def declining_rows(rows: Sequence[SeamRow], chain: Chain, share: float, chance: random.Random) -> list[SeamRow]:
    """Make rows that decline: a question that the documents answer, with the answer taken out of the evidence.

    What is left is about the same things and does not tell: the very case in which a model makes something up.

    Args:
        rows: Woven rows.
        chain: The chain that will serve.
        share: How many to make, as a share of the rows with passages.
        chance: Draws the rows and their replies.
    """
    replies = typical_declines(rows, chain)
    answered = [row for row in rows if row.kind == "passages"]
    if not replies or not answered:
        return []
    made = []
    for row in chance.choices(answered, k=round(share * len(answered))) if share > 1 else chance.sample(
        answered, round(share * len(answered))
    ):
        evidence = evidence_without_answer(row, chain)
        if evidence:
            example = replace(row.example, reply=chance.choice(replies), declines=True)
            messages = answer_messages(chain.settings.system, row.question, [item.shown for item in evidence])
            made.append(replace(row, example=example, kind="decline", evidence=tuple(evidence), messages=messages,
                                taken_out=True))  # fmt: skip
    return made


def evidence_without_answer(row: SeamRow, chain: Chain, count: int | None = None) -> list[Evidence]:
    """Return the evidence for a row's question once every unit that tells its reply is taken out.

    Args:
        row: A row with passages.
        chain: The chain that will serve.
        count: Units to pick; default: as many as the model is shown.
    """
    assert chain.picker is not None
    wide = chain.picker.pick(row.question, row.passages, _UNITS_LOOKED_THROUGH)
    reply = row.example.reply
    said, stated = set(stems(reply)), numbers(reply) - numbers(row.question)
    sentences = [reply[start:end] for start, end in split_sentences(reply)] or [reply]
    vectors = chain.picker.encoder.encode(sentences)
    similarity = [float((vectors @ item.vector).max()) for item in wide]
    telling = {
        item.quote
        for item, close in zip(wide, similarity, strict=True)
        if close >= _SUPPORT_SIMILARITY
        and (not stated or numbers(item.quote) & stated)
        and len(said & item.stems) >= 2
    }
    return chain.evidence_for(row.question, row.passages, without=telling, count=count)[1] if telling else []


def _row(example: Example, chain: Chain) -> SeamRow:
    """Decide what an example reply rests on and lay out what the model is shown."""
    if chain.is_small_talk(example.question):
        return SeamRow(example, "alone", example.question, (), _alone(example, chain))
    question = chain.rewrite(example.question, example.history) if chain.knowledge else example.question
    passages, evidence = chain.evidence_for(question)
    found = tuple(passages)
    if not evidence:
        return SeamRow(example, "alone", question, (), _alone(example, chain))
    shown = [item.shown for item in evidence]
    if example.declines or declines(example.reply):
        messages = answer_messages(chain.settings.system, question, shown)
        return SeamRow(example, "decline", question, tuple(evidence), messages, found)
    if not _supports(example, evidence, chain):
        # The question alone may not find what the reply says: look with the reply, and show that among the rest.
        _, better = chain.evidence_for(f"{question} {example.reply}")
        best = _supporting(example, better, chain)
        if best is None:
            return SeamRow(example, "alone", question, (), _alone(example, chain))
        evidence = [*[item for item in evidence if item.quote != best.quote][: len(evidence) - 1], best]
        shown = [item.shown for item in evidence]
    messages = answer_messages(chain.settings.system, question, shown)
    return SeamRow(example, "passages", question, tuple(evidence), messages, found)


def _alone(example: Example, chain: Chain) -> list[Message]:
    """Lay out an example without passages, as serving does for small talk."""
    recent = example.history[-chain.settings.history_turns :] if chain.settings.history_turns else ()
    return answer_messages(chain.settings.system, example.question, history=recent)


def _supports(example: Example, evidence: Sequence[Evidence], chain: Chain) -> bool:
    return _supporting(example, evidence, chain) is not None


def _supporting(example: Example, evidence: Sequence[Evidence], chain: Chain) -> Evidence | None:
    """Return the evidence that states what the reply says, or None.

    It must be close to a sentence of the reply, and all the evidence together must hold the reply's numbers.
    """
    if not evidence or chain.picker is None:
        return None
    told = numbers(" ".join([example.question, *(item.shown for item in evidence)]))
    if numbers(example.reply) - told:
        return None
    sentences = [example.reply[start:end] for start, end in split_sentences(example.reply)] or [example.reply]
    said = chain.picker.encoder.encode([*sentences, example.reply])
    similarity = (said @ np.stack([item.vector for item in evidence]).T).max(axis=0)
    best = int(similarity.argmax())
    return evidence[best] if similarity[best] >= _SUPPORT_SIMILARITY else None


def typical_declines(rows: Sequence[SeamRow], chain: Chain) -> list[str]:
    """Return the declining example replies that fit any question, best first.

    They are close to all the others and far from their own question: what they say of that would be odd elsewhere.
    Where there is none, the reply that ``chain.decline`` of ``bot.yaml`` gives, if it does.
    """
    examples = [row.example for row in rows if row.kind == "decline" and not row.taken_out]
    replies = [example.reply for example in examples]
    if not replies or chain.picker is None:
        return [chain.settings.decline] if chain.settings.decline else []
    vectors = chain.picker.encoder.encode(replies)
    questions = chain.picker.encoder.encode([example.question for example in examples])
    order = np.argsort((vectors * questions).sum(axis=1) - vectors @ vectors.mean(axis=0))
    return [replies[int(index)] for index in order[:_TYPICAL_DECLINES]]
