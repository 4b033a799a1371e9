"""What a grounded base is measured on: SQuAD's F1 with and without refusals, and rewritten follow-ups."""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.grounding.data import Pair
from pipelines.grounding.reader_figures import auc as area
from pipelines.grounding.rows import GroundingRow, shared_words
from toolkit.prompts import Message, short_messages

# Writes a reply to each conversation, a refusal forbidden; and the score of a refusal for each.
Write = Callable[[Sequence[Sequence[Message]], int], list[str]]
Refusal = Callable[[Sequence[Sequence[Message]]], list[float]]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_STOP = frozenset(
    "a an the of to in on at by for with from is are was were be been do does did has have had can could will would "
    "should may might it its this that these those there and or i you we they he she my your our their what which who "
    "whom when where why how not".split()
)


@dataclass(frozen=True)
class Asked:
    """A question of the test with its notes and what people answered.

    Attributes:
        question: What is asked.
        notes: What it is to be answered from.
        answer: What most people answered; None where there is no answer.
        answers: All that people answered, where several were asked.
    """

    question: str
    notes: list[str]
    answer: str | None
    answers: tuple[str, ...] = ()

    def best(self, measure: Callable[[str, str], float], reply: str) -> float:
        """Return a measure of a reply against the answer that it is nearest to, as SQuAD does it."""
        return max(measure(reply, answer) for answer in self.answers or (self.answer or "",))


def squad_questions(pairs: Sequence[Pair], part: str, seed: int = 0, limit: int | None = None) -> list[Asked]:
    """Put every question beside its passage and two others of its article, the nearest by words, in a drawn order."""
    chance = random.Random(seed)
    chosen = [pair for pair in pairs if pair.set == "squad2_dev" and pair.part == part]
    passages: dict[str, list[str]] = {}
    for pair in chosen:
        of_doc = passages.setdefault(pair.doc, [])
        if pair.passage not in of_doc:
            of_doc.append(pair.passage)
    if limit:
        chosen = chance.sample(chosen, min(limit, len(chosen)))
    asked = []
    for pair in chosen:
        others = [text for text in passages[pair.doc] if text != pair.passage]
        others.sort(key=lambda text: -shared_words(pair.question, text))
        notes = [f"{pair.title}: {text}" for text in (pair.passage, *others[:2])]
        chance.shuffle(notes)
        asked.append(Asked(pair.question, notes, pair.answer, pair.answers))
    return asked


def score_squad(
    asked: Sequence[Asked], write: Write, refusal: Refusal, false_refusals: float = 0.15
) -> dict[str, float]:
    """Measure short answers: forced, and with the threshold that declines ``false_refusals`` of the answerable."""
    messages = [short_messages(item.question, item.notes) for item in asked]
    scores, replies = refusal(messages), write(messages, 24)
    yes = [(item.best(f1, reply), item.best(contains, reply), score)
           for item, reply, score in zip(asked, replies, scores, strict=True) if item.answer]  # fmt: skip
    no = [score for item, score in zip(asked, scores, strict=True) if not item.answer]
    threshold = sorted((score for *_, score in yes), reverse=True)[int(false_refusals * len(yes))]
    return {
        "answerable": len(yes),
        "unanswerable": len(no),
        "forced_f1": sum(item[0] for item in yes) / len(yes),
        "forced_contains": sum(item[1] for item in yes) / len(yes),
        "f1_at_15": sum(item[0] for item in yes if item[2] <= threshold) / len(yes),
        "declined_at_15": sum(score > threshold for score in no) / max(1, len(no)),
        "auc": auc([-score for *_, score in yes], [-score for score in no]),
    }


def score_rewrites(rows: Sequence[GroundingRow], write: Write) -> dict[str, float]:
    """Measure rewritten follow-ups: how many of the reference's content words they hold."""
    written = write([row.messages for row in rows], 48)
    shares = []
    for row, text in zip(rows, written, strict=True):
        wanted = content_words(row.reply)
        shares.append(len(wanted & content_words(text)) / (len(wanted) or 1))
    return {"rewrites": len(rows), "content_words": sum(shares) / len(shares),
            "with_all_or_70": sum(share >= 0.7 for share in shares) / len(shares)}  # fmt: skip


def content_words(text: str) -> set[str]:
    """Return the words of a text that are not grammar's, without a plural's s."""
    return {word.rstrip("s") for word in re.findall(r"\w+", text.lower()) if word not in _STOP}


def normalise(text: str) -> list[str]:
    """Return the words of an answer as SQuAD's own evaluation compares them."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return _ARTICLES.sub(" ", plain).split()


def f1(reply: str, answer: str | None) -> float:
    """Return SQuAD's token F1 of a reply."""
    said, wanted = normalise(reply), normalise(answer or "")
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def contains(reply: str, answer: str | None) -> bool:
    """Tell whether a reply holds the answer's words in a row."""
    return f" {' '.join(normalise(answer or ''))} " in f" {' '.join(normalise(reply))} "


def auc(yes: Sequence[float], no: Sequence[float]) -> float:
    """Return the area under the ROC curve: how often a ``yes`` scores above a ``no`` (Mann and Whitney 1947).

    Equal scores count half; nan where there is nothing to compare.
    """
    return area([*yes, *no], [True] * len(yes) + [False] * len(no))
