"""Which table a question is about, and which of its rows: by the words that stand in both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from toolkit.language import Lexicon, stems
from toolkit.tables.model import NAME_WORDS, Measure, Table
from toolkit.tables.quantities import Quantity

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# A word that stands in this share of a table's rows tells what the table is about.
_TOPIC = 0.5
# A stem that another begins with is the same word ("teaches" and "teacher"), from this length on.
_SHORTEST_STEM = 4


@dataclass(frozen=True)
class Token:
    """A word of a question that may mean something in a table."""

    stem: str
    start: int
    end: int


@dataclass(frozen=True)
class Mention:
    """Words of a question that name rows.

    Attributes:
        tokens: The words, by their numbers.
        column: The column that they stand in.
        rows: The rows that have all of them there.
    """

    tokens: tuple[int, ...]
    column: str
    rows: frozenset[int]


@dataclass(frozen=True)
class Question:
    """A question cut into what may be looked for in tables.

    Attributes:
        text: It.
        tokens: Its words.
        amounts: The amounts in it.
    """

    text: str
    tokens: tuple[Token, ...]
    amounts: tuple[Quantity, ...]

    @classmethod
    def of(cls, text: str, amounts: Sequence[Quantity], lexicon: Lexicon) -> Question:
        """Cut a question."""
        tokens = [
            Token(stem, match.start(), match.end())
            for match in _WORD.finditer(text)
            for stem in stems(match.group(), lexicon.language)
        ]
        return cls(text, tuple(tokens), tuple(amounts))


@dataclass(frozen=True)
class Grounded:
    """How a question stands to a table.

    Attributes:
        table: The table.
        mentions: What names rows, in the order of the question.
        named: Columns whose name stands in the question, by the numbers of the words.
        covered: The words that the table knows, by their numbers.
    """

    table: IndexedTable
    mentions: tuple[Mention, ...]
    named: dict[str, frozenset[int]]
    covered: frozenset[int]


@dataclass
class IndexedTable:
    """A table with the stems that stand in it.

    Args:
        table: The table.
        lexicon: How rare words are, and their language.
    """

    table: Table
    lexicon: Lexicon = field(repr=False)

    def _stems(self, text: str) -> frozenset[str]:
        return frozenset(stems(text, self.lexicon.language))

    @cached_property
    def cells(self) -> dict[str, list[frozenset[str]]]:
        """Stems of each row's cell, for the columns of names."""
        return {
            column: [self._stems(row.cells.get(column, "")) for row in self.table.rows]
            for column in dict.fromkeys((self.table.naming, *self.table.short_columns))
        }

    @cached_property
    def holding(self) -> dict[str, dict[str, frozenset[int]]]:
        """For each column of names, the rows that hold a stem there."""
        result: dict[str, dict[str, set[int]]] = {}
        for column, cells in self.cells.items():
            for row, own in enumerate(cells):
                for stem in own:
                    result.setdefault(column, {}).setdefault(stem, set()).add(row)
        return {column: {stem: frozenset(rows) for stem, rows in held.items()} for column, held in result.items()}

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The amounts that may be asked for: those of a sentence that says again what a column holds are left out."""
        plain = [measure for measure in self.table.measures if measure.plain]
        kept = [m for m in self.table.measures if m.plain or not any(_same(m, other) for other in plain)]
        return tuple(kept)

    @cached_property
    def heads(self) -> dict[str, frozenset[str]]:
        """Stems of the names of the columns."""
        return {column: self._stems(column) for column in self.table.columns}

    @cached_property
    def topic(self) -> frozenset[str]:
        """Stems of what the table is about: those over it, and those that most of its rows have in their sentences."""
        counts: dict[str, int] = {}
        for row in self.table.rows:
            said = " ".join(cell for cell in row.cells.values() if len(cell.split()) > NAME_WORDS)
            for stem in self._stems(said):
                counts[stem] = counts.get(stem, 0) + 1
        common = {stem for stem, count in counts.items() if count >= _TOPIC * len(self.table.rows)}
        return self._stems(self.table.about) | common

    @cached_property
    def words(self) -> frozenset[str]:
        """All stems by which a question may mean this table."""
        held = {stem for column in self.holding.values() for stem in column}
        return frozenset(held).union(self.topic, *self.heads.values())

    def ground(self, question: Question, joined: str, explained: frozenset[str] = frozenset()) -> Grounded:
        """Find what a question says of the table.

        Args:
            question: It.
            joined: The word that stands between two of several: what it parts is named apart.
            explained: Stems of questions over any table: "first" alone does not name the "First Aid Kit".
        """
        mentions = [
            mention
            for mention in self._mentions(question, joined)
            if not self._by_chance({question.tokens[number].stem for number in mention.tokens}, mention, explained)
        ]
        taken = {number for mention in mentions for number in mention.tokens}
        named: dict[str, set[int]] = {}
        covered = set(taken)
        for number, token in enumerate(question.tokens):
            if number in taken:
                continue
            for column, own in self.heads.items():
                if any(same_word(token.stem, stem) for stem in own):
                    named.setdefault(column, set()).add(number)
                    covered.add(number)
            if token.stem in self.topic:
                covered.add(number)
        frozen = {column: frozenset(numbers) for column, numbers in named.items()}
        return Grounded(self, tuple(mentions), frozen, frozenset(covered))

    def _mentions(self, question: Question, joined: str) -> list[Mention]:
        """Find the runs of words that stand in one row's cell together."""
        found: list[Mention] = []
        tokens = question.tokens
        index = 0
        while index < len(tokens):
            best: Mention | None = None
            for column, held in self.holding.items():
                rows, last = held.get(tokens[index].stem), index
                if rows is None:
                    continue
                while last + 1 < len(tokens) and not parted(question.text, tokens[last], tokens[last + 1], joined):
                    both = rows & held.get(tokens[last + 1].stem, frozenset())
                    if not both:
                        break
                    rows, last = both, last + 1
                mention = Mention(tuple(range(index, last + 1)), column, rows)
                # A number alone names no row.
                if all(tokens[number].stem.isdigit() for number in mention.tokens):
                    continue
                if best is None or len(mention.tokens) > len(best.tokens):
                    best = mention
                if column == self.table.naming:
                    break  # what is the name of a row is meant so
            if best:
                found.append(best)
            index = best.tokens[-1] + 1 if best else index + 1
        return found

    def _by_chance(self, said: set[str], mention: Mention, explained: frozenset[str]) -> bool:
        """Tell whether words that any question may have stand in a name as well, without being it."""
        cells = self.cells[mention.column]
        return said <= explained and not any(cells[row] <= said for row in mention.rows)

    def resolved(self, mention: Mention, question: Question) -> frozenset[int]:
        """Return the one row that words name, which has the least beside them; all where none stands out.

        Of an "oak table" and an "oak stool", "the oak" is the table where the tables are more.
        """
        said = {question.tokens[number].stem for number in mention.tokens}
        cells = self.cells[mention.column]
        left = sorted((sum(map(self._rarity, cells[row] - said)), row) for row in mention.rows)
        if len(left) == 1 or left[0][0] < left[1][0] - 1e-9:
            return frozenset({left[0][1]})
        return mention.rows

    def _rarity(self, stem: str) -> float:
        """Return how much a word tells within the table: less, the more rows have it."""
        rows = self.holding[self.table.naming].get(stem, frozenset())
        return self.lexicon.weight(stem) / max(1, len(rows))


def parted(text: str, left: Token, right: Token, joined: str) -> bool:
    """Tell whether two words of a question are parted by a comma or the word that joins several."""
    between = text[left.end : right.start].lower()
    return "," in between or joined in between.split()


def _same(left: Measure, right: Measure) -> bool:
    """Tell whether two columns hold the same amounts."""
    pairs = [(a.amount, b.amount) for a, b in zip(left.values, right.values, strict=True) if a and b]
    return bool(pairs) and all(a == b for a, b in pairs)


def same_word(left: str, right: str) -> bool:
    """Tell whether two stems are forms of one word."""
    short, long = sorted((left, right), key=len)
    return left == right or (len(short) >= _SHORTEST_STEM and long.startswith(short))
