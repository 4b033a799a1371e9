"""Holding what an agent says against what its tools found, sentence by sentence, as the chain's replies are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toolkit.answering.checking import MARK, SUPPORTED, Scales, Support, sentences_of_reply
from toolkit.answering.evidence import Evidence, noted, unlisted
from toolkit.language import Language, numbers, stems

if TYPE_CHECKING:
    from toolkit.agent.found import Found
    from toolkit.reader import Reader

# Pieces of evidence that a reply is held against: those that share most words with it. Each takes the reader's time.
_HELD_AGAINST = 12
# A sentence of two parts may rest on two pieces, neither of which tells all of it: so many are read together.
_TOGETHER = 3


@dataclass(frozen=True)
class Held:
    """What of a reply stands.

    Attributes:
        sentences: What the evidence holds.
        left_out: What it does not.
        cited: The evidence from documents that the sentences rest on, by first use.
    """

    sentences: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    cited: list[Evidence] = field(default_factory=list)


def hold(
    text: str,
    question: str,
    found: Sequence[Found],
    *,
    scales: Scales,
    language: Language,
    voice: Collection[str] = frozenset(),
    reader: Reader | None = None,
) -> Held:
    """Let the sentences of a reply through that the evidence holds.

    A sentence stands that says nothing strange and rests on one piece of evidence, on a few together, or on what was
    computed: then it says a number of it. A number that stands nowhere is never let through.

    Args:
        text: The reply.
        question: What was asked.
        found: What the tools found, in their order.
        scales: How a sentence is weighed.
        language: The language of all of it.
        voice: Stems that the example replies use of their own.
        reader: Judges whether a piece of evidence supports a sentence.
    """
    evidence = _closest(text, found, language)
    support = Support(question, evidence, voice, reader, language)
    amounts = [numbers(item.quote, language) for each in found if each.computed for item in each.evidence]
    results = set().union(*amounts) - numbers(question, language)
    sentences: list[str] = []
    left_out: list[str] = []
    cited: dict[int, Evidence] = {}
    for written in sentences_of_reply(text):
        sentence = unlisted(MARK.sub("", written))
        values = support.of(sentence)
        rests = [item for item, value in zip(evidence, values, strict=True) if value >= SUPPORTED]
        if not rests:
            some = _sharing(sentence, evidence, language)[:_TOGETHER]
            joined = noted(" ".join(item.shown for item in some), language)
            values = Support(question, [joined], voice, reader, language).of(sentence) if len(some) > 1 else values
            computed = bool(numbers(sentence, language) & results)
            rests = some if values.max(initial=0.0) >= SUPPORTED or computed else []
        if not rests or not scales.exact().held(support.features(sentence, values)):
            left_out.append(sentence)
            continue
        sentences.append(sentence)
        for item in rests:
            if item.passage.id:  # what was calculated stands in no document
                cited.setdefault(id(item), item)
    return Held(sentences, left_out, list(cited.values()))


def _closest(text: str, found: Sequence[Found], language: Language) -> list[Evidence]:
    """Return the pieces of evidence that share most words with a text, each once; of equals the later ones."""
    pieces = {(item.passage.id, item.quote): item for each in found for item in each.evidence}
    return _sharing(text, list(pieces.values())[::-1], language)[:_HELD_AGAINST]


def _sharing(text: str, evidence: Sequence[Evidence], language: Language) -> list[Evidence]:
    """Return the pieces of evidence that share a word or a number with a text, those with the most first."""
    said = set(stems(text, language)) | numbers(text, language)
    shared = [(len(said & (item.stems | numbers(item.quote, language))), item) for item in evidence]
    return [item for count, item in sorted(shared, key=lambda pair: -pair[0]) if count]
