"""What kind of answer a question wants, and whether a sentence holds one. English only; other questions want any."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekday|weekend|noon|midnight|morning|evening"
_SPANS = r"(?:second|minute|hour|day|night|week|month|year)s?"
_SIZES = (
    r"(?:(?:centi|milli|kilo)?met(?:re|er)s?|[ckm]m|m|(?:kilo)?grams?|kg|(?:milli)?lit(?:re|er)s?|ml|watts?|volts?|"
    r"degrees?|percent|inch(?:es)?|feet|foot|pounds?|ounces?|miles?)"
)
_MONEY = r"(?:[€$£¥]|euros?|cents?|dollars?|pounds?|francs?|crowns?|percent|%)"
_SMALL = r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|half|an?|every)"


@dataclass(frozen=True)
class AnswerKind:
    """A kind of answer: how it is asked for and what it looks like."""

    name: str
    asked: re.Pattern[str]
    given: re.Pattern[str]


KINDS = (
    AnswerKind(
        "money",
        re.compile(r"\b(?:costs?|price|prices|fees?|pay|how much is|expensive|fine|deposit|discount|margin)\b", re.I),
        re.compile(rf"\d[\d.,]*\s*{_MONEY}|{_MONEY}\s*\d|\bfree\b|\bno charge\b", re.I),
    ),
    AnswerKind(
        "duration",
        re.compile(r"\b(?:how (?:long|soon|quickly|often|fast)|duration|until when|expires?)\b", re.I),
        re.compile(
            rf"\b{_SMALL}\b[^.]{{0,14}}\b{_SPANS}\b|\b(?:daily|weekly|monthly|yearly)\b|\d[\d.,]*\s*{_SIZES}", re.I
        ),
    ),
    AnswerKind(
        "time",
        re.compile(r"\b(?:when|(?:what|which) (?:time|day|date|month|year)|opening hours)\b", re.I),
        re.compile(
            rf"\b(?:{_MONTHS}|{_DAYS})s?\b|\b\d{{1,2}}[:.]\d\d\b|\b(?:1[89]|20)\d\d\b|\b{_SMALL} {_SPANS}\b", re.I
        ),
    ),
    AnswerKind(
        "person",
        re.compile(r"\b(?:who|whom|whose|which person)\b", re.I),
        re.compile(r"\b[A-Z][a-z]+ (?:[A-Z][a-z]*\.? )?[A-Z][a-z]+\b"),
    ),
    AnswerKind(
        "place",
        re.compile(r"\b(?:where|which (?:street|room|town|city|building))\b", re.I),
        re.compile(r"\b(?:in|on|at|under|behind|above|below|inside|beside|next to|near|from|to the)\b", re.I),
    ),
    AnswerKind(
        "number",
        re.compile(r"\bhow (?:many|big|large|tall|wide|heavy|far|deep|high|old|thick|hot|cold|close|full)\b", re.I),
        re.compile(
            r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|half)\b", re.I
        ),
    ),
)


def kinds_asked(question: str) -> list[AnswerKind]:
    """Return the kinds of answer that a question wants; none where its wording does not say."""
    return [kind for kind in KINDS if kind.asked.search(question)]


def kinds_missing(kinds: list[AnswerKind], text: str) -> int:
    """Return how many of the kinds a text does not hold."""
    return sum(not kind.given.search(text) for kind in kinds)
