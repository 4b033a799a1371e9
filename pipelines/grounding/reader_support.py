"""Training rows of the reader's support head: sentences, and evidence that holds them or does not."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.grounding.data import Pair, Part, part_of, read_rows
from pipelines.grounding.edits import changed, content_words, names_in, sentences
from pipelines.grounding.reader_rows import AnswerRows, ReaderRow, headed, place_of

_ASIDE = re.compile(r"\s*\([^()]*\)|, (?:which|who|where)\b[^,.]*,(?= )")
_SUBJECT_ASKED = re.compile(r"(?:who|which (?!is\b|are\b|was\b|were\b|of\b)\w+)\s+", re.I)
_AUXILIARY = re.compile(r"(?:did|do|does|was|were|is|are|can|has|have|had|will)\b", re.I)
_YES_LEADS = ("Yes, ", "Yes. ", "Sure, ", "Of course: ", "No problem. ", "Good news: ", "As far as I can see, ")
_LEADS = ("According to the text, ", "It says that ", "I found this: ", "In short, ", "Well, ", "Indeed, ")
# What replies are padded with; it says nothing that evidence could hold, so no row is made of it.
_TALK = re.compile(
    r"\b(?:anything else|something else|other questions?|any questions?|can i (?:help|assist|do|answer)|would you like|"
    r"should i|shall i|do you (?:want|need|have any)|let me know|help you|more information|book|reserv\w+ for you|"
    r"will that work|does that (?:work|sound)|sound good|you're welcome|have a)\b", re.I,
)  # fmt: skip


def human_rows(folder: Path, part: Part) -> list[ReaderRow]:
    """Return what people judged: replies and the sentence that they were meant to rest on (BEGIN).

    Args:
        folder: The folder with ``grounding.jsonl.gz``.
        part: The part to read.
    """
    return [
        ReaderRow("support", row["answer"], row["passage"], float(row["label"]), weight=1.5, kind="support human")
        for row in read_rows(folder / "grounding.jsonl.gz")
        if part_of("grounding", row["passage"]) == part
    ]


class ReplyRows:
    """Makes rows from friendly replies over a fact: their sentences as they are, changed, and with another fact.

    Args:
        folder: The folder with ``replies.jsonl.gz``.
        part: The part to read.
    """

    def __init__(self, folder: Path, part: Part) -> None:
        rows = read_rows(folder / "replies.jsonl.gz")
        self._rows = [row for row in rows if part_of("dstc9_faq", row["doc"]) == part]
        self._facts: dict[str, dict[str, None]] = defaultdict(dict)
        for row in self._rows:
            self._facts[row["doc"]].setdefault(row["passage"])

    def __len__(self) -> int:
        return len(self._rows)

    def make(self, index: int, chance: random.Random) -> Iterator[ReaderRow]:
        """Yield the rows of one reply; sentences that share nothing with the fact are talk and make none."""
        row = self._rows[index]
        text, fact = row["answer"], row["passage"]
        for a, b in sentences(text):
            sentence = text[a:b]
            words = content_words(sentence)
            if _TALK.search(sentence) or len(words & content_words(fact)) < 2:
                continue
            yield ReaderRow("support", sentence, _fact(fact, chance), 0.97, kind="support reply")
            false = changed(sentence, chance, negate=0.6) if chance.random() < 0.6 else None
            if false:
                yield ReaderRow("support", false, _fact(fact, chance), 0.05, kind="support reply changed")
            if chance.random() < 0.5:
                facts = self._facts[row["doc"]]
                others = [other for other in facts if len(words & content_words(other)) <= len(words) // 2]
                if others:
                    other = _fact(chance.choice(others), chance)
                    yield ReaderRow("support", sentence, other, 0.03, kind="support reply elsewhere")


class SupportRows:
    """Makes support rows from pairs with an answer in their passage. Every call makes others.

    Args:
        pairs: The maker of the answer rows, whose pairs and passages these are.
        plausible: Wrong answers that people thought of, by question (:func:`read_plausible`).
    """

    def __init__(self, pairs: AnswerRows, plausible: dict[str, str]) -> None:
        self._rows = pairs
        self._plausible = plausible
        self._answers: dict[str, list[str]] = defaultdict(list)
        for pair in pairs.pairs:
            if pair.answer and pair.answerable:
                self._answers[pair.passage].append(pair.answer)

    def make(self, index: int, chance: random.Random) -> Iterator[ReaderRow]:
        """Yield up to two rows of one pass for the pair at ``index``, of kinds drawn at random."""
        pair = self._rows.pairs[index]
        if pair.set.startswith("dstc9") and chance.random() < 0.7:
            return
        if not pair.answerable:
            if wrong := self._plausible.get(pair.question):
                yield self._row(pair, joined(pair.question, wrong, chance), pair.passage, 0.05, "plausible", chance)
            return
        if pair.set.startswith("dstc11") and pair.answer:
            yield from self._review(pair, chance)
            return
        place = place_of(pair)
        if place is None or pair.answer is None:
            return
        spans = sentences(pair.passage)
        own = next(((a, b) for a, b in spans if a <= place[0] < b), None)
        if own is None or own[1] - own[0] > 600:
            return
        sentence = pair.passage[slice(*own)]
        yield self._true(pair, sentence, pair.answer, chance)
        false = self._false(pair, sentence, own, chance)
        if false:
            yield false

    def _true(self, pair: Pair, sentence: str, answer: str, chance: random.Random) -> ReaderRow:
        """Return what the passage says: its own sentence, shortened, or question and answer in one."""
        roll = chance.random()
        if roll < 0.45 and len(answer.split()) <= 12:
            return self._row(
                pair, joined(pair.question, answer, chance), pair.passage, 0.95, "question and answer", chance
            )
        if roll < 0.55:
            at = pair.passage.find(sentence) + len(sentence)
            following = next((pair.passage[a:b] for a, b in sentences(pair.passage) if a >= at), "")
            return self._row(pair, f"{sentence} {following}".strip(), pair.passage, 1.0, "two sentences", chance)
        return self._row(pair, reworded(sentence, chance), pair.passage, 1.0, "own sentence", chance)

    def _false(self, pair: Pair, sentence: str, own: tuple[int, int], chance: random.Random) -> ReaderRow | None:
        """Return what the passage does not say: something close to what it says, or from elsewhere."""
        roll = chance.random()
        names = self._names(pair, chance)
        if roll < 0.40:
            false = changed(sentence, chance, names=names)
            return self._row(pair, reworded(false, chance), pair.passage, 0.03, "changed", chance) if false else None
        if roll < 0.65:
            wrong = self._wrong(pair, names, chance)
            said = joined(pair.question, wrong, chance) if wrong else None
            return self._row(pair, said, pair.passage, 0.05, "wrong answer", chance) if said else None
        if roll < 0.80:
            rest = f"{pair.passage[: own[0]]} {pair.passage[own[1] :]}".strip()
            said = sentence if chance.random() < 0.5 else joined(pair.question, pair.answer or "", chance)
            return self._row(pair, said, rest, 0.04, "sentence taken out", chance) if len(rest.split()) > 4 else None
        if roll < 0.90 and (asked := changed(pair.question, chance, names=names, negate=0)):
            said = joined(asked, pair.answer or "", chance)
            return self._row(pair, said, pair.passage, 0.08, "question changed", chance)
        others = [text for text in self._rows.passages(pair.set, pair.doc) if text != pair.passage]
        if not others:
            return None
        other = chance.choice(others)
        place = chance.choice(sentences(other))
        return self._row(pair, other[slice(*place)], pair.passage, 0.03, "elsewhere", chance)

    def _review(self, pair: Pair, chance: random.Random) -> Iterator[ReaderRow]:
        """Yield what a person answered from reviews, of which each sentence stands for several of them."""
        said = [pair.answer[a:b] for a, b in sentences(pair.answer or "")] if pair.answer else []
        for sentence in said:
            if not _TALK.search(sentence) and len(content_words(sentence) & content_words(pair.passage)) >= 3:
                yield ReaderRow("support", sentence, pair.passage, 0.9, weight=0.5, kind="support review")
                if (false := changed(sentence, chance, negate=0.5)) and chance.random() < 0.7:
                    yield ReaderRow("support", false, pair.passage, 0.1, weight=0.5, kind="support review changed")

    def _wrong(self, pair: Pair, names: Sequence[str], chance: random.Random) -> str | None:
        """Return a wrong answer of the right kind: another answer of the passage, or a number or name in it."""
        answer = pair.answer or ""
        digits = any(sign.isdigit() for sign in answer)
        others = [
            other
            for other in self._answers[pair.passage]
            if other.lower() not in answer.lower() and answer.lower() not in other.lower()
            and any(sign.isdigit() for sign in other) == digits
        ]  # fmt: skip
        if others and chance.random() < 0.6:
            return chance.choice(others)
        return changed(answer, chance, names=[name for name in names if name not in answer], negate=0)

    def _names(self, pair: Pair, chance: random.Random) -> list[str]:
        own = list(names_in(pair.passage))
        return own if len(own) > 2 and chance.random() < 0.6 else self._rows.names(pair.set, pair.doc)

    def _row(self, pair: Pair, said: str, evidence: str, label: float, kind: str, chance: random.Random) -> ReaderRow:
        """Return a row whose evidence is the passage, or, where the sentence stands in it, a part around it."""
        spans = sentences(evidence)
        if len(spans) > 3 and chance.random() < 0.5:
            words = content_words(said)
            best = max(range(len(spans)), key=lambda i: len(words & content_words(evidence[slice(*spans[i])])))
            first, last = max(0, best - chance.randint(0, 1)), min(len(spans) - 1, best + chance.randint(0, 2))
            if label < 0.5 or kind in ("own sentence", "changed"):
                evidence = evidence[spans[first][0] : spans[last][1]]
        evidence, _ = headed(pair, evidence, None, chance)
        return ReaderRow("support", said, evidence, label, kind=f"support {kind}")


def joined(question: str, answer: str, chance: random.Random) -> str:
    """Say a question and its answer in one sentence, plainly, as in ``Bill Cobbs plays Mr. Randolph``.

    Where the question asks for its subject the answer takes the place of the question word; elsewhere the words of
    the question follow or precede the answer.
    """
    asked, answer = " ".join(question.split()).rstrip("?. "), answer.strip().rstrip(".")
    found = _SUBJECT_ASKED.match(asked)
    rest = asked[found.end() :] if found else ""
    if found and rest and not _AUXILIARY.match(rest):
        said = f"{answer} {rest}"
    elif chance.random() < 0.3:
        said = f"{asked}? {answer}"
    elif (
        aux := re.match(r"(?:who|what|which|where|when) (is|was|are|were) (.+)", asked, re.I)
    ) and chance.random() < 0.8:
        said = f"{aux[2]} {aux[1]} {answer}" if chance.random() < 0.6 else f"{answer} {aux[1]} {aux[2]}"
    else:
        words = re.sub(
            r"^(?:in |on |at |to |by |for )?(?:who|what|which|where|when|why|how(?: many| much)?)\s+",
            "",
            asked,
            flags=re.I,
        )
        words = _AUXILIARY.sub("", words, count=1).strip() if _AUXILIARY.match(words) else words
        said = f"{words}: {answer}" if chance.random() < 0.4 else f"{words} {answer}"
    return said[0].upper() + said[1:] + ("." if chance.random() < 0.8 else "")


def reworded(sentence: str, chance: random.Random) -> str:
    """Return a sentence with an aside dropped, a lead-in put before it, or in lower case; often as it is."""
    said = _ASIDE.sub("", sentence) if chance.random() < 0.4 else sentence
    roll = chance.random()
    if roll < 0.12 and len(said) > 2:
        said = chance.choice(_LEADS) + said[0].lower() + said[1:]
    elif roll < 0.2:
        said = chance.choice(_YES_LEADS) + said
    elif roll < 0.28:
        said = said.lower()
    return said.strip() or sentence


def read_plausible(squad: Path | None, part: Part) -> dict[str, str]:
    """Return the answers of a SQuAD 2.0 file that look right and are not, by question.

    Args:
        squad: The file, or None.
        part: Articles of this part only.
    """
    if squad is None:
        return {}
    articles = json.loads(squad.read_text(encoding="utf-8"))
    articles = articles.get("data", articles) if isinstance(articles, dict) else articles
    return {
        asked["question"].strip(): asked["plausible_answers"][0]["text"]
        for article in articles
        if part_of("squad2_dev", article["title"]) == part
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
        if asked["is_impossible"] and asked.get("plausible_answers")
    }


def _fact(fact: str, chance: random.Random) -> str:
    """Return a fact with its question, as FAQs have it, or the answer alone under the name that it belongs to."""
    spans = sentences(fact)
    if len(spans) < 3 or chance.random() < 0.5:
        return fact
    return f"{fact[slice(*spans[0])].rstrip('.')}: {fact[spans[2][0] :]}"
