"""Questions over the documents' tables: computed, told in the table's words, and cited by its rows.

A small model cannot add, nor find the smallest of twenty prices. What a question wants of which table is read by what
was fitted for the bot; it is computed, and goes through the chain as evidence. Where that is unsure, the passages
answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.answering.checking import Support
from toolkit.answering.evidence import Evidence
from toolkit.language import Language, Lexicon, numbers, stems
from toolkit.tables import (
    Asker,
    Candidate,
    Computed,
    Explained,
    Fact,
    HeldTables,
    IndexedTable,
    TableSense,
    asked_columns,
    fact_of,
    parts_of,
    wording_of,
)

if TYPE_CHECKING:
    from toolkit.answering.evidence import Encoder
    from toolkit.reader import Reader
    from toolkit.store.retriever import Passage


_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class TableAnswer:
    """What was computed for a question.

    Attributes:
        fact: It, in words.
        evidence: The same as evidence, for the model to retell.
        cited: The rows that it rests on, in the document's exact words.
        passages: The passages that these stand in.
        probability: How likely the question was understood rightly.
        further: How many further parts of a compound question it answers, each by a column of the same table.
    """

    fact: Fact
    evidence: Evidence
    cited: list[Evidence] = field(repr=False)
    passages: list[Passage] = field(repr=False)
    probability: float
    further: int

    def to_dict(self) -> dict[str, Any]:
        """Return what was done as plain data."""
        computed = self.fact.computed
        return {
            "source": computed.table.source,
            "operation": computed.operation,
            "column": computed.measure.column if computed.measure else "",
            "rows": [computed.row(number).label for number in self.fact.rows],
            "result": computed.amount,
        }


class TableAnswers:
    """Answers questions from the tables of a knowledge folder.

    Args:
        held: Its tables.
        sense: What was fitted for them.
        encoder: The embedder that it was fitted with.
        lexicon: How rare words are in the documents, and their language.
    """

    def __init__(self, held: HeldTables, sense: TableSense, encoder: Encoder, lexicon: Lexicon) -> None:
        self._held = held
        self._sense = sense
        self._encoder = encoder
        self._lexicon = lexicon
        self._wording = wording_of(lexicon.language)
        self._indexed: tuple[object, Asker | None] = (None, None)

    def answer(self, question: str) -> TableAnswer | None:
        """Compute the answer to a question that stands alone; None where it is not surely one for a table.

        Raises:
            DataError: The manifest of the knowledge is damaged.
        """
        asker = self._asker()
        if asker is None or self._wording is None:
            return None
        parts = parts_of(question, self._lexicon.language)
        best = self._best(asker, parts[0]) if asker.looks_up(parts[1:]) else None
        best = best if best and best[2].operation in ("min", "max") else self._best(asker, question)
        if best is None:
            return None
        probability, candidate, computed = best
        candidate = asked_columns(candidate, question, asker)
        fact = fact_of(candidate, computed, self._wording, self._lexicon.language)
        return self._as_evidence(fact, probability, len(candidate.columns)) if fact else None

    def _best(self, asker: Asker, text: str) -> tuple[float, Candidate, Computed] | None:
        """Return the likeliest way to understand a text that gives a result; None where none is likely enough."""
        found = [(self._sense.probability(each.features), each) for each in asker.candidates(text)]
        for probability, candidate in sorted(found, key=lambda pair: -pair[0]):
            if probability < self._sense.threshold:
                return None
            if computed := candidate.compute():
                return probability, candidate, computed
        return None

    def _asker(self) -> Asker | None:
        tables = self._held.tables()
        if self._indexed[0] is not tables:
            asker = None
            if tables and self._wording is not None:
                explained = Explained.of(self._wording, self._lexicon.language)
                indexed = [IndexedTable(table, self._lexicon) for table in tables]
                heads, measures = self._sense.heads, self._held.measures
                asker = Asker(indexed, heads, self._encoder, measures, self._lexicon, self._wording, explained)
            self._indexed = (tables, asker)
        return self._indexed[1]

    def _as_evidence(self, fact: Fact, probability: float, further: int) -> TableAnswer | None:
        """Return a fact with the exact words of its rows; None where these were removed meanwhile."""
        rows = [fact.computed.row(number) for number in fact.rows]
        chunks = self._held.chunks([row.chunk for row in rows])
        if any(row.chunk not in chunks for row in rows):
            return None
        passages = {name: chunk.passage(probability) for name, chunk in chunks.items()}
        spans: list[tuple[str, int, int]] = []
        for row in rows:
            last = spans[-1] if spans else ("", 0, 0)
            between = passages[row.chunk].text[last[2] : row.start]
            # Rows that stand below each other are one quotation.
            if last[0] == row.chunk and last[2] <= row.start and not between.strip():
                spans[-1] = (row.chunk, last[1], row.end)
            else:
                spans.append((row.chunk, row.start, row.end))
        cited = [self._evidence(passages[name], passages[name].text[start:end]) for name, start, end in spans]
        ordered = [passages[name] for name in dict.fromkeys(row.chunk for row in rows)]
        return TableAnswer(fact, self._evidence(ordered[0], fact.text), cited, ordered, probability, further)

    def _evidence(self, passage: Passage, text: str) -> Evidence:
        told = frozenset(stems(text, self._lexicon.language))
        return Evidence(passage, text, text, 0.0, 0.0, 0.0, 0.0, told, np.zeros(0, dtype=np.float32))


class TableSupport(Support):
    """What a computed fact says to a sentence: it supports one that holds all of it, and no other that claims anything.

    Args:
        question: The question.
        answer: What was computed.
        voice: Stems that the example replies use of their own.
        reader: Judges whether the fact supports a sentence.
        language: The language of all of it.
    """

    def __init__(
        self, question: str, answer: TableAnswer, voice: Collection[str], reader: Reader | None, language: Language
    ) -> None:
        super().__init__(question, [answer.evidence], voice, reader, language)
        self._vital = [(frozenset(stems(text, language)), numbers(text, language)) for text in answer.fact.vital]
        self._told = _WORD.findall(answer.fact.text.lower())
        own = set().union(*(said for said, _ in self._vital))
        labels = [row.label for row in answer.fact.computed.table.rows]
        # Names of other rows: a sentence with one of them says something that was not asked.
        self._other = {stem for label in labels for stem in stems(label, language)} - own - self._asked

    def _holds(self, sentence: str) -> bool:
        said, counted = set(stems(sentence, self.language)), numbers(sentence, self.language)
        whole = all(own <= said and amounts <= counted for own, amounts in self._vital)
        return whole and not (counted - self._numbers) and not (said & self._other) and self._in_order(sentence)

    def _in_order(self, sentence: str) -> bool:
        """Tell whether the words of the fact come in their order: "70 more than 149" is not "costs 70 and 149"."""
        words = iter(_WORD.findall(sentence.lower()))
        return all(word in words for word in self._told)

    def of(self, sentence: str) -> np.ndarray:
        """Return the probability of the fact supporting a sentence, of shape (1,)."""
        return super().of(sentence) if self._holds(sentence) else np.zeros(1)

    def features(self, sentence: str, support: np.ndarray) -> np.ndarray:
        """Return what :class:`Scales` weighs, of shape (4,); a claim beside the fact is a number from nowhere."""
        found = super().features(sentence, support)
        said = set(stems(sentence, self.language))
        named = any(own & said - self._asked for own, _ in self._vital) or bool(said & self._other)
        if not self._holds(sentence) and (numbers(sentence, self.language) or named):
            found[2] = 1.0
        return found
