"""Measures of answers that need no judge model, question by question: facts, citations, grounds, and declining."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.scoring.questions import Question
from toolkit.scoring.wording import Known, Voice, first_factual, made_up, sentences

if TYPE_CHECKING:
    from toolkit.answering import Answer
    from toolkit.store import Passage

# A right source counts as found among so many passages, as a person looks at so many.
FOUND_FIRST = 5


def normalise(text: str) -> str:
    """Return a text in lower case with its words and numbers only, so that wording can be compared."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)
    return " ".join(re.findall(r"\w+(?:[.:]\d+)*|[%°€$£]", plain))


def holds_facts(text: str, facts: Sequence[Sequence[str]]) -> bool:
    """Tell whether a text holds one alternative of every fact, whole words only.

    Example:
        >>> holds_facts("It costs 1,250 euros.", [["1250 euros", "EUR 1250"]])
        True
        >>> holds_facts("It burns for 138 hours.", [["38 hours"]])
        False
    """
    said = f" {normalise(text)} "
    return all(any(f" {normalise(fact)} " in said for fact in group) for group in facts)


@dataclass(frozen=True)
class Judged:
    """What the measures say of one answer; None where a measure does not apply.

    Attributes:
        unanswerable: Whether the documents do not tell.
        declined: Whether the bot declined.
        facts: Whether it holds every fact that was asked for; of answerable questions whose facts are known. An answer
            that declines holds none.
        first_fact: Whether its first factual sentence holds them; of the same questions.
        grounded: Share of its sentences that state nothing but what the evidence, the question and the voice hold; of
            answers that do not decline.
        cited_first: Whether a right source is the first that it cites; of answerable questions whose sources are known.
        cited: Whether it cites a right source at all; of the same questions.
        found: Whether a right source is among the first five passages; of the same questions, asked with documents.
        rank: 1 / rank of the first passage from a right source, 0 where there is none; of the same questions.
        declined_right: Whether it declined; of unanswerable questions.
        declined_wrong: Whether it declined; of answerable questions.
        voice: Whether it is recognised as the voice; of answers that do not decline, where there is a voice.
        first_token: Seconds until its first word, where it was timed.
        total: Seconds until its end, where it was timed.
        first_sentence: Its first factual sentence.
        sentences: Number of its sentences; 0 for an answer that declines.
        made_up: Its sentences that are not grounded, each with what nobody told.
    """

    unanswerable: bool
    declined: bool
    facts: bool | None = None
    first_fact: bool | None = None
    grounded: float | None = None
    cited_first: bool | None = None
    cited: bool | None = None
    found: bool | None = None
    rank: float | None = None
    declined_right: bool | None = None
    declined_wrong: bool | None = None
    voice: bool | None = None
    first_token: float | None = None
    total: float | None = None
    first_sentence: str | None = None
    sentences: int = 0
    made_up: dict[str, str] = field(default_factory=dict)


def judge(
    question: Question,
    answer: Answer,
    voice: Voice,
    *,
    evidence: Sequence[Passage] | None = None,
    documents: bool = True,
) -> Judged:
    """Measure one answer.

    Args:
        question: What was asked, with what a right answer holds.
        answer: What was answered.
        voice: What the voice says of its own accord.
        evidence: What its sentences are held against; default: the passages that were found for it.
        documents: Whether it was asked with documents: without any, nothing can be found.
    """
    quotes = [citation.quote for citation in answer.citations]  # a row may be cited of which no passage was found
    computed = [str(value) for value in answer.computed.values()]
    told = [*texts_of(answer.passages if evidence is None else evidence), *quotes, *computed]
    said = [] if answer.abstained else sentences(answer.text)
    first = first_factual(answer.text, question.question, told, voice) if said else None
    known = Known.of([question.question, *told], voice.language)
    invented = {text: why for text in said if (why := made_up(text, known, voice))}
    answerable, facts, sources = not question.unanswerable, question.facts, question.sources
    cited = [citation.source in sources for citation in answer.citations]
    ranks = [rank for rank, passage in enumerate(answer.passages, start=1) if passage.source in sources]
    asks_facts, asks_sources = answerable and bool(facts), answerable and bool(sources)
    searched = asks_sources and documents
    return Judged(
        unanswerable=question.unanswerable,
        declined=answer.abstained,
        facts=not answer.abstained and holds_facts(answer.text, facts) if asks_facts else None,
        first_fact=first is not None and holds_facts(first, facts) if asks_facts else None,
        grounded=sum(text not in invented for text in said) / len(said) if said else None,
        cited_first=cited[:1] == [True] if asks_sources else None,
        cited=any(cited) if asks_sources else None,
        found=bool(ranks) and ranks[0] <= FOUND_FIRST if searched else None,
        rank=1 / ranks[0] if searched and ranks else 0.0 if searched else None,
        declined_right=None if answerable else answer.abstained,
        declined_wrong=answer.abstained if answerable else None,
        first_sentence=first,
        sentences=len(said),
        made_up=invented,
    )


def texts_of(passages: Sequence[Passage]) -> list[str]:
    """Return the texts of passages, each with what names it: file and headings."""
    return [f"{passage.source} {passage.heading}\n{passage.text}" for passage in passages]


@dataclass(frozen=True)
class AnswerScores:
    """Shares over a set of questions, each between 0 and 1; None where there was nothing to measure on.

    Attributes:
        answerable: Number of answerable questions.
        unanswerable: Number of unanswerable questions.
        facts: Answerable questions whose answer holds every fact.
        cited: Answerable questions whose answer cites a source that holds the answer.
        retrieved: Answerable questions for which a right source is among the first five passages.
        declined_right: Unanswerable questions that were declined.
        declined_wrong: Answerable questions that were declined.
    """

    answerable: int
    unanswerable: int
    facts: float | None
    cited: float | None
    retrieved: float | None
    declined_right: float | None
    declined_wrong: float | None


def score_answers(judged: Sequence[Judged]) -> AnswerScores:
    """Put the judgements of many answers into shares."""
    return AnswerScores(
        answerable=sum(not one.unanswerable for one in judged),
        unanswerable=sum(one.unanswerable for one in judged),
        facts=share_of([one.facts for one in judged]),
        cited=share_of([one.cited for one in judged]),
        retrieved=share_of([one.found for one in judged]),
        declined_right=share_of([one.declined_right for one in judged]),
        declined_wrong=share_of([one.declined_wrong for one in judged]),
    )


def share_of(hits: Sequence[bool | None]) -> float | None:
    """Return the share of hits among those that are not None, or None where there was nothing to hit."""
    counted = [hit for hit in hits if hit is not None]
    return sum(counted) / len(counted) if counted else None
