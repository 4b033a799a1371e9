"""What was computed, as a sentence of the table's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.language import Language, stems
from toolkit.language.sentences import split_sentences
from toolkit.tables.candidates import Candidate
from toolkit.tables.grounding import same_word
from toolkit.tables.model import NAME_WORDS, Row, Table
from toolkit.tables.quantities import Quantity
from toolkit.tables.tool import Computed
from toolkit.tables.wording import Wording

# Rows that a reply names one by one; what rests on more is left to the passages.
MOST_NAMED = 15


@dataclass(frozen=True)
class Fact:
    """A computed answer.

    Attributes:
        text: It, in a sentence or a few.
        vital: What a retelling must hold: the names and the amounts.
        computed: What was computed.
        rows: Numbers of the rows that it rests on, those that the reply names first.
    """

    text: str
    vital: tuple[str, ...]
    computed: Computed
    rows: tuple[int, ...]


def fact_of(candidate: Candidate, computed: Computed, wording: Wording, language: Language) -> Fact | None:
    """Put what was computed into words.

    Args:
        candidate: How the question was understood.
        computed: What came of it.
        wording: How it is said in the language.
        language: The language.

    Returns:
        The fact, or None where it would name more than :data:`MOST_NAMED` rows.
    """
    teller = _Teller(computed, wording, language)
    operation, rows = computed.operation, computed.rows
    if operation not in ("min", "max") and len(rows) > MOST_NAMED:
        return None
    if operation in ("min", "max"):
        beaten = [row for row in candidate.rows if row not in rows] if candidate.entities else []
        columns = candidate.columns if len(rows) == 1 else ()
        return teller.told([*rows, *beaten], columns)
    if operation in ("sum", "mean", "difference"):
        return teller.amount()
    return teller.listed()


class _Teller:
    def __init__(self, computed: Computed, wording: Wording, language: Language) -> None:
        self.computed = computed
        self.wording = wording
        self.language = language
        self.table: Table = computed.table

    def told(self, rows: Sequence[int], columns: Sequence[str]) -> Fact:
        """Tell rows with their amounts, and further columns of the one found."""
        sentences, vital = [], []
        for number in rows:
            row, value = self.computed.row(number), self.computed.value(number)
            assert value is not None
            said = _sentence(row, value, self.language)
            more = [(name, row.cells[name]) for name in columns if row.cells.get(name)]
            own = [f"{name} {cell}".strip() for name, cell in more if cell not in (said or "")]
            if said is None:
                column = self.computed.measure.column if self.computed.measure else ""
                own = [f"{column} {value.said}".strip(), *own]
            sentences += [said] if said else []
            sentences += [self.wording.of.format(name=row.label, facts=", ".join(own))] if own else []
            vital += [row.label, value.said, *(cell for _, cell in more if len(cell.split()) <= NAME_WORDS)]
        return self._fact(" ".join(sentences), vital, rows)

    def amount(self) -> Fact:
        """Tell an amount and what it was made of."""
        rows, wording = self.computed.rows, self.wording
        parts = [self._part(number) for number in rows]
        vital = [self.computed.amount]
        if self.computed.operation == "difference":
            (a, first), (b, second) = ((self.computed.row(n).label, self._said(n)) for n in rows)
            text = wording.difference.format(a=a, first=first, b=b, second=second, value=self.computed.amount)
            vital += [a, b]
        elif self.computed.operation == "mean":
            listed = self.language.enumerated(parts)
            text = wording.mean.format(value=self.computed.amount, count=len(rows), parts=listed)
        else:
            text = wording.total.format(value=self.computed.amount, parts=self.language.enumerated(parts))
            vital += [self.computed.row(number).label for number in rows]
        return self._fact(text, vital, rows)

    def listed(self) -> Fact:
        """Tell several rows, and how many they are where that was asked."""
        rows = self.computed.rows
        listed = self.language.enumerated([self._part(number) for number in rows])
        vital = [self.computed.row(number).label for number in rows]
        if self.computed.operation == "count":
            return self._fact(self.wording.count.format(value=len(rows), parts=listed), [str(len(rows))], rows)
        return self._fact(f"{listed}.", vital, rows)

    def _said(self, number: int) -> str:
        value = self.computed.value(number)
        return value.said if value else ""

    def _part(self, number: int) -> str:
        said, label = self._said(number), self.computed.row(number).label
        return f"{label} ({said})" if said else label

    def _fact(self, text: str, vital: Sequence[str], rows: Sequence[int]) -> Fact:
        return Fact(text, tuple(dict.fromkeys(filter(None, vital))), self.computed, tuple(rows))


def _sentence(row: Row, value: Quantity, language: Language) -> str | None:
    """Return the shortest sentence of a row's cells that says its name and the amount; None where there is none."""
    name = stems(row.label, language)
    found = []
    for cell in row.cells.values():
        if len(cell.split()) <= NAME_WORDS - 2 or value.said not in cell:
            continue
        for start, end in split_sentences(cell):
            said = cell[start:end].strip()
            words = stems(said, language)
            if value.said in said and all(any(same_word(one, word) for word in words) for one in name):
                found.append(said if said[-1:] in ".!?" else f"{said}.")
    return min(found, key=len, default=None)
