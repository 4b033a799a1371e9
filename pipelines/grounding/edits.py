"""Small changes to a text: what makes a true sentence false, a question another one, and NQ's text readable."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Sequence

_BREAK = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[A-Z0-9\"“'(\[])|\n+")
_SHORT = re.compile(r"(?:\b[A-Za-z]|\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|al|Fig|No|Inc|Co|Ltd|approx|e\.g|i\.e))\.$")
_NAME = re.compile(r"[A-Z][\w'’-]*\w(?: (?:of |the |de |von |van )?[A-Z][\w'’-]*\w)*")
_NUMBER = re.compile(r"(?<![\w.,:])\d+(?:[.,:]\d+)*(?![\w])")
_WORD = re.compile(r"[^\W_]+")
_NO_NAMES = frozenset(
    "The A An In On At It This That These Those He She They We You I When What Which Who Where Why How Is Are Was Were"
    " Do Does Did Can Could Will Would Should If As But And Or For From By With After Before During While Although"
    " However Its Their His Her There Some Many Most Other Another One Two Three Yes No Not Also Since Under Over Once"
    " Key Points According To Of Both All Each Every Our My Your Here Then Thus Please Such".split()
)
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_COUNTS = "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty".split()
_COLOURS = "red blue green yellow black white brown orange purple grey silver".split()
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth last".split()
_UNITS = (
    ("minutes", "hours", "days", "weeks", "months", "years"),
    ("kilometres", "metres", "miles", "feet"),
    ("million", "billion", "thousand"),
    ("percent", "per cent"),
)
_OPPOSITES = """first/last largest/smallest highest/lowest most/least more/fewer before/after north/south east/west
    northern/southern eastern/western increase/decrease increased/decreased increases/decreases higher/lower
    larger/smaller longer/shorter older/younger oldest/youngest early/late earlier/later begin/end began/ended
    start/stop started/stopped open/closed opens/closes opened/closed win/lose won/lost male/female men/women
    father/mother son/daughter brother/sister husband/wife king/queen positive/negative public/private
    allowed/prohibited included/excluded free/paid above/below inside/outside upper/lower internal/external
    always/never all/none majority/minority minimum/maximum cold/hot warm/cool light/heavy strong/weak
    buy/sell import/export rich/poor success/failure support/oppose supported/opposed accepted/rejected
    beginning/end best/worst good/bad yes/no with/without left/right summer/winter spring/autumn morning/evening
    import/export major/minor primary/secondary common/rare permanent/temporary legal/illegal same/different"""
_OPPOSITE = {a: b for pair in _OPPOSITES.split() for a, b in (tuple(pair.split("/")), tuple(reversed(pair.split("/"))))}
_VERB = re.compile(r"\b(is|are|was|were|can|could|will|would|should|may|must|has|have|had|does|do|did)\b(?! not)")
_NOT = re.compile(r" not\b|n't\b")
_Way = Callable[[str, random.Random], str | None]
_STOP = frozenset(
    "a an the is are was were do does did be been has have had of to in on at by for with from it its this that there"
    " their and or i you we they he she my your our can could would will should may what which who whom whose when"
    " where why how many much as not any if so".split()
)


@functools.lru_cache(maxsize=200_000)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of a text's sentences, white space around them left out."""
    spans, start = [], 0
    for found in _BREAK.finditer(text):
        if _SHORT.search(text, start, found.start() + 1) and "\n" not in found[0]:
            continue
        spans.append((start, found.end() - len(found[0]) + len(found[0].rstrip())))
        start = found.end()
    spans.append((start, len(text.rstrip())))
    return tuple((a, b) for a, b in spans if b > a)


@functools.lru_cache(maxsize=200_000)
def content_words(text: str) -> frozenset[str]:
    """Return the words of a text that carry meaning, in lower case, without a plural's s."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(word.rstrip("s") or word for word in words if word not in _STOP)


@functools.lru_cache(maxsize=200_000)
def names_in(text: str) -> tuple[str, ...]:
    """Return the names of a text: capitalised words in a row, in order, each once."""
    found = (match[0] for match in _NAME.finditer(text))
    return tuple(dict.fromkeys(name for name in found if name not in _NO_NAMES and len(name) > 2))


def readable(text: str) -> str:
    """Mend the spaces that a tokenizer left around punctuation, as in Natural Questions: ``( song 's )``."""
    text = re.sub(r"([(\[“]) ", r"\1", text)
    text = re.sub(r" ([)\]”.,;:!?%])", r"\1", text)
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m)\b", r"\1", text)
    text = re.sub(r"(\w) '(?= |$)", r"\1'", text)
    text = re.sub(r"(\w) - (\w)", r"\1-\2", text)
    return text.replace(" -- ", "–").replace("''", '"').replace("``", '"')


def other_number(number: str, chance: random.Random, others: Sequence[str] = ()) -> str:
    """Return another number of the same form: a year near a year, a price near a price.

    Args:
        number: As it is written.
        chance: Where the randomness comes from.
        others: Numbers of the text around it, taken half of the time where one has the same form.
    """
    alike = [other for other in others if other != number and re.sub(r"\d", "0", other) == re.sub(r"\d", "0", number)]
    if alike and chance.random() < 0.5:
        return chance.choice(alike)
    for _ in range(8):
        digits = number.replace(",", "")
        if number.isdecimal() and len(number) == 4 and 1000 <= int(number) <= 2100:
            changed = str(int(number) + chance.choice((-1, 1)) * chance.choice((1, 1, 2, 3, 5, 8, 10, 20, 40, 100)))
        elif digits.isdecimal() and len(digits) <= 15:
            value = int(digits)
            step = max(1, round(value * chance.choice((0.1, 0.2, 0.5, 1.0, 2.0))))
            moved = value + step if chance.random() < 0.6 or value <= step else value - step
            changed = f"{moved:,}" if "," in number else str(moved).zfill(len(number) if number[0] == "0" else 0)
        else:
            at = chance.choice([i for i, sign in enumerate(number) if sign.isdecimal()])
            changed = number[:at] + chance.choice("123456789") + number[at + 1 :]
        if changed != number and changed not in others:
            return changed
    return str(number) + "0"


def changed(text: str, chance: random.Random, *, names: Sequence[str] = (), negate: float = 0.3) -> str | None:
    """Change one thing in a text so that it says something else: a number, date, name, opposite, or a negation.

    Args:
        text: A sentence or a question.
        chance: Where the randomness comes from.
        names: Names to put in the place of one of the text's own; also those to look for in lower case.
        negate: How readily a negation is put in or taken out, from 0 to 1.

    Returns:
        The changed text, or None where nothing in it can be changed.
    """
    ways: list[_Way] = [_number_changed, _number_changed, _list_changed, _opposite_changed]
    ways += [lambda t, c: _name_changed(t, c, names)] * 2
    if chance.random() < negate:
        ways.append(_negated)
    chance.shuffle(ways)
    for way in ways:
        result = way(text, chance)
        if result and result.lower() != text.lower():
            return result
    return None


def _number_changed(text: str, chance: random.Random) -> str | None:
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    one = chance.choice(found)
    return text[: one.start()] + other_number(one[0], chance, [each[0] for each in found]) + text[one.end() :]


def _name_changed(text: str, chance: random.Random, names: Sequence[str]) -> str | None:
    own = [name for name in names_in(text) if name not in MONTHS and name not in DAYS and text.find(name) >= 0]
    lowered = text.lower()
    if not own:
        own = [name.lower() for name in names if f" {name.lower()} " in f" {lowered.rstrip('?')} " and len(name) > 3]
    if not own:
        return None
    old = chance.choice(own)
    fits = [name for name in names if name.lower() not in lowered and old.lower() not in name.lower()]
    alike = [name for name in fits if abs(name.count(" ") - old.count(" ")) <= 1]
    if not (alike or fits):
        return None
    new = chance.choice(alike or fits)
    return text.replace(old, new.lower() if old.islower() else new, 1)


def _list_changed(text: str, chance: random.Random) -> str | None:
    """Swap a month, weekday, counting word, colour, ordinal or unit for another of its kind."""
    for kind in chance.sample((MONTHS, DAYS, _COUNTS, _COLOURS, _ORDINALS, *_UNITS), 9):
        words = [word for word in kind if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
        if kind is MONTHS:
            words = [word for word in words if re.search(rf"\b{word}\b", text)]
        if words:
            old = chance.choice(words)
            new = chance.choice([word for word in kind if word not in words] or [word for word in kind if word != old])
            found = re.search(rf"\b{old}\b", text, re.IGNORECASE)
            assert found
            return text[: found.start()] + _cased_as(new, found[0]) + text[found.end() :]
    return None


def _opposite_changed(text: str, chance: random.Random) -> str | None:
    # Not where the word goes on: "won't" is no winning.
    words = [match for match in _WORD.finditer(text) if not text.startswith(("'t", "’t", "-"), match.end())]
    found = [match for match in words if match[0].lower() in _OPPOSITE]
    if not found:
        return None
    one = chance.choice(found)
    return text[: one.start()] + _cased_as(_OPPOSITE[one[0].lower()], one[0]) + text[one.end() :]


def _negated(text: str, chance: random.Random) -> str | None:
    """Take a negation out, or put one in."""
    if _NOT.search(text):
        whole = re.sub(r"\bwon't\b", "will not", re.sub(r"\bcan(?:'t|not)\b", "can not", text))
        return _NOT.sub("", whole, count=1)
    found = list(_VERB.finditer(text))
    if not found:
        return None
    one = found[0]
    short = one[0].lower() not in ("may", "can", "will") and chance.random() < 0.5
    return text[: one.end()] + ("n't" if short else " not") + text[one.end() :]


def _cased_as(word: str, model: str) -> str:
    return word[0].upper() + word[1:] if model[0].isupper() else word
