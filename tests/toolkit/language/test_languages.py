"""Languages: found out by their small words, and what is known of each in order."""

from __future__ import annotations

import pytest

from toolkit.language import ENGLISH, LANGUAGES, NEUTRAL, Lexicon, language_of, names, numbers, stems, without_stems

ENGLISH_TEXT = "The lamp burns for 38 hours on a full battery, and it costs 40 euros in the shop at the harbour."
GERMAN_TEXT = "Die Lampe brennt mit vollem Akku 38 Stunden, und sie kostet 40 Euro in dem Laden am Hafen."
FRENCH_TEXT = "Le phare brille pendant trente heures, et la boutique du port reste ouverte le samedi matin."
GERMAN = LANGUAGES["de"]


@pytest.mark.parametrize(
    ("texts", "said", "expected"),
    [
        ([ENGLISH_TEXT], "auto", "en"),
        ([GERMAN_TEXT], "auto", "de"),
        ([FRENCH_TEXT], "auto", ""),
        ([GERMAN_TEXT] * 3 + [ENGLISH_TEXT], "auto", "de"),
        ([], "auto", "en"),
        (["38, 40; 99"], "auto", "en"),
        ([ENGLISH_TEXT], "de", "de"),
        ([ENGLISH_TEXT], "fr", ""),
    ],
)
def test_the_language_is_that_of_the_small_words_or_what_was_said(texts: list[str], said: str, expected: str) -> None:
    assert language_of(texts, said).name == expected


def test_only_the_beginning_of_much_text_is_read() -> None:
    def texts() -> object:
        yield from [GERMAN_TEXT] * 1000
        raise AssertionError("read on")

    assert language_of(texts()).name == "de"  # type: ignore[arg-type]


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_people_say_is_of_each_kind_once(code: str) -> None:
    language = LANGUAGES[code]
    groups = (language.talk, language.takeover, language.questions, language.asked)
    said = [text.lower() for texts in groups for text in texts]
    assert len(said) == len(set(said))
    assert all(len(texts) >= 10 for texts in groups)
    assert all(text == text.strip() for text in said)


@pytest.mark.parametrize("language", [*LANGUAGES.values(), NEUTRAL], ids=[*LANGUAGES, "neutral"])
def test_a_decline_can_be_put_together_in_any_language(language: object) -> None:
    assert isinstance(language, type(ENGLISH))
    assert "Care {x}" in language.nearest.format(heading="Care {x}")
    assert language.enumerated([]) == ""
    assert language.enumerated(["a"]) == "a"
    assert language.enumerated(["a", "b", "c"]) == f"a, b{language.joined}c"
    assert "a, b" in language.about.format(subjects=language.enumerated(["a", "b", "c"]))
    assert language.decline


def test_the_rows_of_a_bot_in_an_unknown_language_are_words_as_they_stand() -> None:
    assert stems("Les phares brillent", NEUTRAL) == ["les", "phares", "brillent"]
    assert numbers("trente ou 38", NEUTRAL) == {"38"}


def test_german_words_numbers_and_names() -> None:
    assert stems("Was kosten die Laternen?", GERMAN) == stems("Kosten der Laterne", GERMAN)
    assert stems("zwölf Lampen", GERMAN) == stems("12 Lampen", GERMAN)
    assert numbers("Achtzehn oder neunzig von 1,250", GERMAN) >= {"18", "90"}
    # every noun has a capital: a name cannot be told by it
    assert names("Frag Bertha im Bootshaus.", GERMAN) == set()
    assert names("Ask Bertha at the Boathouse.", ENGLISH) == set(stems("Bertha Boathouse"))


def test_german_words_are_taken_out_by_their_german_stems() -> None:
    unwanted = set(stems("Laterne", GERMAN))
    assert without_stems("Was kosten die Laternen?", unwanted, GERMAN) == "Was kosten die ?"


def test_a_lexicon_counts_in_its_language() -> None:
    lexicon = Lexicon.of(["Die Laternen brennen.", "Eine Laterne kostet 40 Euro."], GERMAN)
    (stem,) = lexicon.stems("Laterne")
    assert lexicon.holding[stem] == 2
    assert lexicon.language is GERMAN
