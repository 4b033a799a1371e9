"""Checking a reply: what the evidence does not hold is replaced by its own words, however the reply arrives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conftest import evidence
from toolkit.answering.checking import ReplyChecker, declines

LAMP = evidence("The Ember lamp burns for 38 hours on a full battery.", source="lamp.md")
PRICE = evidence("The Ember lamp costs 40 euros.", source="prices.csv", score=0.5)
NEAR = evidence("The Ember lamp weighs 2 kilograms.", source="near.md", score=0.96)
VOICE = frozenset({"ahoy", "friend", "fair", "wind"})
QUESTION = "How long does the Ember lamp burn?"


def check(reply: str, *items: object, question: str = QUESTION, piece: int = 0) -> tuple[str, ReplyChecker]:
    checker = ReplyChecker(question, items or (LAMP, PRICE), VOICE)  # type: ignore[arg-type]
    pieces = [reply[at : at + piece] for at in range(0, len(reply), piece)] if piece else [reply]
    sentences = [sentence for part in pieces for sentence in checker.feed(part)]
    sentences += checker.close()
    return " ".join(sentences), checker


def test_what_the_evidence_holds_passes_and_is_cited() -> None:
    text, checker = check("Ahoy, friend. It burns for 38 hours. Fair winds!")
    assert text == "Ahoy, friend. It burns for 38 hours. Fair winds!"
    assert checker.cited == [LAMP]
    assert checker.replaced == []


def test_a_number_from_nowhere_is_replaced_by_the_quote() -> None:
    text, checker = check("Ahoy, friend. It burns for 48 hours. Fair winds!")
    assert text == f"Ahoy, friend. {LAMP.quote} Fair winds!"
    assert checker.replaced == ["It burns for 48 hours."]
    assert checker.cited == [LAMP]


def test_a_name_from_nowhere_is_replaced() -> None:
    text, checker = check("It was made by Bertha in the lamp shop.")
    assert text == LAMP.quote
    assert checker.replaced


def test_words_from_nowhere_are_replaced() -> None:
    text, _ = check("The warranty covers damage from dragons and goblins forever.")
    assert text == LAMP.quote


def test_a_number_of_the_question_may_be_said_again() -> None:
    text, _ = check("The lamp burns 38 hours, more than 24.", question="Does the lamp burn 24 hours?")
    assert "24" in text


def test_the_quote_comes_at_most_once() -> None:
    text, checker = check("It burns for 48 hours. It costs 41 euros. It holds 17 wicks.")
    assert text == LAMP.quote
    assert len(checker.replaced) == 3


def test_a_repeated_sentence_is_dropped() -> None:
    assert check("It burns for 38 hours. It burns for 38 hours. Ahoy. Ahoy.")[0] == "It burns for 38 hours. Ahoy."


def test_a_reply_that_states_nothing_gets_the_evidence_added() -> None:
    text, checker = check("Ahoy, friend.")
    assert text == f"Ahoy, friend. {LAMP.quote}"
    assert checker.cited == [LAMP]


def test_two_that_nearly_tie_are_both_stated() -> None:
    text, checker = check("Ahoy, friend. It burns for 38 hours. Fair winds!", LAMP, NEAR, PRICE)
    assert text == f"Ahoy, friend. It burns for 38 hours. {NEAR.quote} Fair winds!"
    assert checker.cited == [LAMP, NEAR]


def test_a_decline_gets_nothing_added() -> None:
    text, checker = check("Ahoy, friend. Our papers do not say.")
    assert text == "Ahoy, friend. Our papers do not say."
    assert checker.cited == []


def test_the_evidence_that_is_told_is_the_one_cited() -> None:
    best = replace(PRICE, score=1.5)
    _, checker = check("The Ember lamp costs 40 euros.", best, LAMP, question="What does the Ember lamp cost?")
    assert checker.cited == [best]
    _, checker = check("It burns for 38 hours on a full battery. The lamp costs 40 euros.")
    assert checker.cited == [LAMP, PRICE]


def test_the_best_evidence_is_always_stated() -> None:
    text, checker = check("Ahoy, friend. The Ember lamp costs 40 euros. Fair winds!")
    assert text == f"Ahoy, friend. The Ember lamp costs 40 euros. {LAMP.quote} Fair winds!"
    assert checker.cited == [PRICE, LAMP]


def test_a_last_sentence_that_was_cut_off_is_left_out() -> None:
    assert check("It burns for 38 hours. On a full batt")[0] == "It burns for 38 hours."
    assert check("It burns for 38 hours on a")[0] == "It burns for 38 hours on a"


def test_without_evidence_nothing_is_added() -> None:
    checker = ReplyChecker(QUESTION, [], VOICE)
    assert [*checker.feed("Ahoy, friend."), *checker.close()] == ["Ahoy, friend."]
    assert [*ReplyChecker(QUESTION, []).close()] == []


REPLIES = [
    "Ahoy, friend. It burns for 38 hours. Fair winds!",
    "Ahoy! It burns for 48 hours. It burns for 48 hours. Fair winds! Fair winds! And",
    'He said "it burns for 38 hours." Ahoy.\n\nFair winds!  ',
    "The lamp costs 40.50 euros. It costs 40 euros.",
    "ahoy",
    "",
    "Is it 38 hours?\nYes! Yes...",
]


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("piece", [1, 2, 7])
def test_a_reply_fed_in_pieces_gives_what_it_gives_whole(reply: str, piece: int) -> None:
    whole, kept = check(reply)
    streamed, pieces = check(reply, piece=piece)
    assert streamed == whole
    assert pieces.replaced == kept.replaced
    assert pieces.cited == kept.cited


@pytest.mark.parametrize(
    ("text", "declining"),
    [
        ("Our papers do not say a word about the mayor.", True),
        ("I am sorry, the documents I have do not say anything about that.", True),
        ("Nothing in the logbook about that, friend.", True),
        ("The lamp burns for 38 hours.", False),
        ("Do not open the glass while it burns.", False),
        ("The papers are sent on Monday.", False),
    ],
)
def test_declining_is_recognised(text: str, declining: bool) -> None:
    assert declines(text) is declining
