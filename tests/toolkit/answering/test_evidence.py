"""Picking the evidence: units that make sense alone, the best of them first, none twice, none embedded twice."""

from __future__ import annotations

from tests.conftest import passage
from toolkit.answering import EvidencePicker
from toolkit.answering.evidence import units_of
from toolkit.language import Lexicon
from toolkit.testing import HashEmbedder

LAMP = passage("The lamp burns for 38 hours. The lamp weighs two kilograms.", source="lamp.md", number=1)
KITE = passage("The kite flies high. Its tail is made of silk.", source="kite.md", number=2)


def picker(*texts: str) -> EvidencePicker:
    return EvidencePicker(HashEmbedder(256), Lexicon.of(texts or (LAMP.text, KITE.text)))


def test_sentences_are_units_and_those_that_lean_back_stay_with_what_they_lean_on() -> None:
    assert units_of("The lamp burns. The kite flies.") == ["The lamp burns.", "The kite flies."]
    assert units_of(KITE.text) == ["The kite flies high. Its tail is made of silk."]


def test_a_list_stays_with_its_lead_in() -> None:
    text = "You need:\n- a lamp\n- two wicks\n\nThen light it. The lamp burns."
    units = units_of(text)
    assert "You need:\n- a lamp\n- two wicks" in units[0]
    assert units[-1].endswith("The lamp burns.")


def test_a_long_list_is_cut_again() -> None:
    items = "\n".join(f"- item {number} with a few more words in it" for number in range(40))
    units = units_of(f"You need:\n{items}")
    assert len(units) > 1
    assert all(len(unit.split()) <= 90 for unit in units)


def test_the_unit_that_answers_comes_first() -> None:
    found = picker().pick("How long does the lamp burn?", [KITE, LAMP], 3)
    assert found[0].quote == "The lamp burns for 38 hours."
    assert found[0].passage is LAMP
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
    assert found[0].kinds_missing == 0
    assert found[0].coverage > found[-1].coverage


def test_no_more_than_wanted_and_none_left_out_comes_back() -> None:
    assert len(picker().pick("lamp", [LAMP, KITE], 1)) == 1
    left = picker().pick("lamp burns", [LAMP], 5, without={"The lamp burns for 38 hours."})
    assert [item.quote for item in left] == ["The lamp weighs two kilograms."]
    assert picker().pick("lamp", [], 3) == []


def test_the_same_sentence_in_two_files_is_picked_once() -> None:
    twin = passage("The lamp burns for  38 hours.", source="copy.md", number=9)
    found = picker().pick("How long does the lamp burn?", [LAMP, twin], 5)
    assert [" ".join(item.quote.split()) for item in found].count("The lamp burns for 38 hours.") == 1


def test_the_heading_is_shown_and_counts_as_known() -> None:
    under = passage("It burns for 38 hours.", heading="Ember lamp")
    found = picker(under.text).pick("ember lamp hours", [under], 1)[0]
    assert found.shown == "Ember lamp: It burns for 38 hours."
    assert found.quote == "It burns for 38 hours."
    assert {"ember", "lamp"} <= found.stems
    assert found.coverage == 1.0


def test_a_passage_is_embedded_once() -> None:
    used = picker()
    used.pick("lamp", [LAMP, KITE], 3)
    assert isinstance(used.encoder, HashEmbedder)
    before = len(used.encoder.embedded)
    used.pick("another question", [KITE, LAMP], 3)
    assert used.encoder.embedded[before:] == ["another question"]
