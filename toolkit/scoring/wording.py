"""Measures of wording that share nothing with the chain's own checks but stems and sentences.

None of them asks a model, and each is a rule that can be read here: what a sentence states, and whether the evidence
holds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.language import ENGLISH, Language, stems
from toolkit.language.sentences import split_sentences

# A sentence that so many example replies hold is a formula of the voice: a greeting or a farewell.
_FORMULA_REPLIES = 3
# A sentence is held to be made up when more than this share of its content stems is found nowhere.
_UNKNOWN_SHARE = 0.5

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_CAPITAL = re.compile(r"[A-Z][^\W_]*(?:['’][^\W_]+)*")


def sentences(text: str) -> list[str]:
    """Return the sentences and list items of a text."""
    return [text[start:end] for start, end in split_sentences(text)]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without a possessive s."""
    return [match[0].lower().replace("’", "'").removesuffix("'s") for match in _WORD.finditer(text)]


def digits(text: str) -> set[str]:
    """Return the numbers that are written in digits, without thousands marks and leading zeros."""
    found = {re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", match[0]) for match in _DIGITS.finditer(text)}
    return {number.lstrip("0") or "0" for number in found}


def number_words(text: str, language: Language = ENGLISH) -> set[str]:
    """Return the numbers from two on that are written as words, in digits; one is an article as often."""
    found = {language.number_words.get(word) for word in words(text)}
    return {number for number in found if number and number not in ("0", "1")}


def names(sentence: str, language: Language = ENGLISH) -> list[str]:
    """Return the capitalised words of a sentence but for the first, and those after a colon or an opening quote.

    None in a language that writes its common nouns with a capital.
    """
    found: list[str] = []
    for match in _CAPITAL.finditer(sentence) if not language.nouns_in_capitals else ():
        before = sentence[: match.start()]
        starts = not _WORD.search(before) or bool(re.search(r"(?:[:.!?;]\s+|[\"“‘(])$", before))
        # A capital within a word, as in "iOS", begins no name here.
        inside = bool(re.search(r"[^\W_]$", before))
        if not starts and not inside and match[0].split("'")[0].split("’")[0] != "I":
            found.append(match[0])
    return found


@dataclass(frozen=True)
class Known:
    """What some texts hold.

    Attributes:
        words: Their words, in lower case.
        stems: The stems of their content words.
        numbers: Their numbers, in digits.
        language: The language that they are read in.
    """

    words: frozenset[str]
    stems: frozenset[str]
    numbers: frozenset[str]
    language: Language = ENGLISH

    @classmethod
    def of(cls, texts: Iterable[str], language: Language = ENGLISH) -> Known:
        """Collect from texts."""
        joined = "\n".join(texts)
        numbers = digits(joined) | number_words(joined, language)
        return cls(frozenset(words(joined)), frozenset(stems(joined, language)), frozenset(numbers), language)

    def holds_name(self, name: str) -> bool:
        """Tell whether a capitalised word stands here, in any case and any ending."""
        return all(word in self.words or set(stems(word, self.language)) & self.stems for word in words(name))


@dataclass(frozen=True)
class Voice:
    """What the voice says of its own accord, taken from the example replies.

    Attributes:
        formula: What the sentences hold that three replies or more have in common: greetings and farewells.
        own: Stems of those, and of every example sentence without digits and names: remarks, small talk, declines.
    """

    formula: Known
    own: frozenset[str]

    @classmethod
    def of(cls, replies: Iterable[str], language: Language = ENGLISH) -> Voice:
        """Learn it from example replies; without any it has nothing of its own."""
        said = [sentence for reply in replies for sentence in dict.fromkeys(sentences(reply))]
        counted = Counter(" ".join(words(sentence)) for sentence in said)
        formulas = [text for text in said if counted[" ".join(words(text))] >= _FORMULA_REPLIES]
        own = {
            stem
            for text in said
            if not digits(text) and not names(text, language)
            for stem in stems(text, language)
        }
        formula = Known.of(formulas, language)
        return cls(formula, frozenset(own) | formula.stems)

    @property
    def language(self) -> Language:
        """The language that it speaks."""
        return self.formula.language


def first_factual(reply: str, question: str, passages: Sequence[str], voice: Voice) -> str | None:
    """Return the first sentence of a reply that states something.

    It is the first that holds a number in digits, a name, or a number as a word that the passages hold, none of them
    in the question or the voice's formulas; or two content stems that the passages hold and the question and the
    formulas do not, unless all that it says is the voice's own ("sorry to see your sail go"). Where no sentence does,
    it is the first with any content stem beyond question and formulas.
    """
    language, formula = voice.language, voice.formula
    asked, shown = Known.of([question], language), Known.of(passages, language)
    spare = None
    for text in sentences(reply):
        told = (digits(text) | (number_words(text, language) & shown.numbers)) - asked.numbers - formula.numbers
        named = [name for name in names(text, language) if not asked.holds_name(name) and not formula.holds_name(name)]
        beyond = set(stems(text, language)) - asked.stems - formula.stems
        if told or named or (len(beyond & shown.stems) >= 2 and not beyond <= voice.own):
            return text
        if spare is None and beyond:
            spare = text
    return spare


def made_up(sentence: str, known: Known, voice: Voice) -> str | None:
    """Return what a sentence states that nobody told the bot, or None.

    A number or a capitalised name is made up when neither the question nor the passages nor the voice's formulas hold
    it. A number written as a word passes in a remark, whose other stems are all the voice's own ("two kettles and a
    story"). Other words are made up when more than half of the content stems, of two or more, are found neither there
    nor in what the voice says of its own.

    Args:
        sentence: A sentence of a reply.
        known: What the question and the passages hold.
        voice: The voice that it is said in.
    """
    language = voice.language
    content = {stem for stem in stems(sentence, language) if not stem.isdigit()}
    remark = content <= voice.own
    stated = digits(sentence) | (set() if remark else number_words(sentence, language))
    if odd := stated - known.numbers - voice.formula.numbers:
        return f"number {', '.join(sorted(odd))}"
    named = names(sentence, language)
    if unknown := [name for name in named if not known.holds_name(name) and not voice.formula.holds_name(name)]:
        return f"name {', '.join(unknown)}"
    strange = content - known.stems - voice.own
    if len(content) >= 2 and len(strange) > _UNKNOWN_SHARE * len(content):
        return f"words {', '.join(sorted(strange))}"
    return None
