"""Training rows of the bundled base: answers from notes, in a few words and in a sentence, and replies over a fact."""

from __future__ import annotations

import functools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.grounding.asking import as_asked
from pipelines.grounding.data import Pair, part_of, read_rows
from pipelines.grounding.handbook import handbook_row
from pipelines.grounding.tables import table_row
from toolkit.language.sentences import split_sentences
from toolkit.prompts import DEFAULT_SYSTEM, UNTOLD, Message, answer_messages, short_messages

# The system message is a setting: most rows have the default, the rest others, so that none is learnt by heart.
SYSTEMS = (
    DEFAULT_SYSTEM,
    "You are a helpful assistant. Answer from the notes.",
    "Answer the question in one or two friendly sentences. Use only the notes.",
    "You work at the service desk. Say what the notes say and nothing else.",
    "Reply briefly and correctly, from the notes alone.",
)
_DEFAULT_SYSTEM_SHARE = 0.6
# A sentence with more words than this is no answer to show a small model: it would learn to ramble.
_LONGEST_SENTENCE = 32
_LONGEST_REPLY = 60
_LONGEST_SHORT = 12
# A passage is cut to about what the bundled embedder's window holds.
_LONGEST_NOTE_LETTERS = 900
_AS_ASKED_SHARE = 0.35
# How often a pair of a set is shown in a pass. Where people asked for what one stretch of the passage tells, reading is
# learnt, and there are few; the first sentence answers most of medquad, and a note repeated answers dstc9.
_TIMES = {"squad2_dev": 2.0, "squad2_train10": 2.0, "qed_nq_train": 2.0, "qed_nq_dev": 2.0, "medquad": 0.3,
          "dstc9_faq": 0.5}  # fmt: skip
# What does not tell is in plenty: the far negatives, and the answers taken out, are thinned.
_UNTOLD_SHARE = {"cross_doc": 0.2, "same_doc": 0.5}
_TAKEN_OUT_SHARE = 0.35
# Retrieval puts what tells first more often than not; shown so too often, a small model copies the first note unread.
_FIRST_SHARE = 0.25
# Of two things that a question could be about, the one that it names is meant: to be learnt from rows that show both.
_RIVAL_SHARE = 0.5
_PRONOUN = re.compile(r"(?:It|He|She|They)\b(?!')")
_WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True)
class GroundingRow:
    """A training row: what the model is shown and what it is to write.

    Attributes:
        task: ``short``, ``untold``, ``answer``, ``reply``, ``rewrite`` or ``talk``.
        messages: The very messages that serving renders.
        reply: What is to be written.
    """

    task: str
    messages: list[Message]
    reply: str


class Notes:
    """Lays out notes for questions: the passage that tells among others of its document, as sentences or whole.

    Args:
        pairs: All pairs of a part; distractors are taken from them.
        chance: Draws everything.
    """

    def __init__(self, pairs: Sequence[Pair], chance: random.Random) -> None:
        self._chance = chance
        self._of_doc: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._of_set: dict[str, list[str]] = defaultdict(list)
        seen = set()
        for pair in pairs:
            if pair.passage not in seen:
                seen.add(pair.passage)
                self._of_doc[pair.set, pair.doc].append(pair.passage)
                self._of_set[pair.set].append(pair.passage)

    def others(self, pair: Pair, count: int) -> list[str]:
        """Return other passages, of the same document where it has some, those that share words with the question.

        A passage that holds the answer as well is left out.
        """
        pool = [text for text in self._of_doc[pair.set, pair.doc] if text != pair.passage]
        if len(pool) < count:
            pool += self._chance.sample(self._of_set[pair.set], min(20, len(self._of_set[pair.set])))
        pool = [text for text in pool if text != pair.passage and not _holds(text, pair.answer)]
        # The order is stirred, so that not always the very nearest are taken.
        pool.sort(key=lambda text: -shared_words(pair.question, text) * self._chance.uniform(0.4, 1.0))
        return pool[:count]

    def whole(self, pair: Pair, *, telling: bool) -> list[str]:
        """Return whole passages as notes, the one of the pair among them unless ``telling`` is False."""
        others = self.others(
            pair, self._chance.choice((0, 1, 1, 2, 2, 3)) if telling else self._chance.choice((1, 2, 3))
        )
        return self._titled(pair, self._placed(pair.passage if telling else None, others))

    def sentences(self, pair: Pair, told: str | None) -> list[str]:
        """Return sentences as notes, ``told`` among them unless it is None; ``pair.answer`` stands in no other."""
        texts = [pair.passage, *self.others(pair, 2)]
        pool = [sentence for text in texts for sentence in sentences_of(text) if len(sentence.split()) >= 4]
        pool = [s for s in pool if s != told and not _holds(s, pair.answer)]
        pool.sort(key=lambda text: -shared_words(pair.question, text) * self._chance.uniform(0.4, 1.0))
        count = self._chance.choice((1, 2, 3, 4, 5, 6, 6)) - (told is not None)
        return self._titled(pair, self._placed(told, pool[: max(count, 0 if told else 1)]))

    def _placed(self, told: str | None, others: list[str]) -> list[str]:
        """Put what tells where retrieval puts it: first in most cases."""
        if told is None:
            return self._chance.sample(others, len(others))
        at = 0 if self._chance.random() < _FIRST_SHARE else self._chance.randint(0, len(others))
        return [*others[:at], told, *others[at:]]

    def _titled(self, pair: Pair, texts: Sequence[str]) -> list[str]:
        """Put the document's name before each note, as headings stand there when serving."""
        shown = [cut(text) for text in texts]
        if not pair.title or self._chance.random() < 0.25:
            return shown
        return [text if text.startswith(pair.title) else f"{pair.title}: {text}" for text in shown]


def note_rows(pairs: Sequence[Pair], notes: Notes, chance: random.Random) -> list[GroundingRow]:
    """Make rows that answer from notes, and rows whose notes do not tell."""
    rows: list[GroundingRow] = []
    for pair in (drawn for drawn in pairs for _ in range(_times(drawn, chance))):
        question = as_asked(pair.question, chance) if chance.random() < _AS_ASKED_SHARE else pair.question
        if pair.set.startswith("dstc") and chance.random() < 0.5:
            question = question.partition(": ")[2] or question
        if pair.answerable:
            rows += _told(pair, question, notes, chance)
        elif chance.random() < _UNTOLD_SHARE.get(pair.how, 1.0):
            whole = chance.random() < 0.5
            rows.append(_untold(question, notes.whole(pair, telling=True) if whole else notes.sentences(pair, None)))
    return rows


def _times(pair: Pair, chance: random.Random) -> int:
    times = _TIMES.get(pair.set, 1.0) if pair.answerable else 1.0
    return int(times) + (chance.random() < times % 1)


def _told(pair: Pair, question: str, notes: Notes, chance: random.Random) -> list[GroundingRow]:
    """Make the rows of an answerable pair."""
    rows = []
    sentence = sentence_with(pair.passage, pair.answer, pair.question) if pair.answer else None
    short = short_form(pair)
    if short:
        shown = (
            notes.sentences(pair, sentence) if sentence and chance.random() < 0.5 else notes.whole(pair, telling=True)
        )
        rows.append(GroundingRow("short", short_messages(question, shown), short))
    if sentence and chance.random() < _TAKEN_OUT_SHARE:
        left = pair.passage.replace(sentence, " ").strip()
        near = Pair(pair.set, pair.question, left, pair.answer, False, pair.doc, "taken_out")
        taken = notes.sentences(near, None) if chance.random() < 0.5 else notes.whole(near, telling=True)
        if taken and not any(_holds(text, pair.answer) for text in taken):
            rows.append(_untold(question, taken))
    reply = sentence_reply(pair, sentence)
    if reply:
        told = sentence if sentence and chance.random() < 0.6 else None
        shown = notes.sentences(pair, told) if told else notes.whole(pair, telling=True)
        rows.append(GroundingRow("answer", answer_messages(_system(chance), question, shown), reply))
    return rows


def _untold(question: str, notes: Sequence[str]) -> GroundingRow:
    return GroundingRow("untold", short_messages(question, notes), UNTOLD)


def short_form(pair: Pair) -> str | None:
    """Return the answer in a few words, or None where the pair has none."""
    if not pair.answer:
        return None
    if pair.set.startswith("dstc"):
        plain = re.match(r"(Yes|No)\b", pair.answer)
        return plain.group() if plain else pair.answer if len(pair.answer.split()) <= _LONGEST_SHORT else None
    return pair.answer.strip() if len(pair.answer.split()) <= _LONGEST_SHORT else None


def sentence_reply(pair: Pair, sentence: str | None) -> str | None:
    """Return the answer as a whole sentence that states what was asked, or None.

    It is the document's own sentence, with the document's name in place of a pronoun that begins it; for questions
    that ask for a subject, the question itself with the answer in its place.
    """
    if pair.set.startswith("dstc") and pair.answer:
        return pair.answer.strip()
    if pair.set == "medquad":
        sentences = [text for text in sentences_of(pair.passage) if not text.endswith("?")]
        whole = " ".join(sentences)
        whole = whole if len(whole.split()) <= _LONGEST_REPLY else next(iter(sentences), "")
        return whole if 5 <= len(whole.split()) <= _LONGEST_REPLY else None
    if not pair.answer or not sentence:
        return None
    if (stated := _stated(pair)) and len(sentence.split()) > 18:
        return stated
    if _PRONOUN.match(sentence):
        if not pair.title or len(pair.title.split()) > 5:
            return None
        sentence = _PRONOUN.sub(pair.title, sentence, count=1)
    sentence = " ".join(sentence.split())
    return sentence if len(sentence.split()) <= _LONGEST_SENTENCE and sentence[-1] in ".!" else stated


_SUBJECT = re.compile(
    r"(?:who|what|which [\w-]+)\s+((?!(?:do|does|did|is|are|was|were|has|have|had|can|could)\b)\w+.*)", re.I
)
_COPULA = re.compile(r"(?:who|what)\s+(is|are|was|were)\s+(the .+|[A-Z].+)", re.IGNORECASE)


def _stated(pair: Pair) -> str | None:
    """Return a question and its answer as one statement, for the two forms that need no grammar; else None."""
    asked = pair.question.strip().rstrip("?").strip()
    answer = (pair.answer or "").strip().rstrip(".")
    if not answer or len(answer.split()) > 8:
        return None
    if match := _COPULA.fullmatch(asked):
        subject = match.group(2)
        return f"{subject[0].upper()}{subject[1:]} {match.group(1).lower()} {answer}."
    if match := _SUBJECT.fullmatch(asked):
        return f"{answer[0].upper()}{answer[1:]} {match.group(1)}."
    return None


def made_note_rows(chance: random.Random, count: int) -> list[GroundingRow]:
    """Make rows about made-up manuals, handbooks and tables: answers in a few words, in a sentence, and none."""
    rows = []
    for _ in range(count):
        if chance.random() < 0.7:
            made = handbook_row(chance, answerable=0.7)
            question, units = made.question, [f"{made.heading}: {text}" for text in made.sentences]
            told = made.sentences[made.told] if made.told is not None else None
            answer = made.answer
            if chance.random() < 0.4:
                units = [f"{made.heading}: {' '.join(made.sentences)}"]
                more = [handbook_row(chance) for _ in range(chance.randint(0, 2))]
                units += [f"{row.heading}: {' '.join(row.sentences)}" for row in more]
            if made.rival and (made.answer is None or made.answer not in made.rival) and chance.random() < _RIVAL_SHARE:
                units.append(made.rival)
        else:
            table = table_row(chance)
            question, units = table.question, table.passage.split("\n")
            answer = table.passage[slice(*table.answer)] if table.answer else None
            told = table.claim if table.answer else None
        chance.shuffle(units)
        asked = as_asked(question, chance) if chance.random() < _AS_ASKED_SHARE else question
        if answer is None or told is None:
            rows.append(_untold(asked, units))
        elif chance.random() < 0.4:
            rows.append(GroundingRow("short", short_messages(asked, units), answer))
        else:
            rows.append(GroundingRow("answer", answer_messages(_system(chance), asked, units), told))
    return rows


def reply_rows(folder: Path, part: str, chance: random.Random) -> list[GroundingRow]:
    """Make rows with a friendly reply over one fact, which stands among others of the same place."""
    facts: dict[str, list[str]] = defaultdict(list)
    told = [row for row in read_rows(folder / "replies.jsonl.gz") if part_of(row["set"], row["doc"]) == part]
    for row in told:
        facts[row["doc"]].append(row["passage"])
    rows = []
    for row in told:
        # What asks back ("Shall I book it?") offers what a bot that answers cannot do.
        reply = " ".join(s for s in sentences_of(row["answer"]) if not s.endswith("?"))
        if not 3 <= len(reply.split()) <= _LONGEST_REPLY:
            continue
        pool = sorted({fact for fact in facts[row["doc"]] if fact != row["passage"]})
        others = chance.sample(pool, min(chance.randint(0, 4), len(pool)))
        at = 0 if chance.random() < 0.6 else chance.randint(0, len(others))
        question = as_asked(row["question"], chance) if chance.random() < _AS_ASKED_SHARE else row["question"]
        shown = [cut(text) for text in [*others[:at], row["passage"], *others[at:]]]
        rows.append(GroundingRow("reply", answer_messages(_system(chance), question, shown), reply))
    return rows


def _system(chance: random.Random) -> str:
    return DEFAULT_SYSTEM if chance.random() < _DEFAULT_SYSTEM_SHARE else chance.choice(SYSTEMS[1:])


@functools.lru_cache(maxsize=200_000)
def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [text[start:end].strip() for start, end in split_sentences(text)]


def sentence_with(passage: str, answer: str, question: str) -> str | None:
    """Return the sentence that holds the answer, the one nearest to the question where several do."""
    holding = [sentence for sentence in sentences_of(passage) if answer.strip().lower() in sentence.lower()]
    return max(holding, key=lambda sentence: shared_words(question, sentence), default=None)


def _holds(text: str, answer: str | None) -> bool:
    return bool(answer) and (answer or "").strip().lower() in text.lower()


def shared_words(question: str, text: str) -> float:
    """Return the share of the question's longer words that a text holds."""
    asked = _words(question)
    return len(asked & _words(text)) / (len(asked) or 1)


@functools.lru_cache(maxsize=200_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def cut(text: str) -> str:
    """Return a passage cut at a sentence to the length that retrieval hands over."""
    if len(text) <= _LONGEST_NOTE_LETTERS:
        return text
    kept = ""
    for sentence in sentences_of(text):
        if kept and len(kept) + len(sentence) > _LONGEST_NOTE_LETTERS:
            break
        kept = f"{kept} {sentence}".strip()
    return kept[: 2 * _LONGEST_NOTE_LETTERS]


def counts(rows: Iterable[GroundingRow]) -> dict[str, int]:
    """Return how many rows there are of each task."""
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        found[row.task] += 1
    return dict(found)
