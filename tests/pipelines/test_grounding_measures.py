"""What the base is measured by, on cases that were worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.grounding.data import read_squad
from pipelines.grounding.measures import (
    Asked,
    auc,
    contains,
    f1,
    normalise,
    score_rewrites,
    score_squad,
    squad_questions,
)
from pipelines.grounding.rows import GroundingRow
from tests.pipelines.test_grounding_rows import write_data
from toolkit.prompts import Message, rewrite_messages, short_messages


def test_area_under_the_curve() -> None:
    assert auc([3, 4], [1, 2]) == 1.0
    assert auc([1, 2], [3, 4]) == 0.0
    assert auc([3, 2], [2, 1]) == 3.5 / 4, "equal scores count half"
    assert auc([2], [1, 3, 4, 5]) == 0.25
    assert math.isnan(auc([], [1])) and math.isnan(auc([1], []))


def test_f1_is_that_of_squad() -> None:
    assert normalise("The Eiffel-Tower, a  tower!") == ["eiffeltower", "tower"]
    assert f1("The Eiffel Tower.", "eiffel tower") == 1.0
    assert f1("in Paris, France", "Paris") == pytest.approx(2 * (1 / 3) / (1 / 3 + 1))
    assert f1("to be to be", "to be or not to be") == pytest.approx(2 * 1 * (4 / 6) / (1 + 4 / 6))
    assert f1("Rome", "Paris") == f1("Rome", None) == f1("", "Paris") == 0.0
    assert contains("It is the big Eiffel Tower.", "Eiffel tower") and not contains("Romeo", "Rome")


def test_short_answers_are_scored_forced_and_with_a_threshold() -> None:
    asked = [Asked(f"q{at}", ["note"], f"answer {at}") for at in range(4)] + [
        Asked(f"q{at}", [], None) for at in (4, 5)
    ]
    refusals = [-5.0, -4.0, -3.0, -1.0, -0.5, -2.0]

    def write(conversations: Sequence[Sequence[Message]], tokens: int) -> list[str]:
        assert list(conversations) == [short_messages(item.question, item.notes) for item in asked]
        return ["answer 0", "answer", "wrong", "answer 3", "any", "any"]

    found = score_squad(asked, write, lambda conversations: refusals, false_refusals=0.25)
    assert (found["answerable"], found["unanswerable"]) == (4, 2)
    assert found["forced_f1"] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    assert found["forced_contains"] == 0.5
    # The fourth of the answerable, the likeliest refusal, is declined, and both of the unanswerable.
    assert found["f1_at_15"] == pytest.approx((1 + 2 / 3 + 0) / 4)
    assert found["declined_at_15"] == 1.0
    assert found["auc"] == pytest.approx(7 / 8)


def test_rewrites_are_scored_by_the_words_that_matter() -> None:
    rows = [
        GroundingRow("rewrite", rewrite_messages("and it?", []), "What is the price of the lamps?"),
        GroundingRow("rewrite", rewrite_messages("when?", []), "When is the shop open?"),
    ]
    found = score_rewrites(rows, lambda conversations, tokens: ["price of a lamp", "Is the shop big?"])
    assert found == {"rewrites": 2, "content_words": 0.75, "with_all_or_70": 0.5}


def test_questions_stand_beside_their_passage_and_two_others_in_a_drawn_order(tmp_path: Path) -> None:
    pairs = read_squad(write_data(tmp_path) / "dev_part.json")
    asked = squad_questions(pairs, "test")
    assert len(asked) == 18 and {item.answer for item in asked} == {"Anna Brandt", None}
    of = {pair.question: pair for pair in pairs}
    places = []
    for item in asked:
        pair = of[item.question]
        assert pair.part == "test" and len(item.notes) == len(set(item.notes)) == 3
        assert all(note.startswith(f"{pair.title}: ") for note in item.notes)
        places.append(item.notes.index(f"{pair.title}: {pair.passage}"))
    assert set(places) == {0, 1, 2}
    assert asked == squad_questions(pairs, "test") != squad_questions(pairs, "test", seed=1)
    assert len(squad_questions(pairs, "dev", limit=2)) == 2
