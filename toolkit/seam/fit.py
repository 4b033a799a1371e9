"""Fitting: the gate and the words of the voice, from the rows that the bot is trained on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolkit.answering import Chain, EvidencePicker, Gate
from toolkit.answering.evidence import units_of
from toolkit.answering.gate import FOREIGN_QUESTIONS, GATE_UNITS, fit_gate, gate_features
from toolkit.language import stems
from toolkit.progress import Progress
from toolkit.scoring import Question
from toolkit.seam.weave import SeamRow, evidence_without_answer

if TYPE_CHECKING:
    from toolkit.store import Passage

_VOICE_WORD_EXAMPLES = 2
_SYNTHETIC_QUESTIONS = 120


def voice_words(rows: Sequence[SeamRow]) -> frozenset[str]:
    """Return the stems that example replies use of their own: in neither the question nor the evidence."""
    counts: Counter[str] = Counter()
    for row in rows:
        own = set(stems(row.example.reply)) - set(stems(row.example.question))
        for item in row.evidence:
            own -= item.stems
        counts.update(own)
    return frozenset(stem for stem, count in counts.items() if count >= _VOICE_WORD_EXAMPLES and not stem.isdigit())


def fit_on_bot(
    rows: Sequence[SeamRow],
    chain: Chain,
    passages: Sequence[tuple[str, str]],
    questions: Sequence[Question] = (),
    *,
    on_progress: Progress | None = None,
) -> Gate:
    """Fit the gate on the bot's own data.

    Args:
        rows: Training rows; may be empty for a bot without a voice.
        chain: The chain that will serve.
        passages: Pairs of source and text, from which questions are made where there are few rows.
        questions: Questions to calibrate on; none of them may be reported on.
        on_progress: Called after each question.

    Raises:
        DataError: There is too little to fit on.
    """
    answered = [row for row in rows if row.kind == "passages"]
    declined = [row for row in rows if row.kind == "decline" and not row.taken_out]
    made = synthetic_questions(passages, _SYNTHETIC_QUESTIONS - len(answered), seed=0)
    total = 2 * len(answered) + 2 * len(made) + len(declined) + len(FOREIGN_QUESTIONS) + len(questions)
    yes: list[np.ndarray] = []
    no: list[np.ndarray] = []
    for row in answered:
        yes.append(_features(row.question, chain, row.passages))
        if left := evidence_without_answer(row, chain, GATE_UNITS):
            no.append(gate_features(row.question, left, _picker(chain)))
        _tell(on_progress, len(yes) + len(no), total)
    for question, told in made:
        yes.append(_features(question, chain))
        no.append(_features(question, chain, without={told}))
        _tell(on_progress, len(yes) + len(no), total)
    no += [_features(row.question, chain, row.passages) for row in declined]
    for question in FOREIGN_QUESTIONS:
        no.append(_features(question, chain))
        _tell(on_progress, len(yes) + len(no), total)
    asked: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for item in questions:
        asked[item.unanswerable].append(_features(item.question, chain))
        _tell(on_progress, len(yes) + len(no) + sum(map(len, asked)), total)
    return fit_gate(
        np.array(yes),
        np.array(no),
        max_false_refusals=chain.settings.max_false_refusals,
        asked=(np.array(asked[0]), np.array(asked[1])) if questions else None,
    )


def _tell(on_progress: Progress | None, done: int, total: int) -> None:
    if on_progress and (done % 20 == 0 or done == total):
        on_progress("Fitting the gate", done, total)


def _features(
    question: str, chain: Chain, passages: Sequence[Passage] | None = None, *, without: Collection[str] = ()
) -> np.ndarray:
    """Return what the gate sees of a question when the bot serves, or would see without some units."""
    evidence = chain.evidence_for(question, passages, without=without, count=GATE_UNITS)[1]
    return gate_features(question, evidence, _picker(chain))


def _picker(chain: Chain) -> EvidencePicker:
    assert chain.picker is not None
    return chain.picker


def synthetic_questions(
    passages: Sequence[tuple[str, str]], count: int, *, seed: int
) -> list[tuple[str, str]]:
    """Make questions out of sentences of the documents: some of their content words, in another order.

    Args:
        passages: Pairs of source and text.
        count: How many to make at most.
        seed: Seed of the choice.

    Returns:
        Pairs of question and the unit that answers it.
    """
    chance = random.Random(seed)
    sentences = [unit for _, text in passages for unit in units_of(text) if 6 <= len(unit.split()) <= 40]
    chosen = chance.sample(sentences, max(0, min(count, len(sentences))))
    questions = []
    for sentence in chosen:
        words = [word.strip(".,;:()\"'") for word in sentence.split()]
        content = [word for word in words if stems(word) and not any(letter.isdigit() for letter in word)]
        if len(content) < 3:
            continue
        kept = chance.sample(content, max(3, round(len(content) * 0.5)))
        lead = chance.choice(["What about", "Tell me about", "How is it with", "What is the", "When is the"])
        questions.append((f"{lead} {' '.join(kept)}?", sentence))
    return questions
