"""The double of the reader: it answers by shared words, points at the answer, and is the same each time."""

from __future__ import annotations

import pytest

from toolkit.language import LANGUAGES
from toolkit.reader import Reader
from toolkit.testing import KeywordReader

TEXT = "Silk kites are light. The lamp burns for 38 hours."


def test_it_points_into_the_sentence_that_answers() -> None:
    reader: Reader = KeywordReader()
    (reading,) = reader.read("How long does the lamp burn?", [TEXT])
    span = reading.best_span()
    at = TEXT.index("The lamp")
    assert span.start >= at
    assert TEXT[span.start : span.end] not in ("lamp", "burns")
    assert reading.within(at, len(TEXT)) == span.score > 0 > reading.within(0, at)
    assert reading.answerable > 0


@pytest.mark.parametrize("passages", [[], [""], ["?"]])
def test_nothing_to_read_answers_nothing(passages: list[str]) -> None:
    readings = KeywordReader().read("lamp", passages)
    assert len(readings) == len(passages)
    assert all(reading.answerable < 0 and reading.best_span().score == float("-inf") for reading in readings)
    assert KeywordReader().support([]).shape == (0,)


@pytest.mark.parametrize(
    ("sentence", "share"),
    [
        ("The lamp burns 38 hours.", 1.0),
        ("The lamp burns for 38 hours at sea in winter.", 4 / 6),
        ("The lamp burns for 83 hours.", 0.0),
        ("The lamp!", 0.0),
        ("", 0.0),
    ],
)
def test_support_is_the_share_of_words_that_the_evidence_holds(sentence: str, share: float) -> None:
    assert KeywordReader().support([(sentence, TEXT)])[0] == pytest.approx(share)


def test_it_reads_other_languages_and_says_who_it_is() -> None:
    german = KeywordReader(LANGUAGES["de"], identity="other@1")
    held = german.support([("Die Laternen brennen zwölf Stunden.", "Eine Laterne, 12 Stunden brennend, brennen")])
    assert held[0] == 1.0
    assert (german.identity, KeywordReader().identity) == ("other@1", "keywords@1")
    german.read("Wie lange?", [])
    assert german.asked == ["Wie lange?"]
