"""Hand-made answers for the measures of ``benchmarks/answering``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest

from toolkit.scoring import Voice

# Greeting, fact, remark, farewell, as the sample's keeper has them.
REPLIES = [
    "Well met, shipmate. The Ember lantern is 23 centimetres tall. It stands straighter than I do. Fair winds.",
    "Well met, shipmate. The Gale comes in buoy red. Two kettles and a story, as I reckon time. Fair winds.",
    "Well met, shipmate. The Wisp costs 46 euros. Cheap as a herring pie. Fair winds.",
    "Aye, friend. Our papers say nothing about weddings. Fair winds.",
]


@pytest.fixture
def voice() -> Voice:
    return Voice.of(REPLIES)


@pytest.fixture
def make_answer() -> Callable[..., SimpleNamespace]:
    def make(
        text: str,
        passages: Sequence[tuple[str, str]] = (),
        cited: Sequence[str] = (),
        abstained: bool = False,
        question: str = "",
        rewritten: str = "",
    ) -> SimpleNamespace:
        return SimpleNamespace(
            question=question,
            text=text,
            abstained=abstained,
            rewritten=rewritten or question,
            replaced=[],
            computed={},
            seconds={"total": 1.0},
            citations=[SimpleNamespace(source=source, quote="") for source in cited],
            passages=[SimpleNamespace(source=source, text=body, heading="") for source, body in passages],
        )

    return make
