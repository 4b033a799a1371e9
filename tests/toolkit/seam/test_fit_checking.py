"""Fitting the turns of phrase: what the voice says of anything passes, and what it said once of a fact does not."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chains import make_chain
from tests.conftest import REPLIES
from toolkit.answering import RoutePlanner, Scales
from toolkit.answering.checking import sentences_of_reply
from toolkit.config import VoiceSettings
from toolkit.examples import Example
from toolkit.seam import SeamRow, fit_checking, voice_words, weave
from toolkit.store import Knowledge

QUIPS = "gulls nap soup moon barrel rope cat tea beard drum flute goat hat ink jam keg loaf mast nut oar pie".split()
FACTS = [(asked, sentences_of_reply(reply)[1]) for asked, reply in REPLIES[:8]]


def fitted(house: Knowledge, replies: Sequence[str]) -> tuple[Scales, list[SeamRow], RoutePlanner]:
    """Fit on replies in each of which ``{}`` stands for what the house's documents tell."""
    chain, _ = make_chain([], house, read=True, settings={"evidence_sentences": 2})
    examples = [
        Example(FACTS[at % 8][0], reply.format(FACTS[at % 8][1]), (), at, at) for at, reply in enumerate(replies)
    ]
    rows = weave(examples, chain.planner, VoiceSettings(rows_without_passages=0.0))
    return fit_checking(rows, chain.planner, voice_words(rows, chain.planner)), rows, chain.planner


def test_turns_of_phrase_recur_and_facts_and_quips_are_none(house: Knowledge) -> None:
    scales, _, planner = fitted(house, [f"Ahoy, friend. {{}} Mind the {quip}. Fair winds!" for quip in QUIPS])
    assert scales.frames is not None
    assert sorted(scales.frames.texts) == ["Ahoy, friend.", "Fair winds!"]
    assert planner.picker is not None
    served = scales.with_encoder(planner.picker.encoder).frames
    assert served is not None
    assert all(served.closeness(text) >= served.near for text in served.texts)
    assert not any(served.closeness(f"Mind the {quip}.") >= served.near for quip in QUIPS)


def test_a_voice_that_ends_otherwise_each_time_is_let_speak(house: Knowledge) -> None:
    scales, _, planner = fitted(house, [f"{{}} Mind the {quip}." for quip in QUIPS])
    assert planner.picker is not None
    served = scales.with_encoder(planner.picker.encoder).frames
    assert served is not None
    assert served.closeness("Mind the zebra.") >= served.near


def test_replies_that_only_state_have_no_turns_of_phrase(house: Knowledge) -> None:
    scales, _, _ = fitted(house, ["{}"] * 24)
    assert scales.frames is None
