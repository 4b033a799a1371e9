"""Questions made from a bot's own documents, with no model: of headings, table rows and sentences.

A heading, or the name of a row and a column, are what people type into a search box in any language. So nothing here
knows a word of one: the language only tells which words of a sentence carry its meaning.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.answering.evidence import Unit, units_of
from toolkit.examples.replies import Example
from toolkit.language import Language, Lexicon, stems

Kind = Literal["heading", "cell", "sentence"]

_MARKS = ".,;:()\"'"
# A unit of fewer words states nothing, and of more states too much to be the answer to one question.
_UNIT_WORDS = range(4, 41)
_SENTENCE_WORDS = range(6, 41)
_FEWEST_KEYWORDS = 3
# Longer names of rows and columns, and longer headings, are sentences.
_LONGEST_NAME_WORDS = 8
_CELL = re.compile(r"([^;|\n]{1,60}?): (\S[^;|\n]*)")


@dataclass(frozen=True)
class MadePassage:
    """A passage that questions are made from.

    Attributes:
        source: Name of its file.
        heading: Path of the headings above it, joined by `` > ``; empty where there are none.
        text: Its text.
    """

    source: str
    heading: str
    text: str


@dataclass(frozen=True)
class MadeExample:
    """A question about a document.

    Attributes:
        question: What is asked.
        answer: The sentence, row or list that answers, word for word.
        kind: What the question was made of.
        passage: The passage that the answer stands in.
    """

    question: str
    answer: str
    kind: Kind
    passage: MadePassage

    def as_example(self, line: int) -> Example:
        """Return it as an example whose reply is the document's own words: the facts, and nobody's voice.

        Args:
            line: A number that no other example has.
        """
        return Example(self.question, self.answer, (), line, line, source=self.passage.source)


def made_examples(
    passages: Iterable[tuple[str, str, str]], lexicon: Lexicon, seed: int, count: int
) -> list[MadeExample]:
    """Make questions from documents, of each kind about as many; a question that two things answer is left out.

    - of a heading the heading itself, with those above it where another document has the same: its first sentence
      answers;
    - of a row of a table the name of the row and that of a column: the row answers;
    - of a sentence some of its content words, in another order.

    Args:
        passages: Source, heading path and text of each passage, as ``Knowledge.texts`` gives them.
        lexicon: The language of the documents.
        seed: Another seed is another choice.
        count: How many to make at most.

    Example:
        >>> lamp = ("lamp.md", "Ember lamp > Care", "Wipe the glass with a dry cloth.")
        >>> [made.question for made in made_examples([lamp], Lexicon(), seed=0, count=1)]
        ['Care?']
    """
    chance = random.Random(seed)
    held = [MadePassage(*passage) for passage in passages]
    units = {passage: units_of(passage.text, lexicon.language) for passage in held}
    kinds: tuple[Callable[[], list[MadeExample]], ...] = (
        lambda: _of_headings(held, units),
        lambda: _of_cells(held, units),
        lambda: _of_sentences(held, units, lexicon.language, chance),
    )
    queues = []
    for kind in kinds:
        made = _unambiguous(kind())
        queues.append(chance.sample(made, len(made)))
    chosen: list[MadeExample] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop() for queue in queues if queue]
    return chosen[:count]


def keyword_question(sentence: str, language: Language, chance: random.Random) -> str | None:
    """Return half of the content words of a sentence in another order, as a question; None where it has too few.

    Numbers are left out: they are what is asked for.
    """
    words = [word.strip(_MARKS) for word in sentence.split()]
    content = [word for word in words if stems(word, language) and not any(map(str.isdigit, word))]
    if len(content) < _FEWEST_KEYWORDS:
        return None
    return f"{' '.join(chance.sample(content, max(_FEWEST_KEYWORDS, round(len(content) * 0.5))))}?"


def _of_headings(held: Sequence[MadePassage], units: dict[MadePassage, list[Unit]]) -> list[MadeExample]:
    """Ask each heading once, of the first passage under it."""
    first: dict[tuple[str, str], MadePassage] = {}
    for passage in held:
        if passage.heading:
            first.setdefault((passage.source, passage.heading), passage)
    leaves = Counter(heading.rsplit(" > ", 1)[-1] for _, heading in first)
    made = []
    for (_, heading), passage in first.items():
        leaf = heading.rsplit(" > ", 1)[-1]
        asked = leaf if leaves[leaf] == 1 else heading.replace(" > ", " ")
        answer = next((unit.text for unit in units[passage] if len(unit.text.split()) in _UNIT_WORDS), None)
        if answer and _is_name(asked) and not answer.endswith("?"):
            made.append(MadeExample(_asked(asked), answer, "heading", passage))
    return made


def _of_cells(held: Sequence[MadePassage], units: dict[MadePassage, list[Unit]]) -> list[MadeExample]:
    """Ask each cell of a row that has the names of its columns, but for the first one, which names the row."""
    made = []
    for passage in held:
        for unit in units[passage]:
            cells = [_CELL.fullmatch(part) for part in unit.text.split("; ")]
            if len(cells) < 2 or not all(cells):
                continue
            (_, name), *others = [(cell[1], cell[2]) for cell in cells if cell]
            for column, _ in others:
                if _is_name(name) and _is_name(column):
                    made.append(MadeExample(_asked(f"{name} {column}"), unit.text, "cell", passage))
    return made


def _of_sentences(
    held: Sequence[MadePassage], units: dict[MadePassage, list[Unit]], language: Language, chance: random.Random
) -> list[MadeExample]:
    made = []
    for passage in held:
        for unit in units[passage]:
            asked = keyword_question(unit.text, language, chance) if len(unit.text.split()) in _SENTENCE_WORDS else None
            if asked:
                made.append(MadeExample(asked, unit.text, "sentence", passage))
    return made


def _is_name(text: str) -> bool:
    return 0 < len(text.split()) <= _LONGEST_NAME_WORDS and any(map(str.isalpha, text))


def _asked(text: str) -> str:
    return f"{text.strip().rstrip('?:.').rstrip()}?"


def _unambiguous(made: Sequence[MadeExample]) -> list[MadeExample]:
    """Leave out questions that are asked twice with two answers, and repetitions of one."""
    answers: dict[str, dict[str, MadeExample]] = {}
    for item in made:
        answers.setdefault(item.question.lower(), {}).setdefault(item.answer, item)
    return [next(iter(found.values())) for found in answers.values() if len(found) == 1]
