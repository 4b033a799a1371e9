"""Words as evidence: stems, numbers, names, and how rare a word is."""

from __future__ import annotations

import math

import pytest

from toolkit.language import Lexicon, names, numbers, stems


def test_stems_leave_out_words_that_only_ask() -> None:
    assert stems("How long does the lantern's battery last?") == stems("lantern battery last")
    assert stems("Do you know what it is?") == []


def test_forms_of_a_word_share_a_stem_and_number_words_are_digits() -> None:
    assert stems("repairing lanterns") == stems("repairs lantern")
    assert stems("twelve lamps") == stems("12 lamps")
    assert "7" in stems("lamp 7")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs 1,250 euros.", {"1250"}),
        ("Open from 9:30 to 17.", {"9:30", "17"}),
        ("It takes two to three days.", {"2", "3"}),
        ("One of them is 2.5 metres.", {"2.5"}),
        ("Ninety lamps, 14.", {"90", "14"}),
        ("No number here.", set()),
        ("Ten,000", {"10", "000"}),
    ],
)
def test_numbers_in_digits_and_words(text: str, found: set[str]) -> None:
    assert numbers(text) == found


def test_a_name_is_a_capital_inside_a_sentence() -> None:
    assert names("Ask Bertha at the Boathouse. Then wait.") == set(stems("Bertha Boathouse"))
    assert names("Wait here. Lamps burn. I do not.") == set()


def test_rare_words_weigh_more() -> None:
    lexicon = Lexicon.of(["lamp oil", "lamp glass", "lamp wick", "lamp lamp"])
    assert lexicon.passages == 4
    assert lexicon.holding["lamp"] == 4
    assert lexicon.weight("lamp") == pytest.approx(math.log(5 / 4.5))
    assert lexicon.weight("glass") > lexicon.weight("lamp")
    assert lexicon.weight("kite") > lexicon.weight("glass")


def test_coverage_is_the_weighted_share() -> None:
    lexicon = Lexicon.of(["lamp oil", "lamp glass", "lamp wick"])
    rare, common = lexicon.weight("glass"), lexicon.weight("lamp")
    assert lexicon.coverage(["lamp", "glass"], {"glass"}) == pytest.approx(rare / (rare + common))
    assert lexicon.coverage(["lamp"], {"lamp", "oil"}) == 1.0
    assert lexicon.coverage(["kite"], {"lamp"}) == 0.0
    assert lexicon.coverage([], {"lamp"}) == 1.0
