"""Picking the evidence: units that make sense alone, the best of them first, none twice, none embedded twice."""

from __future__ import annotations

import itertools

import pytest

from tests.conftest import passage
from toolkit.answering import EvidencePicker
from toolkit.answering.evidence import Weights, units_of
from toolkit.language import ENGLISH, LANGUAGES, Language, Lexicon, stems
from toolkit.testing import HashEmbedder, KeywordReader

LAMP = passage("The lamp burns for 38 hours. The lamp weighs two kilograms.", source="lamp.md", number=1)
KITE = passage("The kite flies high. Its tail is made of silk.", source="kite.md", number=2)


def picker(
    *texts: str, reader: KeywordReader | None = None, language: Language = ENGLISH, **options: Weights
) -> EvidencePicker:
    lexicon = Lexicon.of(texts or (LAMP.text, KITE.text), language)
    return EvidencePicker(HashEmbedder(256), lexicon, reader, **options)


def texts_of(text: str) -> list[str]:
    return [unit.text for unit in units_of(text)]


def test_sentences_are_units_and_those_that_lean_back_stay_with_what_they_lean_on() -> None:
    assert texts_of("The lamp burns. The kite flies.") == ["The lamp burns.", "The kite flies."]
    assert texts_of(KITE.text) == ["The kite flies high. Its tail is made of silk."]


def test_a_list_stays_with_its_lead_in() -> None:
    text = "You need:\n- a lamp\n- two wicks\n\nThen light it. The lamp burns."
    units = texts_of(text)
    assert "You need:\n- a lamp\n- two wicks" in units[0]
    assert units[-1].endswith("The lamp burns.")


def test_a_long_list_is_cut_again() -> None:
    items = "\n".join(f"- item {number} with a few more words in it" for number in range(40))
    units = texts_of(f"You need:\n{items}")
    assert len(units) > 1
    assert all(len(unit.split()) <= 90 for unit in units)


def test_a_unit_knows_where_it_stands() -> None:
    text = "  The lamp burns.  The kite flies. It is light.\n\nYou need:\n- a lamp\n- two wicks\n"
    units = units_of(text)
    assert len(units) == 3
    for unit in units:
        assert "".join(text[unit.start : unit.end].split()) == "".join(unit.text.split())
        assert unit.stems == set(stems(unit.text))
    assert all(one.end <= other.start for one, other in itertools.pairwise(units))


def test_the_unit_that_answers_comes_first() -> None:
    found = picker().pick("How long does the lamp burn?", [LAMP, KITE], 3).evidence
    assert found[0].quote == "The lamp burns for 38 hours."
    assert found[0].passage is LAMP
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
    assert found[0].coverage > found[-1].coverage


def test_the_reader_is_shown_the_heading_and_read_unit_by_unit() -> None:
    under = passage("It is blue. The lamp burns for 38 hours.", heading="Ember lamp", number=3)
    reader = KeywordReader()
    picked = picker(reader=reader).pick("How long does the Ember burn?", [under, KITE], 5)
    direct = reader.read("How long does the Ember burn?", [f"Ember lamp: {under.text}", KITE.text])
    assert [reading.answerable for reading in picked.readings] == [reading.answerable for reading in direct]
    spans = {item.quote: item.span for item in picked.evidence}
    at = len("Ember lamp: ")
    assert spans["It is blue."] == pytest.approx(direct[0].within(at, at + len("It is blue.")))
    assert spans["The lamp burns for 38 hours."] == pytest.approx(
        direct[0].within(at + len("It is blue. "), at + len(under.text))
    )
    assert spans["The lamp burns for 38 hours."] > spans[texts_of(KITE.text)[0]]


def test_the_readers_span_can_outweigh_rank_and_likeness() -> None:
    asked = "How long does the lamp burn?"
    far = passage("Silk kites. Burn lamp.", number=5)
    order = [far, LAMP]
    blind = picker(weights=Weights(span=0.0, similarity=0.0, rank=1.0)).pick(asked, order, 1).evidence[0]
    assert blind.passage is far
    reading = picker(reader=KeywordReader(), weights=Weights(span=1.0, similarity=0.0, rank=0.0))
    assert reading.pick(asked, order, 1).evidence[0].quote == "The lamp burns for 38 hours."


def test_no_more_than_wanted_and_none_left_out_comes_back() -> None:
    reader = KeywordReader()
    assert len(picker().pick("lamp", [LAMP, KITE], 1).evidence) == 1
    left = picker(reader=reader).pick("lamp burns", [LAMP], 5, without={"The lamp burns for 38 hours."})
    assert [item.quote for item in left.evidence] == ["The lamp weighs two kilograms."]
    # nor does the reader see what was left out
    assert left.readings[0].answerable == reader.read("lamp burns", ["The lamp weighs two kilograms."])[0].answerable
    assert picker().pick("lamp", [], 3).evidence == []


def test_a_passage_all_of_which_is_left_out_gives_nothing() -> None:
    quotes = {"The lamp burns for 38 hours.", "The lamp weighs two kilograms."}
    left = picker(reader=KeywordReader()).pick("lamp burns", [LAMP, KITE], 5, without=quotes)
    assert [item.passage for item in left.evidence] == [KITE]
    assert len(left.readings) == 2


def test_the_same_sentence_in_two_files_is_picked_once() -> None:
    twin = passage("The lamp burns for  38 hours.", source="copy.md", number=9)
    found = picker().pick("How long does the lamp burn?", [LAMP, twin], 5).evidence
    assert [" ".join(item.quote.split()) for item in found].count("The lamp burns for 38 hours.") == 1


def test_the_heading_is_shown_and_counts_as_known() -> None:
    under = passage("It burns for 38 hours.", heading="Ember lamp")
    found = picker(under.text).pick("ember lamp hours", [under], 1).evidence[0]
    assert found.shown == "Ember lamp: It burns for 38 hours."
    assert found.quote == "It burns for 38 hours."
    assert {"ember", "lamp"} <= found.stems
    assert found.coverage == 1.0


def test_words_are_those_of_the_language_of_the_documents() -> None:
    german = LANGUAGES["de"]
    under = passage("Die Lampen brennen achtzehn Stunden.", heading="Leuchten")
    found = picker(under.text, language=german).pick("Wie lange brennt eine Lampe?", [under], 1).evidence[0]
    assert found.stems == set(stems("Leuchten Lampen brennen 18 Stunden", german))
    assert found.coverage == pytest.approx(
        Lexicon.of([under.text], german).coverage(stems("brennt Lampe", german), found.stems)
    )


def test_a_passage_is_embedded_once() -> None:
    used = picker()
    used.pick("lamp", [LAMP, KITE], 3)
    assert isinstance(used.encoder, HashEmbedder)
    before = len(used.encoder.embedded)
    used.pick("another question", [KITE, LAMP], 3)
    assert used.encoder.embedded[before:] == ["another question"]


def test_another_text_under_the_same_id_is_embedded_anew() -> None:
    used = picker()
    used.pick("lamp", [LAMP], 3)
    joined = passage(f"{LAMP.text} {KITE.text}", source="lamp.md", number=1)
    assert {item.passage.text for item in used.pick("silk", [joined], 9).evidence} == {joined.text}
    assert len(used.pick("silk", [joined], 9).evidence) == 3
