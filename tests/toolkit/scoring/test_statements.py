"""The measures of wording: each is shown a reply that passes and one that does not."""

from __future__ import annotations

import pytest

from tests.benchmarks.conftest import REPLIES
from toolkit.language import LANGUAGES
from toolkit.scoring import Voice
from toolkit.scoring.wording import Known, digits, first_factual, made_up, names, number_words

PASSAGES = [
    "The Ember lantern runs for 38 hours on one charge. It weighs 640 grams.",
    "The serial number of the Ember lantern is under the felt base. Ask Maud Everly on Fridays.",
]
QUESTION = "How long does the Ember run on one charge?"


def test_numbers_and_names_are_read() -> None:
    assert digits("1,480 euros at 09:30, 4.20 each, L04") == {"1480", "9:30", "4.20", "4"}
    assert number_words("Two of ninety, and one") == {"2", "90"}
    assert names("Well, Maud said: The Gale is in Dunmarrow, I hear, on iOS") == ["Maud", "Gale", "Dunmarrow"]


def test_numbers_and_names_are_read_in_the_language_of_the_bot() -> None:
    german = LANGUAGES["de"]
    assert number_words("Zwei von neunzig, und ein Glas", german) == {"2", "90"}
    assert names("Well, the Lampe is in the Laden", german) == []
    known = Known.of(["Die Lampe brennt zwölf Stunden."], german)
    own = Voice.of(["Moin, Freund. Gute Fahrt!"] * 3, german)
    assert made_up("Die Lampe brennt 12 Stunden.", known, own) is None
    assert made_up("Die Lampe brennt elf Stunden.", known, own) == "number 11"


@pytest.fixture
def voice() -> Voice:
    return Voice.of(REPLIES)


@pytest.mark.parametrize(
    ("reply", "first"),
    [
        ("Well met, shipmate. The Ember runs for 38 hours. It weighs 640 grams.", "The Ember runs for 38 hours."),
        ("Fair winds. It weighs 640 grams. The Ember runs for 38 hours.", "It weighs 640 grams."),
        # A number that nobody told is a statement as well: it does not give way to a right one after it.
        ("Well met, shipmate. It runs for 44 hours. It runs for 38 hours.", "It runs for 44 hours."),
        ("Aye. It does run, the Ember. Look under the felt base.", "Look under the felt base."),
        ("Well met, shipmate. See Maud about it.", "See Maud about it."),
        # A remark of the voice's own is no statement, though the passages hold its words as well.
        ("Cheap as a herring pie. Look under the felt base.", "Look under the felt base."),
        ("Well met, shipmate. It is fine. Fair winds.", "It is fine."),
    ],
)
def test_the_first_factual_sentence(reply: str, first: str, voice: Voice) -> None:
    assert first_factual(reply, QUESTION, [*PASSAGES, "Herring pie is cheap on Fridays."], voice) == first


def test_a_reply_of_formulas_has_no_factual_sentence(voice: Voice) -> None:
    assert first_factual("Well met, shipmate. Fair winds.", QUESTION, PASSAGES, voice) is None


@pytest.mark.parametrize(
    "sentence",
    [
        "The Ember runs for 38 hours on one charge.",
        "Well met, shipmate.",
        "Maud Everly looks under the felt base on Fridays.",
        "Two kettles and a story, as I reckon time.",
        "It stands straighter than a herring pie.",
        "Splendid!",
    ],
)
def test_what_the_evidence_holds_is_not_made_up(sentence: str, voice: Voice) -> None:
    assert made_up(sentence, Known.of([QUESTION, *PASSAGES]), voice) is None


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("The Ember runs for 44 hours on one charge.", "number 44"),
        # Another example reply says 23 and 46: an example's facts excuse nothing.
        ("The Ember runs for 23 hours on one charge.", "number 23"),
        ("The Ember runs for twelve hours on one charge.", "number 12"),
        ("Ask the Gale about the charge.", "name Gale"),
        ("The lantern dissolves gracefully in vinegar overnight.", "words"),
    ],
)
def test_what_nobody_told_is_made_up(sentence: str, why: str, voice: Voice) -> None:
    assert (made_up(sentence, Known.of([QUESTION, *PASSAGES]), voice) or "").startswith(why)
