"""Checking a reply against its evidence, sentence by sentence, before anyone sees it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from toolkit.answering.evidence import Evidence
from toolkit.language import names, numbers, stems

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”')]?\s+")
_DECLINES = re.compile(
    r"\b(?:not|n't|never|nothing|no|none|nowhere|silent|without)\b[^.!?]*\b(?:say|says|said|tell|tells|mention|mentions|"
    r"know|knows|state|states|record|records|recorded|papers|documents?|notes?|information|written|logbook|log)\b"
    r"|\b(?:papers|documents?|notes?|logbook|log|books?)\b[^.!?]*\b(?:not|n't|never|nothing|no|silent)\b",
    re.IGNORECASE,
)
# A sentence with more words that neither the evidence, the question nor the voice knows is taken as made up.
_MOST_UNKNOWN_SHARE = 0.5
_FEWEST_WORDS_JUDGED = 4
# Two units whose scores are this close are both stated: which of them answers is not known.
_NEAR_TIE = 0.12


def declines(text: str) -> bool:
    """Tell whether a reply says that the documents do not tell."""
    return bool(_DECLINES.search(text))


class ReplyChecker:
    """Lets the sentences of a reply through as they come, and puts the evidence in place of what it does not hold.

    A sentence is held by the evidence when every number and name in it stands in the evidence or the question, and
    most of its words stand there or belong to the voice. A sentence that is not held is left out, and the evidence
    that a reply has to state, and does not, is put before its last sentence in its own words: the best, and the second
    where the two nearly tie. The last sentence is held back until then.

    Args:
        question: The question that is answered.
        evidence: The picked evidence, best first.
        voice: Stems that the example replies use of their own: greetings, turns of phrase.
    """

    def __init__(self, question: str, evidence: Sequence[Evidence], voice: Collection[str] = frozenset()) -> None:
        self._evidence = evidence
        self._asked = set(stems(question))
        self._voice = voice
        known = " ".join([question, *(item.shown for item in evidence)])
        self._known = set(stems(known)) | {stem for item in evidence for stem in item.stems}
        self._numbers = numbers(known)
        self._due = [item for item in evidence[:2] if item.score >= evidence[0].score - _NEAR_TIE]
        self._buffer = ""
        self._held: str | None = None
        self.sentences: list[str] = []
        self.cited: list[Evidence] = []
        self.replaced: list[str] = []

    def feed(self, piece: str) -> Iterator[str]:
        """Take the next piece of the reply and yield the sentences that are complete, held, and not the last."""
        self._buffer += piece
        while match := _SENTENCE_END.search(self._buffer):
            sentence, self._buffer = self._buffer[: match.end()].strip(), self._buffer[match.end() :]
            yield from self._judge(sentence)

    def close(self) -> Iterator[str]:
        """Yield the evidence that was not stated, and the last sentence."""
        rest, self._buffer = self._buffer.strip(), ""
        if rest and (rest[-1] in ".!?…\"”')" or (self._held is None and not self.sentences)):
            yield from self._judge(rest)  # a last sentence that ran into the length limit is left out
        last, self._held = self._held, None
        if last is not None and not self.sentences and not self.replaced:
            yield from self._let_through(last)  # a reply of one sentence: the evidence follows it
            last = None
        if not (last is not None and declines(last)) and not declines(self.text):
            yield from self._quote()
        if last is not None:
            yield from self._let_through(last)

    @property
    def text(self) -> str:
        """The reply as let through so far."""
        return " ".join(self.sentences)

    def holds(self, sentence: str) -> bool:
        """Tell whether the evidence, the question and the voice account for a sentence."""
        if numbers(sentence) - self._numbers:
            return False
        if any(name not in self._known and name not in self._voice for name in names(sentence)):
            return False
        words = set(stems(sentence))
        unknown = words - self._known - set(self._voice)
        return len(words) < _FEWEST_WORDS_JUDGED or len(unknown) / len(words) <= _MOST_UNKNOWN_SHARE

    def _judge(self, sentence: str) -> Iterator[str]:
        if sentence in self.sentences or sentence == self._held:
            return  # a small model repeats itself
        if not self.holds(sentence):
            self.replaced.append(sentence)
            return
        if self._held is not None:
            yield from self._let_through(self._held)
        self._held = sentence
        self._cite(sentence)

    def _let_through(self, sentence: str) -> Iterator[str]:
        self.sentences.append(sentence)
        yield sentence

    def _quote(self) -> Iterator[str]:
        """Yield the due evidence that was not stated, in its own words."""
        for item in self._due:
            sentence = " ".join(item.quote.split())
            if item in self.cited or sentence in self.sentences:
                continue
            self.cited.append(item)
            yield from self._let_through(sentence)

    def _cite(self, sentence: str) -> None:
        """Note the evidence that a sentence states: what it shares with it beyond the question and the voice."""
        said = set(stems(sentence))
        told = said - set(self._voice)
        best, most = None, 0.0
        for item in self._evidence:
            beyond = (told - self._asked) & item.stems
            shared = len(told & item.stems) + len(beyond)
            if beyond and len(told & item.stems) >= 2 and shared > most:
                best, most = item, shared
        if best is not None and best not in self.cited:
            self.cited.append(best)
