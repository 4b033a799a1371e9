"""Training rows of the reader: questions and passages, with everything that can be made from the public rows."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.grounding.asking import as_asked
from pipelines.grounding.data import Pair
from pipelines.grounding.edits import changed, content_words, names_in, readable, sentences
from pipelines.grounding.handbook import handbook_row
from pipelines.grounding.tables import table_row

# How often a pair is drawn in a pass: what people judged and what is scarce more often, what is made from a
# template and there in thousands less often.
DRAWN = {"squad2_dev": 2.0, "squad2_train10": 1.0, "qed_nq_dev": 1.5, "qed_nq_train": 1.0, "covidqa": 1.0,
         "dstc11_val": 1.0, "dstc9_faq": 0.4, "medquad": 0.5}  # fmt: skip
# Sets whose negatives teach "no answer here" to the span head as well: those whose positives have spans.
WITH_SPANS = ("squad2", "qed", "covidqa", "dstc9", "table")
# How sure a built negative is.
BUILT = 0.05
HANDBOOK_ROWS = 10000
TABLE_ROWS = 4000


@dataclass(frozen=True)
class ReaderRow:
    """One row to train the reader on.

    Attributes:
        task: ``answer`` for a question and a passage, ``support`` for a sentence and its evidence.
        first: The question or the sentence.
        second: The passage or the evidence.
        label: 1 where it answers or supports, 0 where not, and in between where that is not certain.
        span: Characters of the answer in ``second``; None where there is none or it is not known.
        spanless: Whether the span head learns from the row that there is no answer.
        weight: How much the row counts.
        kind: How it was made, for counting.
    """

    task: str
    first: str
    second: str
    label: float
    span: tuple[int, int] | None = None
    spanless: bool = False
    weight: float = 1.0
    kind: str = ""


class AnswerRows:
    """Makes rows of the answerable and the span head from pairs. Every call makes others.

    Args:
        pairs: Pairs of one part; passages of the same document serve as negatives of each other.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = [_mended(pair) for pair in pairs]
        passages: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for pair in self.pairs:
            passages[pair.set, pair.doc].setdefault(pair.passage)
        self._passages = {key: list(texts) for key, texts in passages.items()}
        self._names: dict[tuple[str, str], list[str]] = {}
        self._all_names = [name for key in list(self._passages)[::7] for name in self.names(*key)[:5]] or ["Rome"]

    def names(self, set_name: str, doc: str) -> list[str]:
        """Return the names that stand in a document's passages, at most 300."""
        key = (set_name, doc)
        if key not in self._names:
            found = (name for text in self._passages[key][:60] for name in names_in(text))
            self._names[key] = list(dict.fromkeys(found))[:300]
        return self._names[key]

    def passages(self, set_name: str, doc: str) -> list[str]:
        """Return a document's passages, each once."""
        return self._passages[set_name, doc]

    def make(self, index: int, chance: random.Random) -> Iterator[ReaderRow]:
        """Yield the rows of one pass for the pair at ``index``: as often as its set is drawn, each time different."""
        pair = self.pairs[index]
        times = DRAWN.get(pair.set, 1.0)
        for _ in range(int(times) + (chance.random() < times % 1)):
            for row in self._rows(pair, chance):
                yield _as_typed(row, chance)

    def _rows(self, pair: Pair, chance: random.Random) -> Iterator[ReaderRow]:
        """Yield the pair itself, and, of one with an answer, what can be made of it."""
        human = 1.5 if pair.how == "human" else 1.0
        if not pair.answerable:
            yield self._negative(pair, chance, human)
            return
        place = place_of(pair)
        yield self._positive(pair, place, chance, human)
        if place is not None and chance.random() < 0.5 and (rest := without(pair.passage, pair.answer or "", chance)):
            yield self._built(pair, rest, "answer taken out", chance, label=BUILT)
        if place is not None and chance.random() < 0.35 and (other := self._other(pair, chance)):
            yield self._built(pair, other, "other passage", chance, label=BUILT)
        if chance.random() < 0.3 and pair.set.startswith(("squad2", "qed", "covid", "medquad")):
            asked = changed(pair.question, chance, names=self._swaps(pair, chance), negate=0.25)
            if asked:
                text, _ = stretch(pair.passage, place, chance)
                yield self._built(
                    replace(pair, question=asked), text, "question changed", chance, label=0.08, weight=0.7
                )

    def _positive(self, pair: Pair, place: tuple[int, int] | None, chance: random.Random, weight: float) -> ReaderRow:
        """Return the pair with its passage whole, or with a few sentences of it around the answer."""
        text, span = stretch(pair.passage, place, chance) if place else (pair.passage, None)
        text, span = headed(pair, text, span, chance)
        return ReaderRow("answer", pair.question, text, 1.0, span, weight=weight, kind=f"{pair.set} answerable")

    def _negative(self, pair: Pair, chance: random.Random, weight: float) -> ReaderRow:
        """Return a pair without an answer, its passage whole or a few sentences of it."""
        text, _ = stretch(pair.passage, None, chance) if chance.random() < 0.5 else (pair.passage, None)
        text, _ = headed(pair, text, None, chance)
        return ReaderRow(
            "answer", pair.question, text, 0.0 if pair.how == "human" else BUILT, None,
            pair.set.startswith(WITH_SPANS), weight, f"{pair.set} {pair.how} unanswerable",
        )  # fmt: skip

    def _built(
        self, pair: Pair, text: str, kind: str, chance: random.Random, *, label: float, weight: float = 1.0
    ) -> ReaderRow:
        text, _ = headed(pair, text, None, chance)
        spanless = pair.set.startswith(WITH_SPANS)
        return ReaderRow("answer", pair.question, text, label, None, spanless, weight, kind)

    def _other(self, pair: Pair, chance: random.Random) -> str | None:
        """Return another passage of the document that shares words with the question but holds no answer."""
        answer = (pair.answer or "").lower()
        asked = content_words(pair.question)
        others = [
            text for text in self.passages(pair.set, pair.doc) if text != pair.passage and answer not in text.lower()
        ]
        if not others:
            return None
        if len(others) > 40:
            others = chance.sample(others, 40)
        others.sort(key=lambda text: -len(asked & content_words(text)))
        text = chance.choice(others[:3])
        return text if chance.random() < 0.6 else best_stretch(text, asked, chance)

    def _swaps(self, pair: Pair, chance: random.Random) -> list[str]:
        """Return names to put into a question: of the passage, of the document, or of any."""
        own = list(names_in(pair.passage))
        roll = chance.random()
        pool = own if roll < 0.45 else self.names(pair.set, pair.doc) if roll < 0.85 else self._all_names
        return [name for name in pool if name != pair.answer] or self._all_names


def table_rows(chance: random.Random, count: int = TABLE_ROWS) -> Iterator[ReaderRow]:
    """Yield rows about made-up tables: a question about a row, and a sentence that the row supports or not."""
    for _ in range(count):
        made = table_row(chance)
        asked = as_asked(made.question, chance)
        yield ReaderRow("answer", asked, made.passage, float(made.answer is not None), made.answer,
                        made.answer is None, kind="table")  # fmt: skip
        if chance.random() < 0.5:
            false = made.answer is not None and chance.random() < 0.45
            claim = changed(made.claim, chance, negate=0.1) if false else made.claim
            if claim:
                yield ReaderRow("support", claim, made.passage, float(made.answer is not None and not false),
                                kind="support table")  # fmt: skip


def handbook_rows(chance: random.Random, count: int = HANDBOOK_ROWS) -> Iterator[ReaderRow]:
    """Yield rows about made-up manuals: a question in a person's words, and what the passage says of it."""
    for _ in range(count):
        made = handbook_row(chance)
        asked = as_asked(made.question, chance)
        head = f"{made.heading}: " if chance.random() < 0.8 else ""
        at = made.told
        if made.told is not None and chance.random() < 0.25:  # one sentence alone, as evidence is picked
            text, before = made.sentences[made.told], 0
        else:
            text = " ".join(made.sentences)
            before = sum(len(sentence) + 1 for sentence in made.sentences[:at]) if at is not None else 0
        place = None
        if at is not None and made.answer:
            begin = len(head) + before + made.sentences[at].lower().index(made.answer.lower())
            place = (begin, begin + len(made.answer))
        yield ReaderRow("answer", asked, head + text, float(at is not None), place, at is None, kind="handbook")
        if at is None or chance.random() < 0.5:
            continue
        claim = made.sentences[at]
        false = changed(claim, chance, negate=0.1) if chance.random() < 0.5 else None
        yield ReaderRow("support", false or claim, head + text, float(not false), kind="support handbook")


def place_of(pair: Pair) -> tuple[int, int] | None:
    """Return where the answer stands in its passage: of several places, in the sentence most like the question."""
    answer, text = (pair.answer or "").strip(), pair.passage
    if not answer:
        return None
    places: list[tuple[int, bool]] = []
    at = text.find(answer)
    while at >= 0 and len(places) < 20:
        whole = (at == 0 or not text[at - 1].isalnum()) and not text[at + len(answer) : at + len(answer) + 1].isalnum()
        places.append((at, whole))
        at = text.find(answer, at + 1)
    if not places:
        return None
    asked = content_words(pair.question)

    def likeness(place: tuple[int, bool]) -> tuple[bool, int]:
        inside = next((text[a:b] for a, b in sentences(text) if a <= place[0] < b), "")
        return place[1], len(asked & content_words(inside))

    start = max(places, key=likeness)[0]
    return start, start + len(answer)


def stretch(text: str, place: tuple[int, int] | None, chance: random.Random) -> tuple[str, tuple[int, int] | None]:
    """Return a passage whole, or one to three of its sentences, with the place moved along.

    Args:
        text: A passage.
        place: Characters that have to stay, or None.
        chance: Where the randomness comes from.
    """
    spans = sentences(text)
    if len(spans) < 2 or chance.random() < 0.5:
        return text, place
    if place is None:
        first = last = chance.randrange(len(spans))
    else:
        inside = [i for i, (a, b) in enumerate(spans) if a < place[1] and b > place[0]]
        if not inside:
            return text, place
        first, last = inside[0], inside[-1]
    for _ in range(chance.choice((0, 0, 1, 2))):
        before = first > 0 and (last == len(spans) - 1 or chance.random() < 0.5)
        first, last = (first - 1, last) if before else (first, min(last + 1, len(spans) - 1))
    start, end = spans[first][0], spans[last][1]
    return text[start:end], (place[0] - start, place[1] - start) if place else None


def best_stretch(text: str, asked: frozenset[str], chance: random.Random) -> str:
    """Return one to three sentences of a passage, those that share most words with a question."""
    spans = sentences(text)
    best = max(range(len(spans)), key=lambda i: len(asked & content_words(text[slice(*spans[i])])))
    return text[spans[best][0] : spans[min(best + chance.choice((0, 0, 1, 2)), len(spans) - 1)][1]]


def without(text: str, answer: str, chance: random.Random) -> str | None:
    """Return a passage without every sentence that holds the answer; None where too little is left."""
    kept = [text[a:b] for a, b in sentences(text) if answer.lower() not in text[a:b].lower()]
    if chance.random() < 0.25 and len(kept) > 2:
        at = chance.randrange(len(kept) - 1)
        kept = kept[at : at + chance.choice((1, 2, 3))]
    rest = " ".join(kept)
    return rest if len(rest.split()) >= 5 else None


def headed(
    pair: Pair, text: str, span: tuple[int, int] | None, chance: random.Random
) -> tuple[str, tuple[int, int] | None]:
    """Put the document's name before half of the passages, as a heading, and move the span along."""
    title = pair.title.replace("_", " ")
    if not title or chance.random() < 0.5:
        return text, span
    if text.startswith(f"{title}. "):
        return f"{title}: {text[len(title) + 2 :]}", span
    lead = f"{title}: "
    return lead + text, (span[0] + len(lead), span[1] + len(lead)) if span else None


def _as_typed(row: ReaderRow, chance: random.Random) -> ReaderRow:
    """Return the row with its question as somebody might type it."""
    return replace(row, first=as_asked(row.first, chance))


def _mended(pair: Pair) -> Pair:
    """Return a pair of Natural Questions without the spaces that its tokenizer left around punctuation."""
    if not pair.set.startswith("qed"):
        return pair
    return replace(pair, passage=readable(pair.passage), answer=readable(pair.answer) if pair.answer else None)
