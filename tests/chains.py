"""Chains on doubles: scripted replies over the little house, read by shared words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

from toolkit.answering import Chain, EvidencePicker, Gate, RoutePlanner, Router
from toolkit.answering.gate import FEATURES
from toolkit.answering.router import KINDS, Kind
from toolkit.config import ChainSettings
from toolkit.engines.speaker import Speaker
from toolkit.language import Lexicon
from toolkit.prompts import Message
from toolkit.store import Knowledge
from toolkit.testing import KeywordReader, ScriptedChatModel

BURNS = "Ahoy, friend. The Ember lamp burns for 38 hours. Fair winds!"
QUESTION = "How long does the Ember lamp burn on a full battery?"
VOICE = frozenset({"ahoy", "friend", "fair", "wind"})
DECLINE = "Our papers are silent, friend."


def make_chain(
    replies: list[str] | Callable[[list[Message]], str],
    knowledge: Knowledge | None = None,
    *,
    scores: Callable[[list[Message], str], float] | None = None,
    settings: dict[str, Any] | None = None,
    read: bool = True,
    **options: Any,
) -> tuple[Chain, ScriptedChatModel]:
    """Return a chain over scripted replies, and its model."""
    model = ScriptedChatModel(replies=replies, scores=scores)
    picker = None
    if knowledge:
        lexicon = Lexicon.of(text for _, _, text in knowledge.texts())
        picker = EvidencePicker(knowledge.embedder, lexicon, KeywordReader() if read else None)
    planner = RoutePlanner(
        ChainSettings(**settings or {}), speaker=Speaker(model), knowledge=knowledge, k=4, picker=picker, **options
    )
    return Chain(planner, decline=DECLINE, voice=VOICE), model


def router(kind: Kind) -> Router:
    """Return a router that takes every message for the same."""
    return Router([[0.0] * 256] * len(KINDS), [float(one == kind) for one in KINDS], {})


def gate(*, probability: float, threshold: float = 0.5, near: float = 2.0) -> Gate:
    """Return a gate that always gives the same probability."""
    count = len(FEATURES)
    bias = math.log(probability / (1 - probability))
    return Gate([0.0] * count, bias, [0.0] * count, [1.0] * count, threshold, near)


class KnownTalk(Router):
    """A router that knows a few messages by heart."""

    def __init__(self, talk: Collection[str], takeover: Collection[str] = ()) -> None:
        super().__init__([], [], {})
        self.talk = talk
        self.takeover = takeover

    def kind(self, message: str, vector: Any) -> Kind:
        return "talk" if message in self.talk else "takeover" if message in self.takeover else "question"
