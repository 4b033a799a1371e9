"""Amounts as documents write them: thousands, decimals, currencies, units, times and dates, in two languages."""

from __future__ import annotations

from datetime import date

import pytest

from toolkit.language import ENGLISH, LANGUAGES, NEUTRAL
from toolkit.tables.quantities import Measures, decimal_of, decimal_sign, number_of, usual_decimal

GERMAN = LANGUAGES["de"]


@pytest.mark.parametrize(
    ("text", "amount", "kind", "said"),
    [
        ("149 euros", 149, "money", "149 euros"),
        ("It costs 1,480 euros, set-up included.", 1480, "money", "1,480 euros"),
        ("$ 3,000.50", 3000.5, "money", "$ 3,000.50"),
        ("€4.20 each", 4.2, "money", "€4.20"),
        ("CHF 12.90", 12.9, "money", "CHF 12.90"),
        ("12 dollars", 12, "money", "12 dollars"),
        ("2.5 hours", 9000, "duration", "2.5 hours"),
        ("takes 3 working days", 3 * 86400, "duration", "3 working days"),
        ("5.2 kg", 5200, "mass", "5.2 kg"),
        ("70 centimetres wide", 0.7, "length", "70 centimetres"),
        ("-20 °C", -20, "temperature", "-20 °C"),
        ("30%", 30, "concentr", "30%"),
        ("6 places", 6, "count", "6 places"),
        ("8", 8, "number", "8"),
        ("18:30", 1110, "time", "18:30"),
        ("since 2019-05-01", date(2019, 5, 1).toordinal(), "date", "2019-05-01"),
        ("2024-02-29", date(2024, 2, 29).toordinal(), "date", "2024-02-29"),
        ("1 234.5 m", 1234.5, "length", "1 234.5 m"),
    ],
)
def test_an_amount_is_read(text: str, amount: float, kind: str, said: str) -> None:
    (found,) = Measures(ENGLISH).of(text)
    assert (found.amount, found.kind, found.said) == (pytest.approx(amount), kind, said)
    assert text[found.start : found.end].strip() == said


@pytest.mark.parametrize(
    "text",
    ["NL-101", "L04", "version 2024-13-40", "25:61", "no amount", "M12", "12.05.2024", "firmware 4.3.1", "192.168.0.1"],
)
def test_what_is_no_amount_is_not_read(text: str) -> None:
    assert Measures(ENGLISH).of(text) == []


@pytest.mark.parametrize(
    ("text", "amount", "kind"),
    [
        ("1.480,50 Euro", 1480.5, "money"),
        ("1.480 Euro", 1480, "money"),
        ("2,5 Stunden", 9000, "duration"),
        ("30 Minuten", 1800, "duration"),
        ("3 Werktage", 3, "count"),
        ("12 kg", 12000, "mass"),
    ],
)
def test_the_language_tells_its_units_and_signs(text: str, amount: float, kind: str) -> None:
    (found,) = Measures(GERMAN).of(text)
    assert (found.amount, found.kind) == (pytest.approx(amount), kind)


def test_a_letter_is_a_unit_by_its_case() -> None:
    kinds = {text: Measures(ENGLISH).of(text)[0].kind for text in ("5 W", "5 h", "the 3D printer")}
    assert kinds == {"5 W": "power", "5 h": "duration", "the 3D printer": "count"}


def test_an_unknown_language_reads_as_english() -> None:
    assert Measures(NEUTRAL).of("1,480 kg")[0].amount == pytest.approx(1_480_000)
    assert decimal_of(NEUTRAL) == "."


def test_a_question_may_write_numbers_as_words() -> None:
    (found,) = Measures(ENGLISH).asked("Which have more than eight places?")
    assert (found.amount, found.unit) == (8, "places")
    assert Measures(ENGLISH).asked("Which one is it?") == []


@pytest.mark.parametrize(
    ("digits", "decimal", "number"),
    [
        ("1,480", ".", 1480), ("1,480", ",", 1.48), ("1.480,50", ".", 1480.5), ("1,234,567", ",", 1234567),
        ("1,234.567.8", ".", 12345678), ("0,125", ".", 0.125), ("4.20", ",", 4.2), ("1'250", ".", 1250),
        ("−7", ".", -7),
    ],
)  # fmt: skip
def test_signs_are_told_by_the_digits_or_by_the_rest(digits: str, decimal: str, number: float) -> None:
    assert number_of(digits, decimal) == pytest.approx(number)


def test_the_other_numbers_of_a_table_tell_its_decimal_sign() -> None:
    assert usual_decimal(["1,480", "4.20"], GERMAN) == "."
    assert usual_decimal(["1.234.567"], ENGLISH) == ","
    assert usual_decimal(["1,480"], GERMAN) == ","
    assert decimal_sign("1,480") == ""
