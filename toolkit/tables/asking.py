"""From a question to an operation over a table: which table, which rows, which column, and how sure that is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from toolkit.language import Language, Lexicon, stems
from toolkit.tables.candidates import Candidate, Condition
from toolkit.tables.grounding import Grounded, IndexedTable, Question, parted, same_word
from toolkit.tables.model import Measure, Table
from toolkit.tables.quantities import Measures, Quantity
from toolkit.tables.reading import Encoder, Explained, Heads, Wanted
from toolkit.tables.wording import Wording

# Tables that are tried, those with most of the question's words first.
_TRIED = 12
# Words looked at before and after an amount: "have no more than 8 places", "60 euros or less".
_BEFORE, _AFTER = 4, 2
_LIKELIER = 0.5  # likelier meant than all others together
_SURE = 1e-4  # probabilities are kept this far from 0 and 1


class Asker:
    """Understands questions over tables.

    Args:
        tables: All that may be asked about.
        heads: Read what a question wants.
        encoder: The embedder that they were fitted with.
        measures: Finds the amounts in questions.
        lexicon: How rare words are, and their language.
        wording: What such questions sound like in that language.
        explained: Stems that questions over any table are made of.
    """

    def __init__(
        self,
        tables: Iterable[IndexedTable],
        heads: Heads,
        encoder: Encoder,
        measures: Measures,
        lexicon: Lexicon,
        wording: Wording,
        explained: Explained,
    ) -> None:
        self.tables = list(tables)
        self.heads = heads
        self.encoder = encoder
        self.measures = measures
        self.lexicon = lexicon
        self.wording = wording
        self.explained = explained
        self._any = explained.all
        self._rarest = lexicon.weight("") or 1.0

    def but(self, table: Table) -> Asker:
        """Return what understands questions over all tables but one."""
        kept = [each for each in self.tables if each.table is not table]
        return Asker(kept, self.heads, self.encoder, self.measures, self.lexicon, self.wording, self.explained)

    def candidates(self, text: str) -> list[Candidate]:
        """Return the ways to understand a question; none where no table has its words or can answer it."""
        question, grounded, read = self._looked_up(text)
        if not grounded:
            return []
        wanted = self.heads.read(self.encoder.encode_queries([read])[0])
        return [candidate for each in grounded for candidate in self._candidates(question, each, wanted)]

    def read_as(self, text: str) -> str:
        """Return what is embedded for a question: it, with what stands for any row in place of names."""
        return self._looked_up(text)[2]

    def _looked_up(self, text: str) -> tuple[Question, list[Grounded], str]:
        question = Question.of(text, self.measures.asked(text), self.lexicon)
        grounded = self._grounded(question)
        return question, grounded, self._masked(question, grounded[0]) if grounded else text

    def looks_up(self, parts: Sequence[str]) -> bool:
        """Tell whether further parts of a compound question ask for no operation: the first part has it alone."""
        read = [self.heads.read(vector).operation for vector in self.encoder.encode_queries(parts)] if parts else []
        return bool(read) and all(operation.get("none", 0.0) >= _LIKELIER for operation in read)

    def _grounded(self, question: Question) -> list[Grounded]:
        """Return the tables that know most of the question's words."""
        joined = self.lexicon.language.joined.strip()
        said = {token.stem for token in question.tokens}
        found = [table.ground(question, joined, self._any) for table in self.tables if said & table.words]
        found = [each for each in found if each.covered]
        # Of tables that know the same words, the one that has them in its rows comes first.
        found.sort(key=lambda each: (-self._weight(question, each.covered), not each.mentions))
        return found[:_TRIED]

    def _weight(self, question: Question, numbers: Iterable[int]) -> float:
        """Return how much words tell, in rarest words."""
        return sum(self.lexicon.weight(question.tokens[number].stem) for number in numbers) / self._rarest

    def _masked(self, question: Question, grounded: Grounded) -> str:
        """Return a question with what names rows replaced by what stands for any."""
        one = len([mention for mention in grounded.mentions if mention.column == grounded.table.table.naming]) > 1
        spans = []
        for mention in grounded.mentions:
            first, last = question.tokens[mention.tokens[0]], question.tokens[mention.tokens[-1]]
            single = one or mention.column != grounded.table.table.naming
            spans.append((first.start, last.end, self.wording.row[0] if single else self.wording.rows[0]))
        for number in grounded.named.get(grounded.table.table.naming, ()):
            token = question.tokens[number]
            spans.append((token.start, token.end, self.wording.row[0]))
        text = question.text
        for start, end, word in sorted(spans, reverse=True):
            text = text[:start] + word + text[end:]
        return text

    def _candidates(self, question: Question, grounded: Grounded, wanted: Wanted) -> Iterable[Candidate]:
        """Yield the ways to do what is wanted over one table."""
        operations = {name: value for name, value in wanted.operation.items() if name != "none"}
        operation = max(operations, key=lambda name: operations[name])
        rows, entities = self._rows(question, grounded, operation)
        mentioned = {number for mention in grounded.mentions for number in mention.tokens}
        spans = [(question.tokens[number].start, question.tokens[number].end) for number in mentioned]
        amounts = [a for a in question.amounts if not any(a.start < end and start < a.end for start, end in spans)]
        amounts = [a for a in amounts if not (a.kind in ("count", "number") and a.value == len(rows))]
        condition = self._condition(question, amounts, grounded, wanted)
        if not (entities or self._enumerated(question, grounded)):
            return
        if (amounts and condition is None) or not _possible(operation, rows, grounded, condition, entities):
            return
        needs = operation not in ("count", "list")
        choices: Sequence[Measure | None] = grounded.table.measures if needs else [None]
        for measure in choices:
            if measure and condition and condition.measure.column == measure.column and operation != "list":
                continue
            if measure and sum(measure.values[row] is not None for row in rows) < min(2, len(rows)):
                continue
            yield self._candidate(question, grounded, wanted, operation, rows, entities, measure, condition)

    def _enumerated(self, question: Question, grounded: Grounded) -> bool:
        """Tell whether what names rows is one thing, or several that are parted as things are enumerated."""
        naming = [mention for mention in grounded.mentions if mention.column == grounded.table.table.naming]
        joined, tokens = self.lexicon.language.joined.strip(), question.tokens
        pairs = zip(naming, naming[1:], strict=False)
        return all(parted(question.text, tokens[a.tokens[-1]], tokens[b.tokens[0]], joined) for a, b in pairs)

    def _rows(self, question: Question, grounded: Grounded, operation: str) -> tuple[tuple[int, ...], bool]:
        """Return the rows that a question is about, and whether each was named by itself."""
        table = grounded.table
        naming = [mention for mention in grounded.mentions if mention.column == table.table.naming]
        sets = [mention.rows for mention in naming]
        if len(naming) > 1:
            sets = [table.resolved(mention, question) for mention in naming]
        # "The smaller machine, the Model 3" is one thing, said twice.
        sets = [rows for rows in sets if not any(other < rows for other in sets)]
        entities = len(sets) > 1 and all(len(rows) == 1 for rows in sets)
        kept: set[int] = set().union(*sets) if sets else set(range(len(table.table.rows)))
        by_column: dict[str, set[int]] = {}
        for mention in grounded.mentions:
            if mention.column != table.table.naming:
                by_column.setdefault(mention.column, set()).update(mention.rows)
        for rows in by_column.values():
            kept &= rows
        return tuple(sorted(kept)), entities

    def _condition(
        self, question: Question, amounts: Sequence[Quantity], grounded: Grounded, wanted: Wanted
    ) -> Condition | None:
        """Return what the amounts demand; None where there are none, or no column has such amounts."""
        if not amounts or len(amounts) > 2:
            return None
        first = amounts[0]
        fitting = [m for m in grounded.table.measures if _comparable(first, m)]
        if not fitting:
            return None
        best = max(fitting, key=lambda m: (_named(m, grounded, first), m.plain, self._likely(m, wanted)))
        if len(amounts) == 2:  # between them
            low, high = sorted(amounts, key=lambda amount: amount.amount)
            return Condition(best, "at least", low, high) if _comparable(amounts[1], best) else None
        compared = self.heads.compared.read(*_around(question.text, first))
        name = max(compared, key=lambda name: compared[name])
        return Condition(best, name, first, sure=compared[name])

    def _likely(self, measure: Measure | None, wanted: Wanted) -> float:
        """Return the log-probability of the kind of a column's amounts being asked for."""
        return math.log(max(_SURE, wanted.aspect.get(aspect_of(measure.kind), 0.0))) if measure else 0.0

    def _likely_any(self, grounded: Grounded, wanted: Wanted) -> float:
        """Return the log-probability that one of the kinds of amounts in a table is asked for."""
        kinds = {aspect_of(measure.kind) for measure in grounded.table.table.measures}
        return math.log(max(_SURE, sum(wanted.aspect.get(kind, 0.0) for kind in kinds)))

    def _candidate(
        self,
        question: Question,
        grounded: Grounded,
        wanted: Wanted,
        operation: str,
        rows: tuple[int, ...],
        entities: bool,
        measure: Measure | None,
        condition: Condition | None,
    ) -> Candidate:
        amounts = {
            number
            for number, token in enumerate(question.tokens)
            for amount in question.amounts
            if amount.start <= token.start < amount.end
        }
        kinds = [aspect_of(each.kind) for each in (measure, condition.measure if condition else None) if each]
        explained = self.explained.of_aspects(kinds)
        open_ = [
            number
            for number, token in enumerate(question.tokens)
            if number not in grounded.covered and number not in amounts and token.stem not in explained
        ]
        heads = grounded.named.get(grounded.table.table.naming, frozenset())
        rows_named = {number for mention in grounded.mentions for number in mention.tokens} | heads
        known = [n for n in grounded.covered if n in rows_named or question.tokens[n].stem not in explained]
        shown = (measure.column if measure else "", condition.measure.column if condition else "")
        other = [name for name in grounded.named if name not in (grounded.table.table.naming, *shown)]
        unexplained, told = self._weight(question, open_), self._weight(question, known)
        unnamed = measure is not None and not _named(measure, grounded)
        features = np.array([
            _log_odds(1 - wanted.operation.get("none", 0.0)),
            math.log(max(_SURE, wanted.operation[operation])),
            self._likely(measure, wanted) if unnamed else 0.0,
            self._likely(measure, wanted) - self._likely_any(grounded, wanted) if unnamed else 0.0,
            float(measure is None or measure.plain),
            unexplained,
            told / max(told + unexplained, _SURE),
            float(bool(grounded.mentions)),
            float(operation in ("count", "list")),
            math.log(max(_SURE, condition.sure)) if condition else 0.0,
        ])  # fmt: skip
        return Candidate(grounded, operation, rows, entities, measure, condition, tuple(other), features)


def parts_of(text: str, language: Language) -> list[str]:
    """Return the parts of a compound question."""
    joined = re.escape(language.joined.strip())
    return [part.strip() for part in re.split(rf"[,;?]|\b{joined}\b", text) if part.strip(" .!")]


def asked_columns(candidate: Candidate, text: str, asker: Asker) -> Candidate:
    """Return a candidate with the further columns that the other parts of a compound question ask for.

    "Which is the cheapest, and how long does it last?": the second part asks for a kind of quantity that the table has.
    """
    parts = parts_of(text, asker.lexicon.language)
    if len(parts) < 2 or candidate.operation not in ("min", "max"):
        return candidate
    table, found = candidate.grounded.table, list(candidate.columns)
    for part, vector in zip(parts[1:], asker.encoder.encode_queries(parts[1:]), strict=True):
        said = stems(part, asker.lexicon.language)
        named = [name for name, own in table.heads.items() if any(same_word(a, b) for a in said for b in own)]
        found += named or _column_of(asker.heads.read(vector), candidate)
    own = (table.table.naming, candidate.measure.column if candidate.measure else "")
    return replace(candidate, columns=tuple(name for name in dict.fromkeys(found) if name not in own))


def _column_of(wanted: Wanted, candidate: Candidate) -> list[str]:
    """Return the column that a part of a question asks for by the kind of its amounts; none where that is unsure."""
    likely = max(wanted.aspect, key=lambda name: wanted.aspect[name])
    measures = candidate.grounded.table.measures
    fitting = [m for m in measures if aspect_of(m.kind) == likely and m is not candidate.measure]
    sure = min(wanted.aspect[likely], wanted.operation.get("none", 0.0)) >= _LIKELIER
    return [max(fitting, key=lambda measure: measure.plain).column] if sure and fitting else []


def _possible(
    operation: str, rows: Sequence[int], grounded: Grounded, condition: Condition | None, entities: bool
) -> bool:
    """Tell whether an operation makes sense over rows."""
    if operation in ("list", "count"):
        return _countable(rows, grounded, condition, operation)
    if operation == "difference":
        return entities and len(rows) == 2
    return len(rows) > 1


def _countable(rows: Sequence[int], grounded: Grounded, condition: Condition | None, operation: str) -> bool:
    """Tell whether rows can be counted or listed: the question says what they are, and means more than one thing."""
    table, naming = grounded.table.table, grounded.table.table.naming
    named = [mention for mention in grounded.mentions if mention.column == naming]
    things = [{table.rows[row].cells.get(naming, "") for row in mention.rows} for mention in named]
    if not rows or any(len(cells) == 1 for cells in things):
        return False
    said = bool(named) or naming in grounded.named or condition is not None
    return said and (operation == "count" or condition is not None or len(named) < len(grounded.mentions))


def _named(measure: Measure, grounded: Grounded, amount: Quantity | None = None) -> bool:
    """Tell whether a question names a column of amounts, by its heading or by what an amount of it counts."""
    counted = amount.unit if amount is not None and amount.kind == "count" else ""
    heads = grounded.table.heads[measure.column]
    return measure.column in grounded.named or any(same_word(counted, head) for head in heads if counted)


def _comparable(amount: Quantity, measure: Measure) -> bool:
    """Tell whether an amount can be held against those of a column; a bare number can against any."""
    if amount.kind in ("number", "count"):
        return measure.kind in ("number", "count") or amount.kind == "number"
    return amount.key == (measure.kind, measure.unit)


def _around(text: str, amount: Quantity) -> tuple[str, str]:
    """Return the words before and after an amount that may say how to compare with it."""
    return " ".join(text[: amount.start].split()[-_BEFORE:]), " ".join(text[amount.end :].split()[:_AFTER])


def aspect_of(kind: str) -> str:
    """Return how a kind of quantity is asked for: what has no words of its own, as a number is."""
    return kind if kind in ("money", "duration", "mass", "length", "volume", "time", "date") else "count"


def _log_odds(probability: float) -> float:
    kept = min(1 - _SURE, max(_SURE, probability))
    return math.log(kept / (1 - kept))
