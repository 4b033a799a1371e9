"""Picking the evidence: the few sentences of the retrieved passages that a small model can answer from."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from toolkit.embedding.base import KeptVectors
from toolkit.language import ENGLISH, Language, Lexicon, stems
from toolkit.language.sentences import split_sentences

if TYPE_CHECKING:
    from toolkit.reader import Reader, Reading
    from toolkit.store.retriever import Passage

_LIST_ITEM = re.compile(r"\s*(?:[-*•‣+]|\(?[0-9a-zA-Z]{1,2}[.)])\s+")
_LONGEST_UNIT_WORDS = 90  # about half of the bundled embedder's window, so that two units never fill it
_REMEMBERED_PASSAGES = 4096
_REMEMBERED_TEXTS = 8192  # of 384 numbers each: 12 MB
# A span's log-odds beyond these say nothing more and would outweigh the rest.
CLEAREST = 20.0


class Encoder(Protocol):
    """What the picker needs of an embedder."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return normalised vectors of shape (number of texts, dimension), float32."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the same for questions; the last ones are kept."""
        ...


@dataclass(frozen=True)
class Weights:
    """How the units are ranked: what a logistic regression found in its three features, times 1 / their spread.

    Attributes:
        span: Weight of the log-odds of the answer standing in the unit, by the reader.
        similarity: Weight of the cosine of question and unit.
        rank: Weight of 1 / rank of the unit's passage.
    """

    span: float
    similarity: float
    rank: float


# Fitted on 90 questions whose answer was among the passages found (the sample's split for choosing settings): which of
# the units holds it. The span alone puts it first in 48%, the cosine alone in 52%, the three together in 58%.
FITTED = Weights(span=0.22, similarity=3.0, rank=2.3)


@dataclass(frozen=True)
class Unit:
    """The smallest stretch of a passage that makes sense alone: a sentence, or a list with its lead-in.

    Attributes:
        text: Its exact words, but for the white space between its parts.
        start: Its first character in the passage.
        end: The character after its last.
        stems: Stems of its words.
    """

    text: str
    start: int
    end: int
    stems: frozenset[str]


@dataclass(frozen=True)
class Evidence:
    """A picked unit and what speaks for it.

    Attributes:
        passage: The passage that it stands in.
        quote: Its text.
        shown: What the model sees: the heading and the text.
        score: What the evidence is ranked by; only its order means something.
        similarity: Cosine of question and unit.
        coverage: Share of the question's words, weighted by rarity, that unit and heading hold.
        span: Log-odds of the answer standing in the unit, by the reader; 0 without one.
        stems: Stems of unit and heading.
        vector: The unit's normalised vector, of shape (dimension,).
    """

    passage: Passage
    quote: str
    shown: str
    score: float
    similarity: float
    coverage: float
    span: float
    stems: frozenset[str]
    vector: np.ndarray = field(compare=False, repr=False)


@dataclass(frozen=True)
class Picked:
    """What was picked for a question.

    Attributes:
        evidence: The best units, best first.
        readings: What the reader makes of each passage, in the order of the passages; empty without a reader.
    """

    evidence: list[Evidence]
    readings: list[Reading]

    def to_dict(self) -> dict[str, Any]:
        """Return the units with their scores as plain data."""
        rows = [
            {
                "passage": item.passage.id,
                "quote": item.quote,
                "score": round(float(item.score), 3),
                "span": round(float(item.span), 3),
                "similarity": round(float(item.similarity), 3),
            }
            for item in self.evidence
        ]
        return {"picked": rows}


def noted(text: str, language: Language) -> Evidence:
    """Return evidence that stands in no document: what the bot itself has to say."""
    from toolkit.store.retriever import Passage

    told = frozenset(stems(text, language))
    passage = Passage(id="", text=text, source="", score=0.0, metadata={})
    return Evidence(passage, text, text, 0.0, 0.0, 0.0, 0.0, told, np.zeros(0, dtype=np.float32))


def units_of(text: str, language: Language = ENGLISH) -> list[Unit]:
    """Cut a passage into units: sentences, lists kept whole with their lead-in, table rows one by one."""
    units: list[tuple[str, int, int]] = []
    for start, end in split_sentences(text):
        span = text[start:end].strip()
        if not span:
            continue
        previous = units[-1][0] if units else ""
        in_list = bool(_LIST_ITEM.match(span)) and (
            previous.endswith(":") or bool(_LIST_ITEM.match(previous.rsplit("\n", 1)[-1]))
        )
        leans = bool(language.leans_back.match(span))
        if previous and (in_list or leans) and len((previous + span).split()) <= _LONGEST_UNIT_WORDS:
            units[-1] = (f"{previous}\n{span}" if in_list else f"{previous} {span}", units[-1][1], end)
        else:
            units.append((span, start, end))
    return [Unit(span, start, end, frozenset(stems(span, language))) for span, start, end in units]


class EvidencePicker:
    """Scores the units of passages against a question. Vectors of units are kept between questions.

    Args:
        encoder: The embedder of the knowledge.
        lexicon: How rare words are in the documents.
        reader: Reads the passages with the question in mind; None ranks by similarity alone.
        weights: How the units are ranked.
    """

    def __init__(
        self, encoder: Encoder, lexicon: Lexicon, reader: Reader | None = None, weights: Weights = FITTED
    ) -> None:
        self.encoder = encoder
        self.lexicon = lexicon
        self.reader = reader
        self.weights = weights
        self._kept: OrderedDict[tuple[str, str], tuple[list[Unit], np.ndarray]] = OrderedDict()
        self._texts = KeptVectors(_REMEMBERED_TEXTS)
        self._lock = threading.Lock()

    def pick(
        self, question: str, passages: Sequence[Passage], count: int, *, without: Collection[str] = ()
    ) -> Picked:
        """Return the best units over all passages, best first.

        Args:
            question: A question that stands alone.
            passages: Retrieved passages, best first.
            count: How many units to return at most.
            without: Exact texts of units to leave out; the reader does not see them either.
        """
        if not passages:
            return Picked([], [])
        parts = self._units(passages)
        if without:
            parts = [_without(units, vectors, without) for units, vectors in parts]
        heads = [heading_of(passage) for passage in passages]
        texts = [" ".join(unit.text for unit in units) for units, _ in parts]
        readings = self._read(question, heads, texts)
        asked, vector = self.lexicon.stems(question), self.vector(question)
        found: list[Evidence] = []
        for rank, (passage, (units, vectors)) in enumerate(zip(passages, parts, strict=True)):
            heading = set(self.lexicon.stems(f"{passage.heading} {passage.metadata.get('title') or ''}"))
            at = len(heads[rank])
            for unit, unit_vector in zip(units, vectors, strict=True):
                span = 0.0
                if readings:
                    span = clipped(readings[rank].within(at, at + len(unit.text)))
                at += len(unit.text) + 1
                similarity = float(unit_vector @ vector)
                words = unit.stems | heading
                found.append(
                    Evidence(
                        passage=passage,
                        quote=unit.text,
                        shown=shown(passage, unit.text),
                        score=self.weights.span * span
                        + self.weights.similarity * similarity
                        + self.weights.rank / (rank + 1),
                        similarity=similarity,
                        coverage=self.lexicon.coverage(asked, words),
                        span=span,
                        stems=frozenset(words),
                        vector=unit_vector,
                    )
                )
        found.sort(key=lambda evidence: -evidence.score)
        return Picked(_distinct(found, count), readings)

    def vector(self, question: str) -> np.ndarray:
        """Return the normalised vector of a question, of shape (dimension,)."""
        vector: np.ndarray = self.encoder.encode_queries([question])[0]
        return vector

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return the normalised vectors of texts, of shape (texts, dimension); those of the last ones are kept."""
        return self._texts.get(texts, self.encoder.encode, 0)

    def _read(self, question: str, heads: Sequence[str], texts: Sequence[str]) -> list[Reading]:
        if self.reader is None:
            return []
        return self.reader.read(question, [head + text for head, text in zip(heads, texts, strict=True)])

    def _units(self, passages: Sequence[Passage]) -> list[tuple[list[Unit], np.ndarray]]:
        """Return units and their vectors for each passage, embedding only what is not kept.

        They are kept by id and text: joined neighbours put another text under the same id.
        """
        with self._lock:
            keys = [(passage.id, passage.text) for passage in passages]
            missing = [index for index, key in enumerate(keys) if key not in self._kept]
            language = self.lexicon.language
            fresh = {index: units_of(passages[index].text, language) for index in missing}
            for index in missing:
                text = passages[index].text
                fresh[index] = fresh[index] or [Unit(text, 0, len(text), frozenset(stems(text, language)))]
            texts = [shown(passages[index], unit.text) for index in missing for unit in fresh[index]]
            vectors = self.encoder.encode(texts) if texts else np.zeros((0, 1), dtype=np.float32)
            start = 0
            for index in missing:
                units = fresh[index]
                self._kept[keys[index]] = (units, vectors[start : start + len(units)])
                start += len(units)
            result = [self._kept[key] for key in keys]
            while len(self._kept) > _REMEMBERED_PASSAGES:
                self._kept.popitem(last=False)
            return result


def clipped(log_odds: float) -> float:
    """Return log-odds no further from even than :data:`CLEAREST`."""
    return max(-CLEAREST, min(CLEAREST, log_odds))


def heading_of(passage: Passage) -> str:
    """Return the heading that a passage is shown under, with its colon; empty where it has none."""
    heading = passage.heading or str(passage.metadata.get("title") or "")
    return f"{heading}: " if heading else ""


def unlisted(text: str) -> str:
    r"""Return the exact words of a text without the marks of its lists.

    Example:
        >>> unlisted("We sell:\n- bread\n- jam")
        'We sell: bread; jam'
    """
    parts: list[str] = []
    for line in text.strip().split("\n"):
        item = _LIST_ITEM.match(line)
        words = " ".join(line[item.end() if item else 0 :].split())
        if item and parts and parts[-1][-1:].isalnum():
            parts[-1] += ";"
        parts += [words] if words else []
    return " ".join(parts)


def spoken(text: str) -> str:
    """Return the exact words of a unit as a sentence of a reply, which has an end."""
    said = unlisted(text)
    return f"{said}." if said[-1:].isalnum() else said


def shown(passage: Passage, text: str) -> str:
    """Return a unit as the model and the embedder see it: with the heading that it stands under."""
    return heading_of(passage) + text


def _without(units: Sequence[Unit], vectors: np.ndarray, unwanted: Collection[str]) -> tuple[list[Unit], np.ndarray]:
    kept = [index for index, unit in enumerate(units) if unit.text not in unwanted]
    return [units[index] for index in kept], vectors[kept]


def _distinct(found: Sequence[Evidence], count: int) -> list[Evidence]:
    """Take the first ``count`` that do not repeat one taken before."""
    taken: list[Evidence] = []
    seen: set[str] = set()
    for evidence in found:
        key = " ".join(evidence.quote.lower().split())
        if key not in seen:
            seen.add(key)
            taken.append(evidence)
        if len(taken) == count:
            break
    return taken
