"""Picking the evidence: the few sentences of the retrieved passages that a small model can answer from."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from toolkit.answering.asking import kinds_asked, kinds_missing
from toolkit.language import Lexicon, stems
from toolkit.language.sentences import split_sentences

if TYPE_CHECKING:
    from toolkit.store import Passage

_LIST_ITEM = re.compile(r"\s*(?:[-*•‣+]|\(?[0-9a-zA-Z]{1,2}[.)])\s+")
_LEANS_BACK = re.compile(r"(?:It|They|This|That|These|Those|He|She|Its|Their|Both|Then|Otherwise|If so)\b")
_LONGEST_UNIT_WORDS = 90
_REMEMBERED_PASSAGES = 4096
_REMEMBERED_QUESTIONS = 1024
# Beside the cosine of question and unit: what the question's words in it add, what standing in the best passage
# adds, falling as 1 / rank, and what holding no answer of a kind that the question wants takes away.
_COVERAGE_WEIGHT = 0.2
_RANK_WEIGHT = 0.05
_KIND_WEIGHT = 0.15


class Encoder(Protocol):
    """What the picker needs of an embedder."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return normalised vectors of shape (number of texts, dimension), float32."""
        ...


@dataclass(frozen=True)
class Unit:
    """The smallest stretch of a passage that makes sense alone: a sentence, or a list with its lead-in."""

    text: str
    stems: frozenset[str]


@dataclass(frozen=True)
class Evidence:
    """A picked unit and what speaks for it.

    Attributes:
        passage: The passage that it stands in.
        quote: Its exact text.
        shown: What the model sees: the heading and the text.
        score: What the evidence is ranked by; only its order means something.
        similarity: Cosine of question and unit.
        coverage: Share of the question's words, weighted by rarity, that unit and heading hold.
        stems: Stems of unit and heading.
        kinds_missing: Kinds of answer that the question wants and the unit does not hold.
        vector: The unit's normalised vector, of shape (dimension,).
    """

    passage: Passage
    quote: str
    shown: str
    score: float
    similarity: float
    coverage: float
    stems: frozenset[str]
    kinds_missing: int
    vector: np.ndarray = field(compare=False, repr=False)


def units_of(text: str) -> list[str]:
    """Cut a passage into units: sentences, lists kept whole with their lead-in, table rows one by one."""
    spans = [text[start:end].strip() for start, end in split_sentences(text)]
    units: list[str] = []
    for span in filter(None, spans):
        previous = units[-1] if units else ""
        in_list = bool(_LIST_ITEM.match(span)) and (
            previous.endswith(":") or bool(_LIST_ITEM.match(previous.rsplit("\n", 1)[-1]))
        )
        leans = bool(_LEANS_BACK.match(span))
        if previous and (in_list or leans) and len((previous + span).split()) <= _LONGEST_UNIT_WORDS:
            units[-1] = f"{previous}\n{span}" if in_list else f"{previous} {span}"
        else:
            units.append(span)
    return units


class EvidencePicker:
    """Scores the units of passages against a question. Vectors of units are kept between questions.

    Args:
        encoder: The embedder of the knowledge.
        lexicon: How rare words are in the documents.
    """

    def __init__(self, encoder: Encoder, lexicon: Lexicon) -> None:
        self.encoder = encoder
        self.lexicon = lexicon
        self._kept: OrderedDict[str, tuple[list[Unit], np.ndarray]] = OrderedDict()
        self._questions: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def pick(
        self, question: str, passages: Sequence[Passage], count: int, *, without: Collection[str] = ()
    ) -> list[Evidence]:
        """Return the best units over all passages, best first.

        Args:
            question: A question that stands alone.
            passages: Retrieved passages, best first.
            count: How many units to return at most.
            without: Exact texts of units to leave out.
        """
        if not passages:
            return []
        parts = self._units(passages)
        asked, kinds = stems(question), kinds_asked(question)
        vector = self.vector(question)
        found: list[Evidence] = []
        for rank, (passage, (units, vectors)) in enumerate(zip(passages, parts, strict=True), start=1):
            heading = set(stems(f"{passage.heading} {passage.metadata.get('title') or ''}"))
            for unit, unit_vector in zip(units, vectors, strict=True):
                if unit.text in without:
                    continue
                words = unit.stems | heading
                similarity = float(unit_vector @ vector)
                coverage = self.lexicon.coverage(asked, words)
                missing = kinds_missing(kinds, unit.text)
                score = similarity + _COVERAGE_WEIGHT * coverage + _RANK_WEIGHT / rank - _KIND_WEIGHT * missing
                found.append(
                    Evidence(
                        passage=passage,
                        quote=unit.text,
                        shown=shown(passage, unit.text),
                        score=score,
                        similarity=similarity,
                        coverage=coverage,
                        stems=frozenset(words),
                        kinds_missing=missing,
                        vector=unit_vector,
                    )
                )
        found.sort(key=lambda evidence: -evidence.score)
        return _distinct(found, count)

    def vector(self, question: str) -> np.ndarray:
        """Return the normalised vector of a question, of shape (dimension,); the last ones are kept."""
        with self._lock:
            if question not in self._questions:
                self._questions[question] = self.encoder.encode([question])[0]
                while len(self._questions) > _REMEMBERED_QUESTIONS:
                    self._questions.popitem(last=False)
            return self._questions[question]

    def _units(self, passages: Sequence[Passage]) -> list[tuple[list[Unit], np.ndarray]]:
        """Return units and their vectors for each passage, embedding only what is not kept."""
        with self._lock:
            missing = [passage for passage in passages if passage.id not in self._kept]
            fresh = {passage.id: units_of(passage.text) or [passage.text] for passage in missing}
            texts = [shown(passage, unit) for passage in missing for unit in fresh[passage.id]]
            vectors = self.encoder.encode(texts) if texts else np.zeros((0, 1), dtype=np.float32)
            start = 0
            for passage in missing:
                units = [Unit(text, frozenset(stems(text))) for text in fresh[passage.id]]
                self._kept[passage.id] = (units, vectors[start : start + len(units)])
                start += len(units)
            result = [self._kept[passage.id] for passage in passages]
            while len(self._kept) > _REMEMBERED_PASSAGES:
                self._kept.popitem(last=False)
            return result


def shown(passage: Passage, text: str) -> str:
    """Return a unit as the model and the embedder see it: with the heading that it stands under."""
    heading = passage.heading or str(passage.metadata.get("title") or "")
    return f"{heading}: {text}" if heading else text


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
