"""Thinking before speaking: what the base, its voice off, makes of the evidence that was found.

A small model that writes in a voice states the nearest fact. The same model asked for a few words, or the word that
says that the notes do not tell, reads better than it writes. So it is asked first: how likely it holds that nothing
tells goes to the gate, and the few words show which piece of evidence the answer is to be written from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toolkit.answering.checking import words_of
from toolkit.answering.evidence import Evidence
from toolkit.prompts import UNTOLD, short_messages

if TYPE_CHECKING:
    from toolkit.engines.base import ScoredReply, Tokens
    from toolkit.engines.speaker import Speaker

# Pieces of evidence that are thought about. Of the sample's questions for choosing settings, 84% have the fact in the
# first six, 75% in the first three.
THOUGHT_UNITS = 6
# The answer in a few words is this long at most, in tokens: as in training, where twelve words were the longest.
_SHORT_TOKENS = 20
# What a piece gains that holds the few words, and what it gains times the share of them that it holds, on the scale of
# the picker's scores: of 0 to 10, 2 puts the fact first most often on the sample's questions for choosing settings
# (61%, with 0 58%).
_HOLDS_IT = 2.0
_HOLDS_WORDS = 1.0


@dataclass(frozen=True)
class Thought:
    """What the base makes of a question's evidence.

    Attributes:
        untold: Log-odds that the evidence does not tell.
        short: The answer in a few words, a refusal forbidden; empty where it was not asked for.
        tokens: What the base read and wrote; None where it does not know.
    """

    untold: float
    short: str = ""
    tokens: Tokens | None = None


def think(
    questions: Sequence[tuple[str, Sequence[Evidence]]], speaker: Speaker, *, short: bool = True
) -> list[Thought] | None:
    """Let the base think about questions and their evidence.

    Args:
        questions: Pairs of a question that stands alone and its evidence, best first.
        speaker: What thinks, its voice off.
        short: Whether the answers in a few words are wanted as well, which takes about as long again.

    Returns:
        A thought for each, or None from a model that does not know its own tokens.
    """
    asked = [short_messages(question, [item.shown for item in found[:THOUGHT_UNITS]]) for question, found in questions]
    scored = speaker.scored_replies(asked, UNTOLD, _SHORT_TOKENS if short else 1)
    if scored is None:
        return None
    counted = (speaker.tokens(messages, item.text) for messages, item in zip(asked, scored, strict=True))
    return [_thought(item, short, tokens) for item, tokens in zip(scored, counted, strict=True)]


def _thought(scored: ScoredReply, short: bool, tokens: Tokens | None) -> Thought:
    # Of a probability of one in bfloat16 the log-odds are infinite.
    told = math.log(max(1e-6, -math.expm1(min(0.0, scored.log_probability))))
    return Thought(scored.log_probability - told, scored.text if short else "", tokens)


def reordered(evidence: Sequence[Evidence], thought: Thought) -> list[Evidence]:
    """Put the evidence first that holds the answer which the base thinks of.

    Args:
        evidence: What was picked, best first.
        thought: What the base made of it.
    """
    short = words_of(thought.short)
    if not short:
        return list(evidence)
    said, distinct = " ".join(short), set(short)
    ranked = []
    for item in evidence:
        words = words_of(item.quote)
        whole = f" {said} " in f" {' '.join(words)} "
        gain = _HOLDS_IT * whole + _HOLDS_WORDS * len(distinct & set(words)) / len(distinct)
        ranked.append(replace(item, score=item.score + gain))
    return sorted(ranked, key=lambda item: -item.score)
