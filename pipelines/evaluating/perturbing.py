"""The same questions otherwise: with typos, in other words, with an irrelevant passage on top; and what breaks."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from pipelines.report.evaluation import Broken, Perturbation
from toolkit.answering import Answer
from toolkit.scoring import MEASURES, Judged, Question, paired_difference
from toolkit.store import Passage

if TYPE_CHECKING:
    from toolkit.bot import Chatbot
    from toolkit.store import Knowledge

# Errors that people leave in what they type, a letter: Dhakal et al., Observations on Typing from 136 Million
# Keystrokes (CHI 2018). A question of less than 85 letters gets one all the same.
_ERRORS_A_LETTER = 0.0117
# A typo in a shorter word often makes another word of it.
_WORD = re.compile(r"[^\W\d_]{4,}")
TYPOS, OTHER_WORDS, IRRELEVANT = "typos", "other words", "irrelevant passage"


@dataclass(frozen=True)
class Variant:
    """Questions that were changed.

    Attributes:
        name: What was done to them.
        asked: The changed questions.
        of: For each the number of the question that it was made from.
    """

    name: str
    asked: list[Question]
    of: list[int]


def variants(asked: Sequence[Question], *, documents: bool, seed: int = 0) -> list[Variant]:
    """Return the variants that there are of questions.

    Args:
        asked: The questions.
        documents: Whether the bot has any: without, no passage can lie on top.
        seed: Of the typos.
    """
    numbers = list(range(len(asked)))
    typed = [replace(item, question=with_typos(item.question, seed)) for item in asked]
    reworded = [
        (number, replace(item, question=said)) for number, item in enumerate(asked) for said in item.paraphrases
    ]
    made = [
        Variant(TYPOS, typed, numbers),
        Variant(OTHER_WORDS, [item for _, item in reworded], [number for number, _ in reworded]),
        Variant(IRRELEVANT, list(asked) if documents else [], numbers if documents else []),
    ]
    return [variant for variant in made if variant.asked]


def with_typos(text: str, seed: int = 0) -> str:
    """Return a text with as many typos as people leave: letters swapped, left out or doubled, never a word's first.

    Args:
        text: What was typed.
        seed: The same seed makes the same typos of the same text.

    Example:
        >>> with_typos("How long does the Ember lamp burn?")
        'How lonng does the Ember lamp burn?'
    """
    draw = random.Random(f"{seed} {text}")
    places = [place for word in _WORD.finditer(text) for place in range(word.start() + 1, word.end() - 1)]
    wanted = max(1, round(_ERRORS_A_LETTER * len(text)))
    letters = list(text)
    for place in draw.sample(places, min(wanted, len(places))):
        here, after = letters[place], letters[place + 1]
        made = draw.choice(["double", "leave out", "swap"])
        if made == "swap" and here != after and here and len(after) == 1:
            letters[place], letters[place + 1] = after, here
        else:
            letters[place] = here * 2 if made == "double" else ""
    return "".join(letters)


class _Intruded:
    """A knowledge whose searches put a passage on top that does not belong there."""

    def __init__(self, knowledge: Knowledge, sources: Mapping[str, Sequence[str]]) -> None:
        self._knowledge = knowledge
        self._sources = sources
        self._texts = list(knowledge.texts())

    def search(self, query: str, k: int = 10, *arguments: Any, **options: Any) -> list[Passage]:
        """Return what is found, one passage less, under the one that does not belong there."""
        found = self._knowledge.search(query, k, *arguments, **options)
        near = {passage.source for passage in found} | set(self._sources.get(query, ()))
        strange = [item for item in self._texts if item[0] not in near]
        if not strange or not found:  # all documents are near: there is nothing to put on top
            return found
        source, heading, text = random.Random(query).choice(strange)
        top = Passage(f"{source}:irrelevant", source, text, found[0].score, None, heading, dict(found[0].metadata))
        return [top, *found[: k - 1]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._knowledge, name)


@contextmanager
def irrelevant_on_top(bot: Chatbot, asked: Sequence[Question]) -> Iterator[None]:
    """Let every search of a bot put a passage on top that is from another file than all that it found."""
    planner = bot.chain.planner
    knowledge = planner.knowledge
    assert knowledge is not None
    intruded = _Intruded(knowledge, {item.question: item.sources for item in asked})
    planner.knowledge = cast("Knowledge", intruded)
    try:
        yield
    finally:
        planner.knowledge = knowledge


def what_breaks(
    variant: Variant, before: Sequence[tuple[Judged, Answer]], after: Sequence[tuple[Judged, Answer]]
) -> Perturbation:
    """Lay the answers to changed questions beside those to the questions as they were.

    Args:
        variant: The changed questions.
        before: Judgement and answer of each question as it was.
        after: Judgement and answer of each changed question.
    """
    pairs = [(before[number], now) for number, now in zip(variant.of, after, strict=True)]
    differences = {}
    for measure in MEASURES:
        was = measure.of([one for (one, _), _ in pairs])
        found = paired_difference(measure.of([one for _, (one, _) in pairs]), was)
        if found:
            differences[measure.name] = found
    broken = [
        Broken(question=was[1].question, asked=now[1].question, before=was[1].text, after=now[1].text,
               why=_why(was[0], now[0]))
        for was, now in pairs if _is_right(was[0]) and not _is_right(now[0])
    ]  # fmt: skip
    mended = sum(not _is_right(was[0]) and _is_right(now[0]) for was, now in pairs)
    right = sum(_is_right(was[0]) for was, _ in pairs)
    return Perturbation(
        name=variant.name, asked=len(pairs), right=right, mended=mended, differences=differences, broken=broken
    )


def _is_right(judged: Judged) -> bool:
    """Tell whether an answer is what it should be: a decline, or the facts, or an answer where none are known."""
    if judged.unanswerable:
        return judged.declined
    return not judged.declined if judged.facts is None else judged.facts


def _why(was: Judged, now: Judged) -> str:
    """Name the step at which an answer that was right broke."""
    if now.unanswerable:
        return "answered, and the documents do not tell"
    lost = "the right source is no longer found" if was.found and now.found is False else ""
    if now.declined:
        return f"declined: {lost}" if lost else "declined"
    return lost or "the answer no longer holds the fact"
