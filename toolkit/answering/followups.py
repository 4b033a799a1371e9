"""Follow-ups: whether a question leans on the one before, and how to make it stand alone without a model."""

from __future__ import annotations

import re

from toolkit.language import stems

_POINTS_BACK = re.compile(
    r"\b(?:it|its|it's|they|them|their|theirs|he|him|his|she|her|hers|that|this|those|these|there|one|ones|same|former|"
    r"latter)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"^\W*(?:and|but|or|so|then|also|what about|how about|why|why not|how so|else)\b", re.IGNORECASE)
_NAME = re.compile(r"(?<!^)\b(?!I\b)[A-Z][\w-]*(?:\s+[A-Z\d][\w-]*)*")
_FEWEST_WORDS_ALONE = 3
_LONGEST_SUBJECT_WORDS = 4


def leans_back(question: str) -> bool:
    """Tell whether a question points to something said before, goes on from it, or is too short to stand alone."""
    if _GOES_ON.match(question) or len(question.split()) <= _FEWEST_WORDS_ALONE:
        return True
    return bool(_POINTS_BACK.search(question)) and not _NAME.search(question)


def subject_of(question: str) -> str:
    """Return what a question is about: the names in it, or else its last content words."""
    names = [match.group() for match in _NAME.finditer(question)]
    if names:
        return " ".join(names)
    words = [word for word in re.findall(r"[\w'-]+", question) if stems(word)]
    return " ".join(words[-_LONGEST_SUBJECT_WORDS:])


def carry_subject(question: str, before: str) -> str:
    """Put the subject of the question before into a follow-up: in place of what points to it, or else at its end."""
    subject = subject_of(before)
    if not subject or set(stems(subject)) <= set(stems(question)):
        return question
    if _POINTS_BACK.search(question):
        return _POINTS_BACK.sub(lambda match: _in_place_of(match.group(), subject), question, count=1)
    return f"{question.rstrip('?!. ')} ({subject})?"


def _in_place_of(word: str, subject: str) -> str:
    """Return a subject in the form of the word that it takes the place of."""
    article = "the " if not subject.lower().startswith("the ") else ""
    owner = "'s" if word.lower() in {"its", "their", "his", "her"} else ""
    return f"{article}{subject}{owner}"
