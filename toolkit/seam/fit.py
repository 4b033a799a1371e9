"""Fitting: gate, router, the weighing of sentences and the words of the voice, from the bot's own rows."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from toolkit.answering import Evidence, EvidencePicker, Gate, RoutePlanner, Scales
from toolkit.answering.checking import (
    PLAIN,
    SUPPORTED,
    Frames,
    Support,
    fit_near,
    fit_scales,
    sentences_of_reply,
    words_of,
)
from toolkit.answering.evidence import units_of
from toolkit.answering.gate import GATE_UNITS, fit_gate, gate_features, known_opinion
from toolkit.answering.thinking import think
from toolkit.examples.made import keyword_question
from toolkit.language import numbers, stems
from toolkit.progress import Progress
from toolkit.reader import identity_of
from toolkit.scoring import Question, holds_facts
from toolkit.seam.weave import SeamRow, evidence_without, units_that_tell

if TYPE_CHECKING:
    from toolkit.engines.speaker import Speaker
    from toolkit.store import Passage

_VOICE_WORD_EXAMPLES = 2
# As with words: what two replies say in the same words is the voice's, and not the fact's.
_FRAME_EXAMPLES = 2
_SYNTHETIC_QUESTIONS = 120
# Reading takes over a tenth of a second a question, and of the sample 20 to 141 of these give an AUC of .82 to .81.
_ROWS_FOR_THE_GATE = 80
_ROWS_FOR_THE_SCALES = 80
# Questions that the base thinks about between two signs of progress; the engine sorts them into batches.
_THOUGHT_AT_ONCE = 32
_FEWEST_ROWS_FOR_THE_SCALES = 20
# Of the sentences of the examples themselves, this share may be taken for unheld.
_MOST_LOST = 0.02
# A subject is a heading of a document: of so many, those that lie furthest apart are named.
_SUBJECTS = 6
_LONGEST_SUBJECT_WORDS = 3
_TITLE_END = re.compile(r"\s+[-–—|]\s+|:\s+")


def voice_words(rows: Sequence[SeamRow], planner: RoutePlanner) -> frozenset[str]:
    """Return the stems that example replies use of their own: in neither the question nor the evidence."""
    counts: Counter[str] = Counter()
    for row in rows:
        own = set(stems(row.example.reply, planner.language)) - set(stems(row.example.question, planner.language))
        for item in row.evidence:
            own -= item.stems
        counts.update(own)
    return frozenset(stem for stem, count in counts.items() if count >= _VOICE_WORD_EXAMPLES and not stem.isdigit())


def subjects_of(titles: Sequence[str], planner: RoutePlanner) -> list[str]:
    """Return what the documents are about: titles that lie far apart, the most central one first.

    Args:
        titles: One for each document.
        planner: The bot's route, for its embedder.
    """
    distinct = list(dict.fromkeys(filter(None, map(_as_subject, titles))))
    if planner.picker is None or not distinct:
        return []
    vectors = planner.picker.encoder.encode(distinct)
    taken = [int((vectors @ vectors.mean(axis=0)).argmax())]
    while len(taken) < min(_SUBJECTS, len(distinct)):
        nearest = (vectors @ vectors[taken].T).max(axis=1)
        nearest[taken] = np.inf
        taken.append(int(nearest.argmin()))
    return [distinct[index] for index in taken]


def _as_subject(title: str) -> str:
    """Return a title as a thing to speak of: without what follows a colon or a dash; empty where it is a sentence."""
    short = _TITLE_END.split(title.strip())[0].strip()
    short = short.capitalize() if short.isupper() else short
    return short if len(short.split()) <= _LONGEST_SUBJECT_WORDS else ""


@dataclass(frozen=True)
class _Judged:
    """A sentence of an example reply, over the evidence of its own row.

    Attributes:
        text: It.
        row: Number of its row.
        ends: Whether it is the first or the last of its reply.
        features: What :class:`Scales` weighs, of shape (4,).
        support: Probability of the best piece of evidence supporting it.
    """

    text: str
    row: int
    ends: bool
    features: np.ndarray
    support: float


def fit_checking(rows: Sequence[SeamRow], planner: RoutePlanner, voice: frozenset[str], seed: int = 0) -> Scales:
    """Fit how the sentences of a reply are weighed: the examples' own against such as nothing holds.

    Those are the same sentences over the evidence of another row, and with their numbers changed. What the turns of
    phrase are, which need no evidence, is fitted as well.

    Args:
        rows: Woven rows.
        planner: The route of the bot that will serve.
        voice: Stems that the example replies use of their own.
        seed: Seed of the choice.
    """
    answered = [row for row in rows if row.kind == "passages" and row.evidence]
    if len(answered) < _FEWEST_ROWS_FOR_THE_SCALES:
        return PLAIN
    chance = random.Random(seed)
    reader = planner.picker.reader if planner.picker else None
    held: list[_Judged] = []
    unheld: list[np.ndarray] = []

    def features(sentence: str, row: SeamRow) -> tuple[np.ndarray, float]:
        support = Support(row.question, row.evidence, voice, reader, planner.language)
        scores = support.of(sentence)
        return support.features(sentence, scores), float(scores.max(initial=0.0))

    for number in chance.sample(range(len(answered)), min(_ROWS_FOR_THE_SCALES, len(answered))):
        row = answered[number]
        said = sentences_of_reply(row.example.reply)
        judged = [_Judged(text, number, at in (0, len(said) - 1), *features(text, row)) for at, text in enumerate(said)]
        held += judged
        stating = max(judged, key=lambda item: item.support).text
        other = chance.choice(answered)
        if other is not row:
            unheld.append(features(stating, other)[0])
        if changed := _other_numbers(stating, planner, chance):
            unheld.append(features(changed, row)[0])
    scales = fit_scales(np.array([item.features for item in held]), np.array(unheld), _MOST_LOST)
    said_in = _said_in(answered)
    known = {_wording(item.text) for item in held}
    # What recurs in rows that were not drawn is judged where it stands first: a fact may recur as well.
    for wording, numbers_of in said_in.items():
        if len(numbers_of) >= _FRAME_EXAMPLES and wording not in known:
            row = answered[number := min(numbers_of)]
            text = next(text for text in sentences_of_reply(row.example.reply) if _wording(text) == wording)
            held.append(_Judged(text, number, False, *features(text, row)))
    return replace(scales, frames=_fit_frames(held, said_in, planner))


def _fit_frames(judged: Sequence[_Judged], said_in: Mapping[str, set[int]], planner: RoutePlanner) -> Frames | None:
    """Fit what the turns of phrase are, and how near to one a sentence must be; None where there are none.

    A turn of phrase is what no evidence supports and more than one reply says, or what a reply opens or closes with.
    What stands between, once, is about the fact that it stands beside: said of another, it would be made up.

    Args:
        judged: Sentences of the example replies.
        said_in: The rows in which each wording stands.
        planner: The bot's route, for its embedder.
    """
    texts: dict[str, str] = {}
    for item in judged:
        wording = _wording(item.text)
        if item.support < SUPPORTED and (item.ends or len(said_in[wording]) >= _FRAME_EXAMPLES):
            texts.setdefault(wording, item.text)
    if not texts or planner.picker is None:
        return None
    encode = planner.picker.encoder.encode
    close = encode([item.text for item in judged]) @ encode(list(texts.values())).T
    # Close to what other replies say: its own is no measure of what is yet to be said.
    elsewhere = np.array([[bool(said_in[wording] - {item.row}) for wording in texts] for item in judged])
    nearest = np.where(elsewhere, close, -1.0).max(axis=1)
    turns = np.array([_wording(item.text) in texts for item in judged])
    return Frames(tuple(texts.values()), fit_near(nearest[turns], nearest[~turns], _MOST_LOST))


def _said_in(rows: Sequence[SeamRow]) -> dict[str, set[int]]:
    """Return the numbers of the rows whose replies have a sentence, for each wording."""
    found: dict[str, set[int]] = {}
    for number, row in enumerate(rows):
        for text in sentences_of_reply(row.example.reply):
            found.setdefault(_wording(text), set()).add(number)
    return found


def _wording(sentence: str) -> str:
    """Return a sentence without what two replies may write differently: case, and the marks between words."""
    return " ".join(words_of(sentence))


def _other_numbers(sentence: str, planner: RoutePlanner, chance: random.Random) -> str | None:
    """Return a sentence with each number in digits replaced by another one; None where it has none."""
    changed = sentence
    for number in sorted(numbers(sentence, planner.language)):
        if number.isdigit() and number in sentence:
            changed = changed.replace(number, str(int(number) + chance.randint(1, 9)))
    return changed if changed != sentence else None


def fit_on_bot(
    rows: Sequence[SeamRow],
    planner: RoutePlanner,
    passages: Sequence[tuple[str, str]],
    questions: Sequence[Question] = (),
    *,
    on_progress: Progress | None = None,
) -> Gate:
    """Fit the gate on the bot's own data.

    Args:
        rows: Training rows; may be empty for a bot without a voice.
        planner: The route of the bot that will serve. Where its model knows its own tokens, what it thinks of the
            questions to calibrate on is weighed too.
        passages: Pairs of source and text, from which questions are made where there are few rows.
        questions: Questions to calibrate on; none of them may be reported on. One whose facts are in none of the
            passages found counts as one that cannot be answered: declining it is right.
        on_progress: Called after each question.

    Raises:
        DataError: There is too little to fit on.
    """
    chance = random.Random(0)
    answered = [row for row in rows if row.kind == "passages" and not row.put_in]
    answered = chance.sample(answered, min(_ROWS_FOR_THE_GATE, len(answered)))
    declined = [row for row in rows if row.kind == "decline" and not row.taken_out]
    made = synthetic_questions(passages, _SYNTHETIC_QUESTIONS - len(answered), planner, seed=0)
    foreign = planner.language.questions
    total = 2 * len(answered) + 2 * len(made) + len(declined) + len(foreign) + len(questions)
    yes: list[np.ndarray] = []
    no: list[np.ndarray] = []

    def tell() -> None:
        if on_progress:
            on_progress("Fitting the gate", len(yes) + len(no) + sum(map(len, asked)), total)

    asked: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    shown: tuple[list[tuple[str, Sequence[Evidence]]], ...] = ([], [])
    for row in answered:
        yes.append(_features_of(row, planner))
        left = evidence_without(row, planner, units_that_tell(row, planner), GATE_UNITS)
        if left.evidence:
            no.append(gate_features(row.question, left, _picker(planner)))
        tell()
    for question, told in made:
        found = planner.search(question)
        yes.append(_features(question, planner, found))
        no.append(_features(question, planner, found, without={told}))
        tell()
    no += [_features_of(row, planner) for row in declined]
    for question in foreign:
        no.append(_features(question, planner, planner.search(question)))
        tell()
    for item in questions:
        found = planner.search(item.question)
        known = not item.unanswerable and (not item.facts or any(holds_facts(p.text, item.facts) for p in found))
        picked = planner.pick(item.question, found, GATE_UNITS)
        asked[not known].append(gate_features(item.question, picked, _picker(planner)))
        shown[not known].append((item.question, picked.evidence))
        tell()
    untold = _untold([*shown[0], *shown[1]], planner.speaker, on_progress) if planner.speaker else None
    gate = fit_gate(
        np.array(yes),
        np.array(no),
        max_false_refusals=planner.settings.max_false_refusals,
        asked=(np.array(asked[0]), np.array(asked[1])) if questions else None,
        untold=untold,
        reader=identity_of(_picker(planner).reader),
    )
    if gate.second is None and planner.base.grounded and planner.settings.reader == "bundled":
        gate.second = known_opinion(planner.settings.max_false_refusals)
    return gate


def _untold(
    asked: Sequence[tuple[str, Sequence[Evidence]]], speaker: Speaker, on_progress: Progress | None
) -> np.ndarray | None:
    """Return the base's log-odds that the evidence does not tell, of shape (questions,); None where it has none."""
    found: list[float] = []
    for start in range(0, len(asked), _THOUGHT_AT_ONCE):
        thoughts = think(asked[start : start + _THOUGHT_AT_ONCE], speaker, short=False)
        if thoughts is None:
            return None
        found += [thought.untold for thought in thoughts]
        if on_progress:
            on_progress("Letting the base think about the questions", len(found), len(asked))
    return np.array(found) if found else None


def _features_of(row: SeamRow, planner: RoutePlanner) -> np.ndarray:
    """Return what the gate sees of a row's question: what was picked when it was woven."""
    return gate_features(row.question, row.route.picked, _picker(planner))


def _features(
    question: str, planner: RoutePlanner, found: Sequence[Passage], *, without: Collection[str] = ()
) -> np.ndarray:
    """Return what the gate sees of a question with these passages, or would see without some units."""
    picked = planner.pick(question, found, GATE_UNITS, without=without)
    return gate_features(question, picked, _picker(planner))


def _picker(planner: RoutePlanner) -> EvidencePicker:
    assert planner.picker is not None
    return planner.picker


def synthetic_questions(
    passages: Sequence[tuple[str, str]], count: int, planner: RoutePlanner, *, seed: int
) -> list[tuple[str, str]]:
    """Make questions out of sentences of the documents: some of their content words, in another order.

    Args:
        passages: Pairs of source and text.
        count: How many to make at most.
        planner: The bot's route, for its language.
        seed: Seed of the choice.

    Returns:
        Pairs of question and the unit that answers it.
    """
    chance = random.Random(seed)
    sentences = [unit.text for _, text in passages for unit in units_of(text) if 6 <= len(unit.text.split()) <= 40]
    chosen = chance.sample(sentences, max(0, min(count, len(sentences))))
    asked = [(keyword_question(sentence, planner.language, chance), sentence) for sentence in chosen]
    return [(question, sentence) for question, sentence in asked if question]
