"""Checking a reply: what the evidence does not hold never reaches the person, however the reply arrives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import evidence
from toolkit.answering import Evidence
from toolkit.answering.checking import (
    PLAIN,
    Frames,
    ReplyChecker,
    Scales,
    Support,
    fit_near,
    fit_scales,
    sentences_of_reply,
)
from toolkit.errors import DataError
from toolkit.language import LANGUAGES
from toolkit.reader import Reader
from toolkit.testing import KeywordReader

LAMP = evidence("The Ember lamp burns for 38 hours on a full battery.", source="lamp.md")
PRICE = evidence("The Ember lamp costs 40 euros.", source="prices.csv", score=0.5)
VOICE = frozenset({"ahoy", "friend", "fair", "wind"})
QUESTION = "How long does the Ember lamp burn?"
READERS: dict[str, Reader | None] = {"read": KeywordReader(), "unread": None}


def check(
    reply: str, *items: Evidence, question: str = QUESTION, piece: int = 0, reader: Reader | None = READERS["read"]
) -> tuple[str, ReplyChecker]:
    checker = ReplyChecker(question, Support(question, items or (LAMP, PRICE), VOICE, reader))
    pieces = [reply[at : at + piece] for at in range(0, len(reply), piece)] if piece else [reply]
    sentences = [sentence for part in pieces for sentence in checker.feed(part)]
    sentences += checker.close()
    assert " ".join(sentences) == checker.text
    return checker.text, checker


@pytest.mark.parametrize("reader", READERS)
def test_what_the_evidence_holds_passes_and_is_cited(reader: str) -> None:
    text, checker = check("Ahoy, friend. It burns for 38 hours. Fair winds!", reader=READERS[reader])
    assert text == "Ahoy, friend. It burns for 38 hours. Fair winds!"
    assert checker.cited == [LAMP]
    assert checker.replaced == []


@pytest.mark.parametrize("reader", READERS)
def test_a_number_from_nowhere_goes_and_the_quote_comes_before_the_farewell(reader: str) -> None:
    text, checker = check("Ahoy, friend. It burns for 48 hours. Fair winds!", reader=READERS[reader])
    assert text == f"Ahoy, friend. {LAMP.quote} Fair winds!"
    assert checker.replaced == ["It burns for 48 hours."]
    assert checker.cited == [LAMP]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "invented",
    [
        "It was made by Bertha in the lamp shop.",
        "The warranty covers damage from dragons and goblins forever.",
        "The lamp burns for 380 hours.",
    ],
    ids=["name", "words", "number"],
)
def test_what_stands_nowhere_is_left_out(invented: str, reader: str) -> None:
    text, checker = check(invented, reader=READERS[reader])
    assert text == LAMP.quote
    assert checker.replaced == [invented]


def test_a_number_of_the_question_may_be_said_again() -> None:
    asked = "Does the lamp burn 24 hours?"
    text, _ = check("The lamp burns 38 hours, more than 24.", LAMP, question=asked, reader=None)
    assert "24" in text


def test_a_number_from_nowhere_goes_however_sure_the_reader_is() -> None:
    class Sure(KeywordReader):
        def support(self, pairs: object) -> np.ndarray:
            return np.ones(2, dtype=np.float32)

    text, checker = check("It burns for 48 hours.", reader=Sure())
    assert (text, checker.replaced) == (LAMP.quote, ["It burns for 48 hours."])


def test_a_reader_that_sees_support_saves_other_words_for_the_same() -> None:
    class Knowing(KeywordReader):
        def support(self, pairs: object) -> np.ndarray:
            return np.array([0.99, 0.01], dtype=np.float32)

    said = "You get 38 hours of light from one charge."
    text, checker = check(said, reader=Knowing())
    assert (text, checker.cited) == (said, [LAMP])
    assert check(said)[1].replaced == [said]


def test_what_goes_is_not_replaced_where_something_else_states_the_evidence() -> None:
    text, checker = check("It burns for 38 hours. It costs 41 euros. It holds 17 wicks.")
    assert text == "It burns for 38 hours."
    assert len(checker.replaced) == 2
    assert checker.cited == [LAMP]


def test_the_quote_comes_at_most_once() -> None:
    text, checker = check("It burns for 48 hours. It costs 41 euros. It holds 17 wicks.")
    assert text == LAMP.quote
    assert len(checker.replaced) == 3


@pytest.mark.parametrize(
    "reply",
    [
        "It burns for 38 hours. It burns for 38 hours. Ahoy. Ahoy.",
        f"{QUESTION} It burns for 38 hours. Ahoy.",
        "It burns for 38 hours. the lamp burns the lamp burns the lamp burns the lamp burns. Ahoy.",
    ],
    ids=["said before", "asked", "in a circle"],
)
def test_what_says_nothing_new_is_dropped(reply: str) -> None:
    text, checker = check(reply)
    assert text == "It burns for 38 hours. Ahoy."
    assert checker.replaced == []


def test_a_reply_that_states_nothing_gets_the_evidence_before_its_last_sentence() -> None:
    text, checker = check("Ahoy, friend. Fair winds!")
    assert text == f"Ahoy, friend. {LAMP.quote} Fair winds!"
    assert checker.cited == [LAMP]
    text, checker = check("")
    assert (text, checker.cited) == (LAMP.quote, [LAMP])


def test_a_greeting_comes_before_the_evidence_and_a_farewell_after_it() -> None:
    assert check("Ahoy, friend.")[0] == f"Ahoy, friend. {LAMP.quote}"
    assert check("It was made of the dragon's gold. Fair winds!")[0] == f"{LAMP.quote} Fair winds!"


def test_what_was_said_in_other_places_is_not_said_again() -> None:
    assert check("The Ember lamp burns for 38 hours. It burns 38 hours.")[0] == "The Ember lamp burns for 38 hours."
    both = "The lamp burns for 38 hours. The Ember lamp costs 40 euros."
    assert check(both)[0] == both


def test_the_evidence_that_is_told_is_the_one_cited() -> None:
    text, checker = check("The Ember lamp costs 40 euros.", PRICE, LAMP, question="What does the Ember lamp cost?")
    assert (text, checker.cited) == ("The Ember lamp costs 40 euros.", [PRICE])


def test_the_best_evidence_comes_before_a_neighbouring_fact() -> None:
    text, checker = check("Ahoy. The Ember lamp costs 40 euros. Fair winds!")
    burns, costs = "The Ember lamp burns for 38 hours on a full battery.", "The Ember lamp costs 40 euros."
    assert text == f"Ahoy. {burns} {costs} Fair winds!"
    assert checker.cited == [LAMP, PRICE]


def test_the_best_supported_is_cited_first() -> None:
    # of the first sentence three words in four stand in a note; the second is a note
    _, checker = check("The lamp costs 40 euros, friend. The Ember lamp burns for 38 hours on a full battery.")
    assert checker.cited == [LAMP, PRICE]


def test_a_number_in_brackets_cites_and_is_not_shown() -> None:
    twin = evidence("The Ember lamp burns for 38 hours.", source="twin.md")
    text, checker = check("It burns for 38 hours [2]. Fair winds!", LAMP, twin)
    assert text == "It burns for 38 hours. Fair winds!"
    assert checker.cited == [twin]
    _, checker = check("It burns for 38 hours [1][2].", LAMP, twin)
    assert checker.cited == [LAMP, twin]


@pytest.mark.parametrize("mark", ["[2]", "[7]", "[0]"])
def test_a_number_in_brackets_that_is_wrong_is_put_right(mark: str) -> None:
    text, checker = check(f"It burns for 38 hours {mark}.")
    assert (text, checker.cited) == ("It burns for 38 hours.", [LAMP])


def test_a_last_sentence_that_was_cut_off_is_left_out() -> None:
    assert check("It burns for 38 hours. On a full batt")[0] == "It burns for 38 hours."
    assert check("It burns for 38 hours on a")[0] == "It burns for 38 hours on a"


def test_the_last_sentence_waits_until_the_reply_is_over() -> None:
    checker = ReplyChecker(QUESTION, Support(QUESTION, [LAMP], VOICE))
    assert [*checker.feed("Ahoy, friend. ")] == []
    assert [*checker.feed("It burns for 38 hours. ")] == ["Ahoy, friend."]
    assert [*checker.close()] == ["It burns for 38 hours."]


def test_without_evidence_nothing_is_added() -> None:
    checker = ReplyChecker(QUESTION, Support(QUESTION, [], VOICE))
    assert [*checker.feed("Ahoy, friend."), *checker.close()] == ["Ahoy, friend."]
    assert [*ReplyChecker(QUESTION, Support(QUESTION, [])).close()] == []


REPLIES = [
    "Ahoy, friend. It burns for 38 hours. Fair winds!",
    "Ahoy! It burns for 48 hours. It burns for 48 hours. Fair winds! Fair winds! And",
    'He said "it burns for 38 hours." Ahoy.\n\nFair winds!  ',
    "The lamp costs 40.50 euros. It costs 40 euros.",
    "It burns for 38 hours [1]. It costs 40 euros [2].",
    "ahoy",
    "",
    "Is it 38 hours?\nYes! Yes...",
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("piece", [1, 2, 7])
def test_a_reply_fed_in_pieces_gives_what_it_gives_whole(reply: str, piece: int, reader: str) -> None:
    whole, kept = check(reply, reader=READERS[reader])
    streamed, pieces = check(reply, piece=piece, reader=READERS[reader])
    assert streamed == whole
    assert pieces.replaced == kept.replaced
    assert pieces.cited == kept.cited


@pytest.mark.parametrize(
    ("features", "held"),
    [
        ([-9.2, 0.0, 0.0, 0.0], True),  # a greeting: nothing strange, and nothing that a reader could hold
        ([0.0, 0.5, 0.0, 0.0], True),
        ([-9.2, 0.6, 0.0, 0.0], False),  # most of it strange, and no support
        ([9.2, 0.0, 1.0, 0.0], False),  # a number from nowhere, however sure the reader is
        ([9.2, 0.0, 0.0, 1.0], False),
    ],
)
def test_the_plain_scales_keep_what_is_said_of_them(features: list[float], held: bool) -> None:
    assert PLAIN.held(np.array(features)) is held


def draws(count: int, support: float, unknown: float, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    flags = (chance.random((count, 2)) < unknown / 2).astype(float)
    return np.column_stack([chance.normal(support, 1.5, count), chance.uniform(0, unknown, count), flags])


def test_fitted_scales_lose_no_more_than_they_may_and_leave_out_the_rest() -> None:
    held, unheld = draws(300, 3.0, 0.2, 0), draws(300, -3.0, 0.9, 1)
    for most in (0.02, 0.2):
        scales = fit_scales(held, unheld, most)
        lost = np.mean([not scales.held(row) for row in held])
        assert lost <= most
        assert lost >= most / 2
    scales = fit_scales(held, unheld, 0.02)
    assert np.mean([not scales.held(row) for row in unheld]) > 0.8
    fresh = draws(300, 3.0, 0.2, 2)
    assert np.mean([scales.held(row) for row in fresh]) > 0.9
    assert Scales.from_dict(scales.to_dict()) == scales


@pytest.mark.parametrize("count", [7, 13, 28])
def test_of_few_sentences_no_more_are_left_out_than_may_be(count: int) -> None:
    held, unheld = draws(count, 1.0, 0.3, count), draws(40, -1.0, 0.6, 1)
    for most in (0.05, 0.1, 0.2, 0.4):
        scales = fit_scales(held, unheld, most)
        assert np.mean([not scales.held(row) for row in held]) <= most


def test_what_is_strange_never_speaks_for_a_sentence() -> None:
    # a small sample in which the invented sentences happen to state fewer numbers
    held, unheld = draws(40, 1.0, 0.2, 0), draws(40, -1.0, 0.2, 1)
    held[:, 2], unheld[:, 2] = 1.0, 0.0
    scales = fit_scales(held, unheld, 0.1)
    assert scales.numbers == 0.0
    assert scales.support > 0
    assert max(scales.unknown, scales.names) <= 0


def test_a_german_sentence_is_read_by_german_words() -> None:
    german = LANGUAGES["de"]
    told = evidence("Die Laterne brennt achtunddreißig Stunden, der Docht hält zwölf Wochen.")
    support = Support("Wie lange hält der Docht?", [told], frozenset(), KeywordReader(german), german)
    right, wrong = "Der Docht hält 12 Wochen.", "Der Docht hält 13 Wochen."
    assert support.of(right)[0] > 0.5 > support.of(wrong)[0]
    features = [support.features(text, support.of(text)) for text in (right, wrong)]
    assert [row[2] for row in features] == [0.0, 1.0]
    # every noun has a capital: none of them is a name
    assert [row[3] for row in features] == [0.0, 0.0]


def test_a_reply_is_cut_where_the_checker_cuts_it() -> None:
    sentences = ["Ahoy.", '"It burns."', "Fair winds!", "Yes?"]
    assert sentences_of_reply('Ahoy. "It burns."  Fair winds!\nYes? ') == sentences
    assert sentences_of_reply("  ") == []


class Letters:
    """Places a sentence by how often it has each letter; counts what it is asked."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self.encode(texts)


FRAMED = replace(PLAIN, frames=Frames(("Ahoy, friend.", "Fair winds!"), near=0.9))


def framed(reply: str, scales: Scales) -> ReplyChecker:
    voice = VOICE | {"a", "kind", "word", "of", "keep", "friends", "best"}
    checker = ReplyChecker(QUESTION, Support(QUESTION, [LAMP, PRICE], voice, KeywordReader()), scales)
    assert " ".join([*checker.feed(reply), *checker.close()]) == checker.text
    return checker


def test_a_sentence_of_the_voices_words_goes_where_it_is_no_turn_of_phrase() -> None:
    scales = FRAMED.with_encoder(Letters())
    checker = framed("Ahoy friend! It burns for 38 hours. Keep best kind words. Fair wind.", scales)
    assert checker.text == "Ahoy friend! It burns for 38 hours. Fair wind."
    assert checker.replaced == ["Keep best kind words."]
    assert checker.cited == [LAMP]


def test_a_turn_of_phrase_with_a_number_from_nowhere_goes() -> None:
    checker = framed("Ahoy, 17 friends. It burns for 38 hours. Fair winds!", FRAMED.with_encoder(Letters()))
    assert checker.replaced == ["Ahoy, 17 friends."]


def test_without_an_embedder_or_turns_of_phrase_the_voices_words_suffice() -> None:
    said = "Ahoy, friend. It burns for 38 hours. Keep best kind words."
    for scales in (FRAMED, PLAIN, PLAIN.with_encoder(Letters())):
        assert framed(said, scales).text == said


def test_turns_of_phrase_are_embedded_once_and_only_where_no_evidence_speaks() -> None:
    encoder = Letters()
    scales = FRAMED.with_encoder(encoder)
    for _ in range(2):
        framed("It burns for 38 hours.", scales)
    assert encoder.encoded == []
    for _ in range(2):
        framed("It burns for 38 hours. Fair winds!", scales)
    assert encoder.encoded == ["Ahoy, friend.", "Fair winds!", "Fair winds!", "Fair winds!"]


def test_turns_of_phrase_read_back_without_the_embedder() -> None:
    scales = FRAMED.with_encoder(Letters())
    assert Scales.from_dict(json.loads(json.dumps(scales.to_dict()))) == FRAMED
    for wrong in ({}, {**PLAIN.to_dict(), "more": 1.0}, {"support": 1.0}):
        with pytest.raises(DataError, match="another version"):
            Scales.from_dict(wrong)


def test_how_near_is_near_is_fitted() -> None:
    others = np.linspace(0.2, 0.6, 50)
    parted = fit_near(np.ones(50), others, 0.02)
    assert 0.6 < parted < 1
    assert fit_near(np.linspace(0.3, 1, 101), others, 0.02) == pytest.approx(0.314, abs=1e-4)
    assert fit_near(np.ones(5), np.zeros(0), 0.02) == pytest.approx(1.0, abs=1e-4)
    assert (np.full(50, 0.1) >= fit_near(np.full(50, 0.1), others, 0.02)).all()


ROW = evidence("Item: Weight; Value: 400 grams", source="lamp.md")
LIST = evidence("We lend:\n- The Ember lamp for 3 days\n- The Wisp lamp for 5 days", source="loans.md")


@pytest.mark.parametrize(
    ("best", "plain", "said"),
    [
        (ROW, "It weighs 400 grams.", "It weighs 400 grams."),
        (LIST, "- The Ember lamp for 3 days", "The Ember lamp for 3 days."),
        (ROW, "It weighs 500 grams.", "Item: Weight; Value: 400 grams."),  # made up
        (ROW, "", "Item: Weight; Value: 400 grams."),
        (LIST, "The golden dragon sleeps.", "We lend: The Ember lamp for 3 days; The Wisp lamp for 5 days."),
    ],
)
def test_the_best_evidence_is_put_plainly_where_it_holds_what_is_written(best: Evidence, plain: str, said: str) -> None:
    question = "What is the weight, and for how many days is it lent?"
    asked: list[Evidence] = []

    def plainly(item: Evidence) -> str:
        asked.append(item)
        return plain

    checker = ReplyChecker(question, Support(question, [best, PRICE], VOICE, KeywordReader()), plainly=plainly)
    assert [*checker.feed("Ahoy, friend. Fair winds!"), *checker.close()] == ["Ahoy, friend.", said, "Fair winds!"]
    assert asked == [best]
    assert checker.cited == [best]


def test_a_heading_that_is_read_out_is_left_out() -> None:
    under = evidence("The Ember lamp burns for 38 hours.", source="lamp.md", heading="Lamps > Ember")
    checker = ReplyChecker(
        QUESTION,
        Support(QUESTION, [under], VOICE, KeywordReader()),
        plainly=lambda item: "Lamps > Ember: The Ember lamp burns for 38 hours.",
    )
    assert [*checker.close()] == ["The Ember lamp burns for 38 hours."]


def test_nothing_is_put_plainly_where_the_reply_states_the_best() -> None:
    def never(item: Evidence) -> str:
        raise AssertionError("nobody asked")

    checker = ReplyChecker(QUESTION, Support(QUESTION, [LAMP], VOICE), plainly=never)
    assert [*checker.feed("It burns for 38 hours."), *checker.close()] == ["It burns for 38 hours."]
