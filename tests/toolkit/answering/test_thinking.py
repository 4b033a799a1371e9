"""Thinking: what the base says of the evidence goes to the gate, and puts first what it answers from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.chains import QUESTION, gate, make_chain
from tests.conftest import evidence
from toolkit.answering.gate import FEATURES, Gate, SecondOpinion, fit_gate, known_opinion
from toolkit.answering.thinking import THOUGHT_UNITS, Thought, reordered, think
from toolkit.engines import Speaker
from toolkit.prompts import UNTOLD, short_messages
from toolkit.store import Knowledge
from toolkit.testing import ScriptedChatModel

LAMP = evidence("The lamp burns for 38 hours.", score=2.0)
PRICE = evidence("The lamp costs 40 euros.", score=1.5)


def speaker(probability: float, short: str = "") -> Speaker:
    return Speaker(ScriptedChatModel(replies=[], scores=lambda shown, text: math.log(probability), short=short))


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.99])
def test_an_opinion_is_log_odds(probability: float) -> None:
    found = think([("How long?", [LAMP])], speaker(probability, "38 hours"))
    assert found is not None
    assert found[0].untold == pytest.approx(math.log(probability / (1 - probability)))
    assert found[0].short == "38 hours"


def test_one_that_is_certain_stays_finite() -> None:
    found = think([("How long?", [LAMP])], speaker(1.0), short=False)
    assert found == [Thought(pytest.approx(math.log(1e6)), "")]


def test_the_base_sees_what_serving_shows_and_no_more_than_it_can_read() -> None:
    seen = []

    def score(shown: list[dict[str, str]], text: str) -> float:
        seen.append((shown, text))
        return -1.0

    many = [evidence(f"Note {number}.") for number in range(THOUGHT_UNITS + 3)]
    think([("How long?", many)], Speaker(ScriptedChatModel(replies=[], scores=score)))
    assert seen == [(short_messages("How long?", [item.shown for item in many[:THOUGHT_UNITS]]), UNTOLD)]


def test_a_model_that_does_not_know_its_tokens_has_no_opinion() -> None:
    assert think([("How long?", [LAMP])], Speaker(ScriptedChatModel(replies=[]))) is None


def test_what_holds_the_answer_comes_first() -> None:
    assert reordered([LAMP, PRICE], Thought(0.0, "40 euros")) == [replace(PRICE, score=4.5), LAMP]
    assert reordered([LAMP, PRICE], Thought(0.0, "")) == [LAMP, PRICE]
    # a word alone is no more than a hint, and what stands in both changes nothing
    assert reordered([LAMP, PRICE], Thought(0.0, "The lamp."))[0].quote == LAMP.quote


def opinions(weight: float, seed: int = 0) -> tuple[Gate, np.ndarray]:
    """Fit a gate whose features say nothing, on questions of which the base knows ``weight`` standard deviations."""
    chance = np.random.default_rng(seed)
    noise = chance.normal(size=(160, len(FEATURES)))
    untold = chance.normal(np.repeat([-weight, weight], 80), 1.0)
    fitted = fit_gate(noise[:10], noise[10:20], max_false_refusals=0.1, asked=(noise[:80], noise[80:]), untold=untold)
    return fitted, untold


def test_the_base_is_weighed_as_far_as_it_knows() -> None:
    knowing, untold = opinions(2.0)
    guessing, _ = opinions(0.0)
    assert knowing.second is not None
    assert guessing.second is not None
    assert knowing.second.untold < -0.5
    assert abs(guessing.second.untold) < 0.3
    assert knowing.report["false_refusals"] <= 0.1
    assert knowing.report["right_refusals"] > 0.9
    assert guessing.report["right_refusals"] < 0.4
    declined = [knowing.judge(np.zeros(len(FEATURES)), value)[1] for value in untold[80:]]
    assert np.mean(declined) > 0.9


def test_what_is_known_of_other_bots_weighs_reader_and_base() -> None:
    careful, bold = known_opinion(0.05), known_opinion(0.2)
    assert careful.threshold < known_opinion(0.1).threshold < bold.threshold
    assert careful.probability(0.5, 2.0, -3.0) > careful.probability(0.5, -2.0, -3.0)
    assert careful.probability(0.5, 2.0, -3.0) > careful.probability(0.5, 2.0, 3.0)
    assert careful.probability(0.1, 2.0, -3.0) == careful.probability(0.9, 2.0, -3.0)


def test_a_gate_that_was_not_fitted_with_the_base_judges_alone() -> None:
    alone = gate(probability=0.4)
    row = np.zeros(len(FEATURES))
    assert alone.judge(row, -9.0) == alone.judge(row) == (pytest.approx(0.4), True)


def test_a_chain_asks_the_base_where_its_gate_was_fitted_with_it(house: Knowledge) -> None:
    knows = replace(gate(probability=0.9), second=SecondOpinion(0.0, 0.0, -1.0, 0.0, 0.5))
    for untold, declines in ((0.9, True), (0.1, False)):
        chain, _ = make_chain(["It burns."], house, scores=lambda shown, text, p=untold: math.log(p), gate=knows)
        route = chain.planner.plan(QUESTION)
        assert (route.answerable, route.declines) == (pytest.approx(1 - untold), declines)
    remote, _ = make_chain(["It burns."], house, gate=knows)
    assert remote.planner.plan(QUESTION).answerable == pytest.approx(0.9)
