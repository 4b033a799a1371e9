"""The seam: each example reply becomes a training row with the passages that the bot finds when it serves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from toolkit.chain import Chain
from toolkit.checking import declines
from toolkit.chunking import split_sentences
from toolkit.config import VoiceSettings
from toolkit.evidence import Evidence, EvidencePicker, units_of
from toolkit.gate import FOREIGN_QUESTIONS, GATE_UNITS, Gate, fit_gate, gate_features
from toolkit.prompts import Message, answer_messages
from toolkit.scoring import Question
from toolkit.style import Example
from toolkit.words import numbers, stems

if TYPE_CHECKING:
    from toolkit.retrieval import Passage

Progress = Callable[[str, int, int], None]
Kind = Literal["passages", "decline", "alone"]

# A reply is taken to rest on the evidence from this cosine on, between a sentence of each.
_SUPPORT_SIMILARITY = 0.55
# Units looked through for others that tell the same, where the answer is taken out of the evidence.
_UNITS_LOOKED_THROUGH = 30
# Declining replies that rows with the answer taken out are given: those that fit any question.
_TYPICAL_DECLINES = 8
_VOICE_WORD_EXAMPLES = 2
_SYNTHETIC_QUESTIONS = 120


@dataclass(frozen=True)
class SeamRow:
    """A training row before it is tokenised.

    Attributes:
        example: The example reply.
        kind: ``passages`` where the evidence supports the reply, ``decline`` where the reply says that the documents
            do not tell, ``alone`` where the reply rests on no document.
        question: The question as it is searched for: a follow-up is rewritten as in serving.
        evidence: What retrieval brings for it.
        messages: What the model is shown.
        passages: What was retrieved.
        taken_out: Whether the answer was taken out of the evidence to make a row that declines.
    """

    example: Example
    kind: Kind
    question: str
    evidence: tuple[Evidence, ...]
    messages: list[Message]
    passages: tuple[Passage, ...] = ()
    taken_out: bool = False


def weave(
    examples: Sequence[Example], chain: Chain, settings: VoiceSettings, *, on_progress: Progress | None = None
) -> list[SeamRow]:
    """Render every example reply together with the passages that retrieval finds for its question.

    A reply that rests on no passage found (small talk, or something the documents do not hold) is shown without
    passages, so that the adapter never learns to say what the notes do not. A share of the others is shown without
    passages as well.

    Args:
        examples: Example replies.
        chain: The chain that will serve, with the base model or any other chat model for rewriting.
        settings: The ``voice`` section of ``bot.yaml``.
        on_progress: Called after each row.
    """
    chance = random.Random(settings.seed)
    rows: list[SeamRow] = []
    for number, example in enumerate(examples, start=1):
        row = _row(example, chain)
        if row.kind == "passages" and chance.random() < settings.rows_without_passages:
            row = SeamRow(example, "alone", row.question, (), _alone(example, chain))
        rows.append(row)
        if on_progress and (number % 10 == 0 or number == len(examples)):
            on_progress("Finding the passages of each example reply", number, len(examples))
    rows += declining_rows(rows, chain, settings.rows_that_decline, chance)
    chance.shuffle(rows)
    return rows


def declining_rows(rows: Sequence[SeamRow], chain: Chain, share: float, chance: random.Random) -> list[SeamRow]:
    """Make rows that decline: a question that the documents answer, with the answer taken out of the evidence.

    What is left is about the same things and does not tell: the very case in which a model makes something up.

    Args:
        rows: Woven rows.
        chain: The chain that will serve.
        share: How many to make, as a share of the rows with passages.
        chance: Draws the rows and their replies.
    """
    replies = typical_declines(rows, chain)
    answered = [row for row in rows if row.kind == "passages"]
    if not replies or not answered:
        return []
    made = []
    for row in chance.choices(answered, k=round(share * len(answered))) if share > 1 else chance.sample(
        answered, round(share * len(answered))
    ):
        evidence = evidence_without_answer(row, chain)
        if evidence:
            example = replace(row.example, reply=chance.choice(replies), declines=True)
            messages = answer_messages(chain.settings.system, row.question, [item.shown for item in evidence])
            made.append(replace(row, example=example, kind="decline", evidence=tuple(evidence), messages=messages,
                                taken_out=True))  # fmt: skip
    return made


def evidence_without_answer(row: SeamRow, chain: Chain, count: int | None = None) -> list[Evidence]:
    """Return the evidence for a row's question once every unit that tells its reply is taken out.

    Args:
        row: A row with passages.
        chain: The chain that will serve.
        count: Units to pick; default: as many as the model is shown.
    """
    assert chain.picker is not None
    wide = chain.picker.pick(row.question, row.passages, _UNITS_LOOKED_THROUGH)
    reply = row.example.reply
    said, stated = set(stems(reply)), numbers(reply) - numbers(row.question)
    sentences = [reply[start:end] for start, end in split_sentences(reply)] or [reply]
    vectors = chain.picker.encoder.encode(sentences)
    similarity = [float((vectors @ item.vector).max()) for item in wide]
    telling = {
        item.quote
        for item, close in zip(wide, similarity, strict=True)
        if close >= _SUPPORT_SIMILARITY
        and (not stated or numbers(item.quote) & stated)
        and len(said & item.stems) >= 2
    }
    return chain.evidence_for(row.question, row.passages, without=telling, count=count)[1] if telling else []


def _row(example: Example, chain: Chain) -> SeamRow:
    """Decide what an example reply rests on and lay out what the model is shown."""
    if chain.is_small_talk(example.question):
        return SeamRow(example, "alone", example.question, (), _alone(example, chain))
    question = chain.rewrite(example.question, example.history) if chain.knowledge else example.question
    passages, evidence = chain.evidence_for(question)
    found = tuple(passages)
    if not evidence:
        return SeamRow(example, "alone", question, (), _alone(example, chain))
    shown = [item.shown for item in evidence]
    if example.declines or declines(example.reply):
        messages = answer_messages(chain.settings.system, question, shown)
        return SeamRow(example, "decline", question, tuple(evidence), messages, found)
    if not _supports(example, evidence, chain):
        # The question alone may not find what the reply says: look with the reply, and show that among the rest.
        _, better = chain.evidence_for(f"{question} {example.reply}")
        best = _supporting(example, better, chain)
        if best is None:
            return SeamRow(example, "alone", question, (), _alone(example, chain))
        evidence = [*[item for item in evidence if item.quote != best.quote][: len(evidence) - 1], best]
        shown = [item.shown for item in evidence]
    messages = answer_messages(chain.settings.system, question, shown)
    return SeamRow(example, "passages", question, tuple(evidence), messages, found)


def _alone(example: Example, chain: Chain) -> list[Message]:
    """Lay out an example without passages, as serving does for small talk."""
    recent = example.history[-chain.settings.history_turns :] if chain.settings.history_turns else ()
    return answer_messages(chain.settings.system, example.question, history=recent)


def _supports(example: Example, evidence: Sequence[Evidence], chain: Chain) -> bool:
    return _supporting(example, evidence, chain) is not None


def _supporting(example: Example, evidence: Sequence[Evidence], chain: Chain) -> Evidence | None:
    """Return the evidence that states what the reply says, or None.

    It must be close to a sentence of the reply, and all the evidence together must hold the reply's numbers.
    """
    if not evidence or chain.picker is None:
        return None
    told = numbers(" ".join([example.question, *(item.shown for item in evidence)]))
    if numbers(example.reply) - told:
        return None
    sentences = [example.reply[start:end] for start, end in split_sentences(example.reply)] or [example.reply]
    said = chain.picker.encoder.encode([*sentences, example.reply])
    similarity = (said @ np.stack([item.vector for item in evidence]).T).max(axis=0)
    best = int(similarity.argmax())
    return evidence[best] if similarity[best] >= _SUPPORT_SIMILARITY else None


def voice_words(rows: Sequence[SeamRow]) -> frozenset[str]:
    """Return the stems that example replies use of their own: in neither the question nor the evidence."""
    counts: Counter[str] = Counter()
    for row in rows:
        own = set(stems(row.example.reply)) - set(stems(row.example.question))
        for item in row.evidence:
            own -= item.stems
        counts.update(own)
    return frozenset(stem for stem, count in counts.items() if count >= _VOICE_WORD_EXAMPLES and not stem.isdigit())


def typical_declines(rows: Sequence[SeamRow], chain: Chain) -> list[str]:
    """Return the declining example replies that fit any question, best first.

    They are close to all the others and far from their own question: what they say of that would be odd elsewhere.
    Where there is none, the reply that ``chain.decline`` of ``bot.yaml`` gives, if it does.
    """
    examples = [row.example for row in rows if row.kind == "decline" and not row.taken_out]
    replies = [example.reply for example in examples]
    if not replies or chain.picker is None:
        return [chain.settings.decline] if chain.settings.decline else []
    vectors = chain.picker.encoder.encode(replies)
    questions = chain.picker.encoder.encode([example.question for example in examples])
    order = np.argsort((vectors * questions).sum(axis=1) - vectors @ vectors.mean(axis=0))
    return [replies[int(index)] for index in order[:_TYPICAL_DECLINES]]


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
