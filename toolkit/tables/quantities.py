"""Amounts in a text: numbers with their units, in whatever way a language writes them.

The names of units and currencies come from the Unicode CLDR, by Babel, in the language of the documents and in English.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from toolkit.language import Language

# One of each CLDR unit in the base unit of its kind: a second, gram, metre, litre, square metre, watt, watt hour, byte.
# A month and a year are those of the Gregorian calendar, 30.436875 and 365.2425 days.
_UNITS: dict[str, dict[str, float]] = {
    "duration": {
        "millisecond": 1e-3, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800,
        "month": 2629746, "year": 31556952,
    },
    "mass": {"milligram": 1e-3, "gram": 1, "kilogram": 1e3, "tonne": 1e6, "pound": 453.59237, "ounce": 28.349523125},
    "length": {
        "millimeter": 1e-3, "centimeter": 1e-2, "meter": 1, "kilometer": 1e3, "inch": 0.0254, "foot": 0.3048,
        "yard": 0.9144, "mile": 1609.344,
    },
    "volume": {
        "milliliter": 1e-3, "centiliter": 1e-2, "deciliter": 0.1, "liter": 1, "cubic-meter": 1e3, "gallon": 3.785411784,
    },
    "area": {
        "square-centimeter": 1e-4, "square-meter": 1, "hectare": 1e4, "square-kilometer": 1e6,
        "square-foot": 0.09290304,
    },
    "power": {"milliwatt": 1e-3, "watt": 1, "kilowatt": 1e3, "megawatt": 1e6},
    "energy": {"kilowatt-hour": 1e3, "joule": 1 / 3600, "kilojoule": 1 / 3.6, "kilocalorie": 1.163},
    "digital": {"byte": 1, "kilobyte": 1e3, "megabyte": 1e6, "gigabyte": 1e9, "terabyte": 1e12},
    "speed": {"meter-per-second": 1, "kilometer-per-hour": 1 / 3.6, "mile-per-hour": 0.44704},
    "electric": {"volt": 1},
    "frequency": {"hertz": 1, "kilohertz": 1e3, "megahertz": 1e6, "gigahertz": 1e9},
    "temperature": {"celsius": 1},
    "angle": {"degree": 1},
    "concentr": {"percent": 1},
}  # fmt: skip

_BLANK = " \u00a0\u202f"
_NUMBER = rf"\d{{1,3}}(?:[{_BLANK}'’]\d{{3}})+(?:[.,]\d+)?(?![\d.,]*\d)|\d+(?:[.,]\d+)*"
_TOKEN = re.compile(
    rf"(?P<date>(?<![\w-])\d{{4}}-\d\d-\d\d(?![\w-]))|(?P<time>(?<![\w:])\d{{1,2}}:\d\d(?![\w:]))"
    rf"|(?:(?P<before>[^\W\d_]{{1,3}}\$|[^\w\s.,;:()\-+−/&'\"“”‘’!?%°#*]|(?<!\w)[A-Z]{{3}}(?=\s?\d))\s?)?"
    rf"(?P<number>(?<![\w.,/])(?<!\w[-–])(?:(?<!\w)[-−])?(?:{_NUMBER}))(?![:/]?\d)"
)
# A dotted date or a version is no amount: what parts thousands has three digits behind it, and decimals end a number.
_AMOUNT = re.compile(r"[-−]?(?:\d+(?:[.,]\d+)?|\d{1,3}([.,])\d{3}(?:\1\d{3})*(?:(?!\1)[.,]\d+)?)")
_WORD = re.compile(r"[^\W\d_]+(?:[²³/][^\W\d_]*)?|[%°€$£¥₹₩₽]\w?|\S")
# Words of a unit's name at most ("kilometres per hour"), and words that may stand before it ("working days").
_UNIT_WORDS = 3


@dataclass(frozen=True)
class Quantity:
    """An amount as a text states it.

    Attributes:
        amount: In the base unit of its kind; a time of day in minutes, a date in days.
        kind: ``money``, ``time``, ``date``, ``number`` for a bare one, ``count`` for so many of something, or what a
            unit measures, such as ``duration``.
        unit: What may be compared: the currency, what is counted, or else the kind.
        said: Its words in the text.
        value: The number as it stands there.
        named: The name of its unit as it stands there.
        start: Its first character.
        end: The character after its last.
    """

    amount: float
    kind: str
    unit: str
    said: str
    value: float
    named: str
    start: int
    end: int

    @property
    def key(self) -> tuple[str, str]:
        """What it can be compared with: amounts of the same key."""
        return self.kind, self.unit


@dataclass(frozen=True)
class _Unit:
    kind: str
    unit: str
    factor: float


class Measures:
    """Finds the amounts in texts of a language.

    Args:
        language: The language; its number words count in :meth:`asked`.
    """

    def __init__(self, language: Language) -> None:
        self.language = language
        self._units = _units_of(language.name or "en")

    def of(self, text: str, decimal: str | None = None) -> list[Quantity]:
        """Return the amounts of a text.

        Args:
            text: It.
            decimal: The decimal sign of what it stands in; None for that of the language.
        """
        sign = decimal or decimal_of(self.language)
        found = []
        for match in _TOKEN.finditer(text):
            if match["time"]:
                hours, minutes = map(int, match["time"].split(":"))
                if hours < 25 and minutes < 60:
                    found.append(self._plain(match, "time", 60.0 * hours + minutes))
            elif match["date"]:
                with contextlib.suppress(ValueError):  # the thirty-first of February
                    found.append(self._plain(match, "date", float(date.fromisoformat(match["date"]).toordinal())))
            elif _AMOUNT.fullmatch(_unspaced(match["number"])):
                found.append(self._measured(text, match, sign))
        return found

    def asked(self, text: str) -> list[Quantity]:
        """Return the amounts of a question, where a number may be written as a word."""
        known = self.language.number_words

        def digits(match: re.Match[str]) -> str:
            number = known.get(match.group().lower(), "")
            return number if number not in ("", "0", "1") else match.group()  # the word for one is an article as well

        return self.of(re.sub(r"[^\W\d_]+", digits, text))

    @staticmethod
    def _plain(match: re.Match[str], kind: str, amount: float) -> Quantity:
        said = match.group()
        return Quantity(amount, kind, kind, said, amount, "", match.start(), match.end())

    def _measured(self, text: str, match: re.Match[str], decimal: str) -> Quantity:
        value = number_of(match["number"], decimal)
        before = (match["before"] or "").strip()
        unit = self._units.get(_key(before)) if before else None
        start, end, named = (match.start() if unit else match.start("number")), match.end(), before if unit else ""
        if unit is None:
            unit, end, named = self._after(text, end)
        said = text[start:end].strip()
        return Quantity(value * unit.factor, unit.kind, unit.unit, said, value, named, start, end)

    def _after(self, text: str, at: int) -> tuple[_Unit, int, str]:
        """Return the unit that follows a number, the place after it, and its words."""
        words = []
        for match in _WORD.finditer(text, at, at + 60):
            if match.group() in ",;:.!?()" or "\n" in text[at : match.start()]:
                break
            words.append(match)
            if len(words) == _UNIT_WORDS + 1:
                break
        for first in range(min(2, len(words))):
            for last in range(len(words), first, -1):
                name = text[words[first].start() : words[last - 1].end()]
                if unit := self._units.get(_key(name)):
                    return unit, words[last - 1].end(), text[words[0].start() : words[last - 1].end()]
        if words and words[0].group().isalpha():
            name = words[0].group()
            return _Unit("count", name.lower(), 1.0), words[0].end(), name
        return _Unit("number", "number", 1.0), at, ""


@functools.lru_cache(maxsize=8)
def _units_of(code: str) -> Mapping[str, _Unit]:
    """Return the units by their names and symbols in a language and in English, in small letters."""
    from babel import Locale, UnknownLocaleError
    from babel.units import format_unit

    names: dict[str, _Unit] = {}
    for tongue in dict.fromkeys(("en", "en_GB", code)):
        try:
            locale = Locale.parse(tongue)
        except (UnknownLocaleError, ValueError):
            continue
        names |= _currencies(locale)
        # "m" is short for a metre and narrow for a minute: the longer form was there first.
        for length in ("long", "short", "narrow"):
            for kind, unit, factor in _listed():
                for count in (1, 2, 5):  # one, few and many
                    said = format_unit(count, f"{kind}-{unit}", length, locale=locale)
                    name = _key(said.replace(str(count), "").strip(_BLANK))
                    if name:
                        names.setdefault(name, _Unit(kind, kind, factor))
    return names


def _listed() -> list[tuple[str, str, float]]:
    return [(kind, unit, factor) for kind, units in _UNITS.items() for unit, factor in units.items()]


def _key(name: str) -> str:
    """Return what a unit is looked up by: of a single letter its case tells, as with W and a 3D printer."""
    return name if len(name) == 1 else name.lower()


def _currencies(locale: object) -> dict[str, _Unit]:
    """Return the currencies that some country pays with, by code, symbol, name, and the last word of the name."""
    from babel import Locale
    from babel.numbers import get_currency_name, get_currency_symbol, get_territory_currencies

    assert isinstance(locale, Locale)
    countries = [str(name) for name in locale.territories if len(str(name)) == 2]
    codes = {str(code) for country in countries for code in get_territory_currencies(country)}
    names: dict[str, _Unit] = {}
    for code in sorted(codes):
        full = [get_currency_name(code, count=count, locale=locale) for count in (1, 2, 5)]
        for name in (code, get_currency_symbol(code, locale), *full):
            names[_key(name)] = _Unit("money", code, 1.0)
        for name in full:  # "dollars" are those of the place
            last = name.split()[-1].lower()
            names.setdefault(last, _Unit("money", last, 1.0))
    return names


def decimal_of(language: Language) -> str:
    """Return the decimal sign of a language; a point where it is not known."""
    from babel import UnknownLocaleError
    from babel.numbers import get_decimal_symbol

    try:
        return str(get_decimal_symbol(language.name or "en"))
    except (UnknownLocaleError, ValueError):
        return "."


def number_of(digits: str, decimal: str = ".") -> float:
    """Return the number that digits with thousands and decimal signs write.

    Args:
        digits: As matched in a text.
        decimal: The decimal sign where the digits alone leave it open, as "1,480" does.

    Example:
        >>> number_of("1,480"), number_of("1,480", decimal=","), number_of("1.480,50"), number_of("4.20", decimal=",")
        (1480.0, 1.48, 1480.5, 4.2)
    """
    bare = _unspaced(digits).replace("−", "-")
    sign = decimal_sign(bare) or (decimal if bare.count(decimal) == 1 and len(re.findall(r"[.,]", bare)) == 1 else "")
    whole, _, part = bare.rpartition(sign) if sign else (bare, "", "")
    return float(f"{re.sub(r'[.,]', '', whole)}.{part or 0}")


def _unspaced(digits: str) -> str:
    return re.sub(rf"[{_BLANK}'’]", "", digits)


def decimal_sign(digits: str) -> str:
    """Return the decimal sign that digits show beyond doubt; empty where they show none.

    Example:
        >>> decimal_sign("1.480,50"), decimal_sign("4.20"), decimal_sign("1,480"), decimal_sign("0.125")
        (',', '.', '', '.')
    """
    marks = re.findall(r"[.,]", digits)
    if len(set(marks)) == 2 and marks.count(marks[-1]) == 1:
        return marks[-1]
    if len(marks) != 1:
        return ""
    whole, part = re.split(r"[.,]", digits)
    open_ = len(part) == 3 and 1 <= len(whole.lstrip("-−+")) <= 3 and whole.lstrip("-−+0")
    return "" if open_ else marks[0]


def usual_decimal(texts: Iterable[str], language: Language) -> str:
    """Return the decimal sign that the numbers of a table agree on, or that of the language where none shows it."""
    shown: Counter[str] = Counter()
    for text in texts:
        for match in re.finditer(r"(?<![\w.,:])\d+(?:[.,]\d+)+(?![\w:])", text):
            shown[decimal_sign(match.group())] += 1
            marks = set(re.findall(r"[.,]", match.group()))
            if not decimal_sign(match.group()) and len(re.findall(r"[.,]", match.group())) > 1:
                shown["," if marks == {"."} else "."] += 1  # what stands twice parts thousands
    del shown[""]
    return shown.most_common(1)[0][0] if shown else decimal_of(language)
