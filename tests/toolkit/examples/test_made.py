"""Questions made from documents: of headings, rows and sentences, each with what answers it."""

from __future__ import annotations

import pytest

from toolkit.examples.made import MadeExample, MadePassage, keyword_question, made_examples
from toolkit.language import ENGLISH, LANGUAGES, NEUTRAL, Lexicon

LAMP = ("lamp.md", "Ember lamp", "The Ember lamp burns for 38 hours on a full battery. It is lit by a small wheel.")
CARE = ("lamp.md", "Ember lamp > Care", "Wipe the glass of the lamp with a dry cloth.")
KITE_CARE = ("kite.md", "Storm kite > Care", "Dry the silk of the kite before you fold it.")
TABLE = (
    "prices.xlsx",
    "Prices",
    "Item: Ember lamp; Price: 40 euros; Weight: 3 kg\nItem: Storm kite; Price: 90 euros; Weight: 300 g",
)
HOUSE = [LAMP, CARE, KITE_CARE, TABLE]
LEXICON = Lexicon.of([f"{heading} {text}" for _, heading, text in HOUSE])


def made(*passages: tuple[str, str, str], count: int = 100, seed: int = 0) -> dict[str, MadeExample]:
    return {item.question: item for item in made_examples(passages, LEXICON, seed, count)}


def test_a_heading_asks_for_what_stands_under_it() -> None:
    found = made(LAMP, CARE)
    assert found["Ember lamp?"].answer == LAMP[2].split(". ")[0] + "." + " It is lit by a small wheel."
    assert found["Care?"].answer == CARE[2]
    assert found["Care?"].kind == "heading"
    assert found["Care?"].passage == MadePassage(*CARE)


def test_a_heading_that_two_documents_have_is_asked_with_those_above_it() -> None:
    found = made(CARE, KITE_CARE)
    assert "Care?" not in found
    assert found["Ember lamp Care?"].answer == CARE[2]
    assert found["Storm kite Care?"].answer == KITE_CARE[2]


def test_a_section_in_several_passages_is_asked_once_and_a_question_stays_one() -> None:
    more = ("lamp.md", "Ember lamp > Care", "Charge the battery once in every month.")
    found = [item for item in made(CARE, more).values() if item.kind == "heading"]
    assert [item.answer for item in found] == [CARE[2]]
    assert "How does it burn?" in made(("a.md", "How does it burn?", "It burns with a blue flame."))


def test_a_row_is_asked_for_each_of_its_columns() -> None:
    found = {question: item.answer for question, item in made(TABLE).items() if item.kind == "cell"}
    first, second = TABLE[2].split("\n")
    assert found == {
        "Ember lamp Price?": first,
        "Ember lamp Weight?": first,
        "Storm kite Price?": second,
        "Storm kite Weight?": second,
    }


@pytest.mark.parametrize(
    "text",
    [
        "Ember lamp | 40 euros | 3 kg",  # no names of columns
        "Note: read this first; then go on with the second page of it",
        "Item: Lamp; Price: 4 euros\nItem: Lamp; Price: 5 euros",  # nobody could tell which
        "Item: 12; 13: 14",
    ],
)
def test_what_is_no_row_with_names_is_not_asked_as_one(text: str) -> None:
    assert not [item for item in made(("a.md", "", text)).values() if item.kind == "cell"]


def test_a_sentence_is_asked_by_its_words() -> None:
    (item,) = [item for item in made(KITE_CARE).values() if item.kind == "sentence"]
    words = item.question.rstrip("?").split()
    assert set(words) <= {"Dry", "silk", "kite", "before", "fold", "it", "you"}
    assert len(words) >= 3
    assert item.answer == KITE_CARE[2]
    assert as_tuple(item) == ("Dry the silk of the kite before you fold it.", "kite.md")


def as_tuple(item: MadeExample) -> tuple[str, str]:
    example = item.as_example(7)
    assert (example.line, example.conversation, example.history) == (7, 7, ())
    return example.reply, example.source


def test_another_language_is_asked_the_same_way() -> None:
    text = ("laterne.md", "Pflege", "Das Glas der Laterne wird mit einem trockenen Tuch abgewischt.")
    for language in (LANGUAGES["de"], NEUTRAL):
        found = made_examples([text], Lexicon(language=language), 0, 10)
        assert {item.kind for item in found} == {"heading", "sentence"}
        assert found[0].question == "Pflege?"


def test_numbers_are_asked_for_and_not_with() -> None:
    import random

    asked = keyword_question("The Ember lamp burns for 38 hours on a full battery.", ENGLISH, random.Random(0))
    assert asked is not None
    assert "38" not in asked
    assert keyword_question("It is on.", ENGLISH, random.Random(0)) is None


def test_the_choice_is_of_all_kinds_and_goes_by_the_seed() -> None:
    assert {item.kind for item in made(*HOUSE, count=3).values()} == {"heading", "cell", "sentence"}
    assert list(made(*HOUSE, seed=1)) == list(made(*HOUSE, seed=1)) != list(made(*HOUSE, seed=2))
    assert len(made(*HOUSE, count=5)) == 5
    assert made() == {}
