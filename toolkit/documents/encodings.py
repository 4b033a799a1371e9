"""Which single-byte encoding a text of Latin letters is in, told by the letters that its language has.

Statistics of letters, as charset-normalizer takes them, go astray in a price list of twenty words, and between
encodings that differ in a few places. A language is closer: no Polish word holds a Baltic letter, and no word of any
holds a sign for a fraction.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice

# The letters that a language has besides a to z, small ones; those more often met come first, and win a tie.
_WESTERN = (
    "äöüß",  # German
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíñóúü",  # Spanish
    "àáâãçéêíóôõú",  # Portuguese
    "àèéìíîòóùú",  # Italian
    "éèëïóöü",  # Dutch
    "åäöé",  # Swedish, Finnish
    "æøåéòô",  # Danish, Norwegian
    "àçèéíïòóúü",  # Catalan
    "äöüõšž",  # Estonian
)
_CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áéíóöőúüű",  # Hungarian
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "ăâîşţ",  # Romanian
    "čćđšž",  # Croatian, Slovenian
)
_TURKISH = ("çğıöşüâîû",)
_BALTIC = ("ąčęėįšųūž", "āčēģīķļņōŗšūž", "äöüõšž")  # Lithuanian, Latvian, Estonian
_ICELANDIC = ("áéíóúýðþæö",)
_ALPHABETS = (
    ("cp1252", _WESTERN),
    ("iso8859_2", _CENTRAL),  # before cp1250: where both fit, they differ in ž and ľ, of which ž is met more often
    ("cp1250", _CENTRAL),
    ("cp1254", _TURKISH),
    ("cp1257", _BALTIC),
    ("cp1252", _ICELANDIC),
    ("iso8859_15", _WESTERN),
    ("mac_roman", _WESTERN),
    ("cp850", _WESTERN),
    ("cp852", _CENTRAL),
)
_ANY_WESTERN = frozenset("".join(_WESTERN))
# Signs that stand in running text, whatever its language; those of them that have no letter right after them, or
# right before; and those that may stand between two.
_SIGNS = frozenset("¡¿«»‹›„“”‘’‚–—…•·°§£€©®™²³½×±ªº\u00a0\u00ad")
_NO_LETTER_AFTER = frozenset("©®™²³½×±£€")
_NO_LETTER_BEFORE = frozenset("¡¿©½×±")
_WITHIN_WORDS = frozenset("’‘·–…\u00a0\u00ad")
_MOST_SEEN = 5000  # letters and signs beyond ASCII that are looked at
_CONTROLS = re.compile("[\x80-\x9f]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_SIGN_RUN = re.compile(r"(?:[^\w\x00-\x7f]|[²³½ªº]){3,}")
_ALL_FOREIGN = re.compile(r"(?<!\w)[^\W\x00-\x7f]{2,}(?!\w)")  # a word as those of other scripts are
_MOST_WRONG = 0.1  # of the letters and signs beyond ASCII
_MOST_FOREIGN = 0.75  # of all letters: more, and the script is another one
_MIXED_FOREIGN = 0.25  # the same, where letters of several languages are met
_MIXED_COST = 0.05  # a letter, so that one language that has them all is preferred
_DOUBT = 0.05  # a letter that stands alone, as a misread sign does


@dataclass(frozen=True)
class _Seen:
    """What a decoded text holds beyond ASCII.

    Attributes:
        letters: Its letters, as small ones, with their number.
        wrong: How many letters and signs stand where none of theirs does.
        total: How many there are.
        share: Of all letters, those beyond ASCII; 0 for a single one, which no other script writes.
    """

    letters: Counter[str]
    wrong: float
    total: int
    share: float


def latin_encoding(data: bytes) -> str:
    """Name the encoding in which bytes are a text in a language of Latin letters; empty where they are in none.

    Args:
        data: The text, or enough of its begin; not UTF-8.
    """
    many = next(islice(re.finditer(rb"[\x80-\xff]", data), _MOST_SEEN, None), None)
    data = data[: many.start()] if many else data
    best: tuple[float, str] | None = None
    for encoding, alphabets in _ALPHABETS:
        seen = _look(data, encoding)
        if seen is None or seen.share > _MOST_FOREIGN:
            continue
        for cost in (_cost(seen, frozenset(alphabet)) for alphabet in alphabets):
            if cost <= _MOST_WRONG * seen.total and (best is None or cost < best[0]):
                best = cost, encoding
        if alphabets is _WESTERN and seen.share < _MIXED_FOREIGN:
            cost = _cost(seen, _ANY_WESTERN) + _MIXED_COST * seen.letters.total()
            if cost <= _MOST_WRONG * seen.total and (best is None or cost < best[0]):
                best = cost, encoding
    return best[1] if best else ""


def _cost(seen: _Seen, alphabet: frozenset[str]) -> float:
    """Return how many letters and signs do not fit a language."""
    return seen.wrong + sum(
        count for letter, count in seen.letters.items() if letter not in alphabet and not letter.isascii()
    )


def _look(data: bytes, encoding: str) -> _Seen | None:
    """Look at a text in an encoding; None where it holds bytes that stand for nothing there."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if _CONTROLS.search(text):
        return None
    letters: Counter[str] = Counter()
    total = doubtful = 0
    wrong = sum(len(match[0]) for pattern in (_ALL_FOREIGN, _SIGN_RUN) for match in pattern.finditer(text))
    for match in _FOREIGN.finditer(text):
        sign, at = match[0], match.start()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        total += 1
        if sign.isalpha() and sign not in "ªº":
            letters[sign.lower()[0]] += 1  # the small form of İ has two
            wrong += _is_odd_letter(before, sign, after)
            doubtful += not (before.isalpha() or after.isalpha())
        else:
            wrong += sign not in _SIGNS or _is_odd_sign(text[max(at - 3, 0) : at], sign, after)
    every = sum(map(str.isalpha, text))
    share = letters.total() / max(every, 1) if total > 1 else 0.0
    return _Seen(letters, wrong + _DOUBT * doubtful, total, share)


def _is_odd_letter(before: str, letter: str, after: str) -> bool:
    """Tell whether a letter is a capital within a word of small ones, or a small one before a capital."""
    if letter.islower():
        return after.isupper()
    return before.islower() or (before.isalpha() and after.islower())


def _is_odd_sign(before: str, sign: str, after: str) -> bool:
    """Tell whether a sign stands against a letter that it does not stand against."""
    if before[-1:].isalpha() and after.isalpha():
        return sign not in _WITHIN_WORDS
    if sign in "²³" and len(before) == 3 and before.isalpha():  # of a word; m², km³ and x² are short
        return True
    return (before[-1:].isalpha() and sign in _NO_LETTER_BEFORE) or (after.isalpha() and sign in _NO_LETTER_AFTER)
