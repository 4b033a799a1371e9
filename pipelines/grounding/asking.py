"""Questions as people type them: in a hurry, with slips, as keywords, or at the end of a story."""

from __future__ import annotations

import random
import re

# What people put before the question proper. None of it may answer or change the question.
_STORIES = (
    "I bought one last week and now I am not sure what to do.",
    "Sorry to bother you again, I could not find it myself.",
    "My sister told me to ask here.",
    "We are planning something for next month and I am putting a list together.",
    "I read through the page twice and got lost.",
    "A friend and I have been arguing about this since lunch.",
    "I'm new here, so please bear with me.",
    "I was on the phone for half an hour and nobody could tell me.",
    "I have to explain this to my father tonight.",
    "Long day, short question.",
    "I used to know this but it slipped my mind.",
    "I've got everything ready except for one thing.",
    "My colleague says one thing and my boss another.",
    "I am writing something up and would like to get it right.",
    "It arrived yesterday, the box looked fine, and I put it in the kitchen for now.",
    "I tried it this morning, then had to leave for work.",
)
_OPENERS = (
    "hi,", "hello,", "hey", "hi there,", "good morning,", "quick question:", "question:", "ok so", "so,", "and",
    "just wondering,", "one more thing:", "please,", "excuse me,", "hello again,",
)  # fmt: skip
_REQUESTS = (
    "can you tell me", "could you tell me", "do you know", "I would like to know", "I'd like to know",
    "any idea", "tell me", "I need to know", "please tell me", "I was wondering",
)  # fmt: skip
_CLOSERS = ("thanks", "thank you", "thx", "please", "thanks in advance", "cheers", "many thanks!")
_LEAD_INS = (
    "and now I wonder:", "so my question is:", "so", "what I want to know:", "now,", "anyway,", "", "", "",
)  # fmt: skip
# Words that a person who types keywords leaves out; "not", "without" and the like change the question and stay.
_SMALL_WORDS = frozenset(
    "a an the is are was were do does did be been being have has had of to in on at by for with from it its this that"
    " there their and or i you we they he she me my your our can could would will should may might shall please"
    " what which as".split()
)
_WH = re.compile(r"(?:what|which|who|whom|whose|when|where|why|how)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{4,}")


def as_asked(question: str, chance: random.Random) -> str:
    """Return a question the way somebody might type it; what it asks stays the same.

    About one in three comes back untouched. The others lose capitals or the question mark, get a slip of the
    finger, a greeting or a short story in front, or shrink to keywords; often several of these at once. Names and
    numbers keep their spelling except for case: a slip hits only words of four letters or more without digits.

    Args:
        question: A question in full.
        chance: Where the randomness comes from; the same state gives the same result.
    """
    asked = " ".join(question.split())
    if not asked or chance.random() < 0.33:
        return asked
    roll = chance.random()
    if roll < 0.18:
        asked = keywords(asked)
    elif roll < 0.30:
        asked = _requested(asked, chance)
    if chance.random() < 0.12:
        asked = slip(asked, chance)
    if chance.random() < 0.55:
        asked = asked.rstrip("?").rstrip()
    elif chance.random() < 0.06:
        asked = asked.rstrip("?").rstrip() + "??"
    if chance.random() < 0.60:
        asked = asked.lower()
    if chance.random() < 0.16:
        asked = _with_story(asked, chance)
    elif chance.random() < 0.14:
        opener = chance.choice(_OPENERS)
        asked = f"{opener if chance.random() < 0.5 else opener.capitalize()} {asked}"
    if chance.random() < 0.06:
        asked = f"{asked} {chance.choice(_CLOSERS)}" if asked.endswith("?") else f"{asked}, {chance.choice(_CLOSERS)}"
    return asked


def keywords(question: str) -> str:
    """Return the words of a question that carry its meaning, in their order; the question itself where few do.

    What asks for a time, a place, a person, a reason or an amount stays, since the question is another without it.
    """
    words = [word.strip(',;:()"“”') for word in question.rstrip("?!. ").split()]
    kept = [word for word in words if word and word.lower() not in _SMALL_WORDS]
    return " ".join(kept) if len(kept) >= 2 else question


def slip(question: str, chance: random.Random) -> str:
    """Return a question with one word mistyped: two letters swapped, one dropped, or one doubled.

    The first letter stays, as it does when people slip.
    """
    places = [match.span() for match in _WORD.finditer(question) if not match[0].isupper()]
    if not places:
        return question
    start, end = chance.choice(places)
    at = chance.randrange(start + 1, end - 1)
    how = chance.random()
    if how < 0.45:
        return question[:at] + question[at + 1] + question[at] + question[at + 2 :]
    if how < 0.85:
        return question[:at] + question[at + 1 :]
    return question[:at] + question[at] + question[at:]


def _requested(question: str, chance: random.Random) -> str:
    """Put a request before a question that begins with a question word; others come back as they are."""
    if not _WH.match(question):
        return question
    request = chance.choice(_REQUESTS)
    request = request if chance.random() < 0.5 else request[0].upper() + request[1:]
    return f"{request} {question[0].lower()}{question[1:]}"


def _with_story(question: str, chance: random.Random) -> str:
    """Put a sentence or two of story before a question."""
    story = " ".join(chance.sample(_STORIES, 1 if chance.random() < 0.7 else 2))
    story = story.lower() if question.islower() and chance.random() < 0.7 else story
    return " ".join(filter(None, (story, chance.choice(_LEAD_INS), question)))
