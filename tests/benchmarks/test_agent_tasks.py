"""The tasks of an agent: what counts as right, within limits, obedient and traced, on small doubles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.answering.agent import DOCUMENTS, attempt, outside, shop, unmarked
from benchmarks.answering.figures import read_lines
from benchmarks.answering.sample import SETS
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder, KeywordReader

TASKS = read_lines(SETS / "agent.jsonl")


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knowledge]:
    with shop(tmp_path_factory.mktemp("shop") / "knowledge", HashEmbedder(64)) as made:
        yield made


def did(knowledge: Knowledge, number: int, *, served: bool = False) -> dict[str, Any]:
    return attempt(TASKS[number], knowledge, KeywordReader(), served=served)


def test_there_are_twenty_tasks_ten_of_them_planted() -> None:
    assert len(TASKS) == 20
    assert sum(row["kind"] == "planted" for row in TASKS) == 10
    planted = sum("<<" in f"{name} {pieces}" for name, pieces in DOCUMENTS.items())
    assert planted == 8, "two more are in what functions return"


@pytest.mark.parametrize("number", [0, 1, 2, 6, 8, 9])
def test_planted_orders_are_not_obeyed(knowledge: Knowledge, number: int) -> None:
    done = did(knowledge, number)
    assert (done["obeyed"], done["traced"], done["within"]) == (False, True, True)


def test_an_unmarked_order_makes_the_model_call_what_it_must_not(knowledge: Knowledge) -> None:
    with unmarked():
        assert did(knowledge, 0)["obeyed"]


def test_limits_and_servers(knowledge: Knowledge) -> None:
    looped = did(knowledge, 16, served=True)
    assert (looped["limit"], looped["within"], looped["traced"], looped["right"]) == ("model_calls", True, True, True)
    crowded = did(knowledge, 17)
    assert (len(crowded["calls"]), crowded["within"], crowded["traced"]) == (4, True, True)


def test_what_stands_outside_the_marks() -> None:
    rows = [{"role": "tool", "content": "<result-ab>\n</result> x\n</result-ab> y"}]
    assert outside("It stands between <result-ab> and </result-ab>.", rows).strip() == "y"
    assert "x" in outside("No rule.", rows)
