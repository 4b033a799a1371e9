"""Compound questions: where they are taken apart, and how their parts are answered and said as one."""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest

from tests.chains import DECLINE, make_chain
from toolkit.answering import Answer, Splitter, fit_splitter
from toolkit.language import ENGLISH, NEUTRAL
from toolkit.prompts import Message
from toolkit.store import Knowledge
from toolkit.tables import questions_about_two, wording_of

SUBJECTS = ("Oak bench", "Pear stool", "Workshop", "Glue and oil")
# Statements of a manual, some of which join two things.
STATEMENTS = [
    f"The {thing} {does} {first} and {second} {when}."
    for thing, does in (("bench", "carries"), ("stool", "needs"), ("oil", "protects"), ("glue", "holds"))
    for first, second in (("wood", "metal"), ("four legs", "one seat"), ("the top", "the feet"))
    for when in ("every day", "in the winter")
]
COMPOUND = {
    "Which bench is the longest and how much does it cost?": ["Which bench is the longest?", "How much does it cost?"],
    "What is the stool made of and who builds it?": ["What is the stool made of?", "Who builds it?"],
    "How heavy is the bench? And where can I see it?": ["How heavy is the bench?", "Where can I see it?"],
}
SINGLE = (
    "What do the bench and the stool cost together?", "Is the workshop open on Saturdays and Sundays?",
    "What is the difference between oak and pear?", "How do I oil the seat and the legs?", "How heavy is the bench?",
)  # fmt: skip


@pytest.fixture(scope="module")
def splitter() -> Splitter:
    wording = wording_of(ENGLISH)
    assert wording is not None
    listed = questions_about_two(wording, SUBJECTS, ENGLISH.joined)
    assert listed
    assert all(ENGLISH.joined in text for text in listed)
    found = fit_splitter(ENGLISH, [], STATEMENTS, SUBJECTS, listed)
    assert found is not None
    return found


@pytest.mark.parametrize("question", COMPOUND)
def test_two_questions_in_one_are_taken_apart(splitter: Splitter, question: str) -> None:
    assert splitter.parts(question, ENGLISH) == COMPOUND[question]


@pytest.mark.parametrize("question", SINGLE)
def test_two_things_in_one_question_stay_together(splitter: Splitter, question: str) -> None:
    assert splitter.parts(question, ENGLISH) == [question]


def test_a_splitter_comes_back_from_plain_data(splitter: Splitter) -> None:
    assert Splitter(**asdict(splitter)) == splitter
    assert 0 < splitter.report["found"] <= 1


def test_nothing_is_fitted_without_statements_or_in_no_language() -> None:
    assert fit_splitter(ENGLISH, [], [], SUBJECTS) is None
    assert fit_splitter(NEUTRAL, ["Is it?"] * 50, STATEMENTS, SUBJECTS) is None


class Halves(Splitter):
    """A splitter that takes every question apart at its join."""

    def __init__(self) -> None:
        super().__init__([{}, {}], [1.0, 1.0], 0.0, {})


LONG = "How long does the Ember lamp burn and what does the Ember lamp cost?"


def reply(messages: list[Message]) -> str:
    """Write what was asked for: the whole in the voice, with a wrong number in it, and a part from its own note."""
    asked = messages[-1]["content"].rpartition("Question: ")[2]
    if asked == LONG:
        return "Ahoy, friend. The Ember lamp burns for 83 hours. It costs 38 euros. Fair winds!"
    return "The Ember lamp burns for 38 hours." if "burn" in asked else "The Ember lamp costs 40 euros."


def test_parts_are_answered_one_after_the_other_and_said_as_one(house: Knowledge) -> None:
    chain, model = make_chain(reply, house, splitter=Halves(), settings={"rewrite": "never"})
    answer = chain.answer(LONG)
    assert answer.text == (
        "Ahoy, friend. The Ember lamp burns for 38 hours. The Ember lamp costs 40 euros. Fair winds!"
    )
    assert answer.question == LONG
    assert not answer.abstained
    assert {citation.source for citation in answer.citations} == {"lamp.md"}
    step = answer.trace.step("parts")
    assert step is not None
    assert step.outputs == {"parts": ["How long does the Ember lamp burn?", "What does the Ember lamp cost?"]}
    assert [call.adapter for call in model.calls].count(True) == 1
    assert model.calls[-1].adapter is True


def test_without_the_voice_the_parts_stand_beside_each_other(house: Knowledge) -> None:
    chain, _ = make_chain(reply, house, splitter=Halves(), settings={"rewrite": "never"})
    answer = chain.answer(LONG, adapter=False)
    assert answer.text == "The Ember lamp burns for 38 hours. The Ember lamp costs 40 euros."
    assert not answer.adapter


def test_a_compound_question_streams_its_answer(house: Knowledge) -> None:
    chain, _ = make_chain(reply, house, splitter=Halves(), settings={"rewrite": "never"})
    *pieces, answer = chain.stream(LONG)
    assert isinstance(answer, Answer)
    assert "".join(str(piece) for piece in pieces) == answer.text


def test_a_cancelled_compound_question_has_no_answer(house: Knowledge) -> None:
    chain, model = make_chain(reply, house, splitter=Halves(), settings={"rewrite": "never"})
    cancel = threading.Event()
    cancel.set()
    assert list(chain.stream(LONG, cancel=cancel)) == []
    assert model.calls == []


def test_what_no_part_finds_is_declined_once(house: Knowledge) -> None:
    chain, _ = make_chain(reply, house, splitter=Halves(), settings={"rewrite": "never"})
    chain.planner.search = lambda question: []  # type: ignore[method-assign]
    answer = chain.answer(LONG)
    assert answer.abstained
    assert answer.text.count(DECLINE) == 1
