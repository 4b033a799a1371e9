"""The benchmark of the server sees what it is to see, on doubles."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from benchmarks.answering.figures import Report
from benchmarks.serving import measure, plan, strangers
from tests.serving import SlowModel, make_bot, served
from toolkit.prompts import Message

QUESTIONS = [f"What is number {number}?" for number in range(12)]


def echo(messages: list[Message]) -> str:
    return f"Asked was: {messages[-1]['content']} That is all there is to say."


def figures(report: Report) -> dict[str, float | None]:
    return {figure.name.partition(",")[0]: figure.ours for figure in report.figures}


def test_a_third_leaves_and_all_models_are_asked_in_both_ways() -> None:
    requests = plan(QUESTIONS, ["a", "b", "c"], 12, 1 / 3, seed=1)
    leaving = [request.leaves for request in requests if request.leaves is not None]
    assert (len(leaving), sum(leaves == 0 for leaves in leaving)) == (4, 2)
    assert all(request.stream for request in requests if request.leaves == 0)
    assert len({(request.model, request.stream) for request in requests}) == 6


def test_another_s_words_are_those_that_it_alone_has() -> None:
    alone = ["Hello. It is red.", "Hello. It is blue.", "Hello. It is blue. It is old."]
    assert strangers("Hello. It is red.", alone[0], alone) == []
    assert strangers("Hello. It is blue.", alone[0], alone) == ["It is blue."]
    assert strangers("Hello. It is green.", alone[0], alone) == []


def test_a_good_server_reaches_every_bar() -> None:
    report = Report("serve")
    with served(make_bot([], model=SlowModel(replies=echo, pause=0.001))[0]) as running:
        asyncio.run(measure(report, running.url, plan(QUESTIONS, ["house"], 12, 0.3, seed=0), 6))
    assert not [figure for figure in report.figures if figure.met is False]
    assert figures(report)["cancelled"] is not None


def test_a_server_that_mixes_answers_up_is_caught() -> None:
    calls = itertools.count()

    def mixed(messages: list[Message]) -> str:  # alone each has its own, and then that of the one before
        number = int(messages[-1]["content"].split()[-1].rstrip("?"))
        return echo([{"role": "user", "content": QUESTIONS[number if next(calls) < 12 else number - 1]}])

    report = Report("serve")
    with served(make_bot(mixed)[0]) as running:
        asyncio.run(measure(report, running.url, plan(QUESTIONS, ["house"], 12, 0.0, seed=0), 6))
    assert figures(report)["with another's words"] == 12
    assert figures(report)["the same words as alone"] == pytest.approx(0)
