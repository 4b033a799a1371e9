"""The kind of answer that a question wants."""

from __future__ import annotations

import pytest

from toolkit.answering.asking import kinds_asked, kinds_missing


@pytest.mark.parametrize(
    ("question", "kind", "answer", "no_answer"),
    [
        ("How much is the lamp?", "money", "It costs 40 euros.", "It is made of brass."),
        ("What does shipping cost?", "money", "Shipping is free.", "We ship on Monday."),
        ("How long does the battery last?", "duration", "It lasts 38 hours.", "It is built in."),
        ("When do you open?", "time", "We open at 9:30.", "We open the door."),
        ("Who repairs the clocks?", "person", "Ask for Bertha Limpet.", "Ask at the desk."),
        ("Where is the shop?", "place", "It stands in the harbour.", "It sells lamps."),
        ("How many lamps fit?", "number", "Up to twelve lamps.", "A lot of lamps."),
    ],
)
def test_a_question_wants_a_kind_that_a_sentence_holds_or_not(
    question: str, kind: str, answer: str, no_answer: str
) -> None:
    kinds = [found for found in kinds_asked(question) if found.name == kind]
    assert kinds, [found.name for found in kinds_asked(question)]
    assert kinds_missing(kinds, answer) == 0
    assert kinds_missing(kinds, no_answer) == 1


def test_a_question_that_does_not_say_wants_anything() -> None:
    assert kinds_asked("Tell me about the lamp.") == []
    assert kinds_missing([], "Anything at all.") == 0
