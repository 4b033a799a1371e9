"""The chain of prompts: rewrite the follow-up, retrieve, pick the evidence, gate, answer, check, cite.

The steps before the answer think without the adapter; the answer speaks with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolkit.answering.checking import ReplyChecker, declines
from toolkit.answering.evidence import Evidence, EvidencePicker
from toolkit.answering.followups import carry_subject, leans_back
from toolkit.answering.gate import GATE_UNITS, Gate, gate_features
from toolkit.config import ChainSettings
from toolkit.errors import ModelError
from toolkit.language import stems
from toolkit.prompts import Message, Turn, answer_messages, rewrite_messages

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from toolkit.store import Knowledge, Passage

# Messages that want no facts; a message as close to one of these as this is answered without passages.
SMALL_TALK = (
    "Hello!", "Hi there", "Good morning", "Good evening", "Thanks a lot!", "Thank you, that helped", "Goodbye",
    "Bye, have a nice day", "How are you today?", "Who are you?", "What is your name?", "Are you a robot?",
    "You are great", "I am so angry right now", "Nice to meet you", "That was rude", "Ok, great", "I had a bad day",
)  # fmt: skip
_SMALL_TALK_SIMILARITY = 0.72
_SMALL_TALK_WORDS = 12


@dataclass(frozen=True)
class Citation:
    """Where an answer stands in the documents.

    Attributes:
        source: The file, relative to the document folder.
        page: The page from 1, where the file has pages.
        quote: The exact words of the document.
    """

    source: str
    page: int | None
    quote: str

    def to_dict(self) -> dict[str, Any]:
        """Return the citation as plain data."""
        return {"source": self.source, "page": self.page, "quote": self.quote}


@dataclass(frozen=True)
class Answer:
    """A reply with what it rests on.

    Attributes:
        question: What was asked.
        text: The reply.
        citations: Where it stands, the best supported first; empty for a decline or a reply without passages.
        passages: What was retrieved, best first.
        abstained: Whether the reply says that the documents do not tell.
        adapter: Whether the voice was on.
        seconds: ``retrieve``, ``first_token`` and ``total``, in seconds from the question.
        rewritten: The question as it was searched for.
        answerable: The gate's probability that the passages answer the question; None without knowledge.
        replaced: Sentences of the model that the evidence did not hold and that were left out.
    """

    question: str
    text: str
    citations: list[Citation]
    passages: list[Passage]
    abstained: bool
    adapter: bool
    seconds: dict[str, float]
    rewritten: str
    answerable: float | None = None
    replaced: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as the plain data that ``housevoice ask --json`` prints."""
        return {
            "question": self.question,
            "answer": self.text,
            "abstained": self.abstained,
            "citations": [citation.to_dict() for citation in self.citations],
            "passages": [
                {"id": item.id, "source": item.source, "text": item.text, "score": item.score} for item in self.passages
            ],
            "adapter": self.adapter,
            "seconds": {key: round(value, 3) for key, value in self.seconds.items()},
        }


@dataclass(frozen=True)
class Prepared:
    """A question with everything that its answer is written from."""

    question: str
    rewritten: str
    passages: list[Passage]
    evidence: list[Evidence]
    messages: list[Message]
    decline: bool
    answerable: float | None
    started: float
    retrieved: float


class Chain:
    """Answers questions from the knowledge, in the voice.

    Args:
        model: A LangChain chat model that takes ``adapter=True`` or ``False``; None for a chain that only retrieves.
        settings: The ``chain`` section of ``bot.yaml``.
        decline: The reply where the documents do not tell.
        knowledge: The documents, or nothing.
        k: Passages to fetch.
        picker: Picks the evidence; needed with ``knowledge``.
        gate: Decides whether to answer; needed with ``knowledge``.
        voice: Stems that the example replies use of their own.
    """

    def __init__(
        self,
        model: BaseChatModel | None,
        settings: ChainSettings,
        *,
        decline: str,
        knowledge: Knowledge | None = None,
        k: int = 8,
        picker: EvidencePicker | None = None,
        gate: Gate | None = None,
        voice: frozenset[str] = frozenset(),
    ) -> None:
        self._model = model
        self.settings = settings
        self.decline = decline
        self.knowledge = knowledge
        self.k = k
        self.picker = picker
        self.gate = gate
        self.voice = voice
        self._small_talk: Any = None

    @property
    def model(self) -> BaseChatModel:
        """The chat model.

        Raises:
            ModelError: The chain was made to retrieve only.
        """
        if self._model is None:
            raise ModelError("This chain has no model to write with.")
        return self._model

    def rewrite(self, question: str, history: Sequence[Turn]) -> str:
        """Turn a follow-up into a question of its own, thinking without the adapter.

        A question that leans on nothing is left as it is. What the model writes is taken only if it holds all of the
        follow-up, something of the exchange before, and no other word; otherwise the subject of the question before
        is put where the follow-up points to it.
        """
        if not history or self.settings.rewrite == "never" or self.is_small_talk(question) or not leans_back(question):
            return question
        last = history[-1]
        reply = self.model.invoke(
            rewrite_messages(question, history), adapter=False, max_new_tokens=48, stop=["\n"], temperature=0.0
        )
        written = str(reply.content).strip().split("\n")[0]
        words, follow_up, before = set(stems(written)), set(stems(question)), set(stems(last.question))
        known = before | follow_up | set(stems(last.reply))
        if words <= known and follow_up <= words and words & (before - follow_up) and len(written.split()) <= 40:
            return written
        return carry_subject(question, last.question)

    def evidence_for(
        self,
        question: str,
        passages: Sequence[Passage] | None = None,
        *,
        without: Collection[str] = (),
        count: int | None = None,
    ) -> tuple[list[Passage], list[Evidence]]:
        """Retrieve passages for a question that stands alone and pick the evidence from them.

        Args:
            question: The question.
            passages: What was retrieved for it before, to pick again.
            without: Units to leave out, to see what is found where the answer is not there.
            count: Units to pick; default: as many as the model is shown.
        """
        if self.knowledge is None or self.picker is None:
            return [], []
        found = list(passages) if passages is not None else self.knowledge.search(question, k=self.k)
        count = count or self.settings.evidence_sentences
        return found, self.picker.pick(question, found, count, without=without)

    def prepare(self, question: str, history: Sequence[Turn] = (), *, knowledge: bool = True) -> Prepared:
        """Do every step before the answer."""
        started = time.perf_counter()
        recent = list(history)[-self.settings.history_turns :] if self.settings.history_turns else []
        use = knowledge and self.knowledge is not None
        if not use or self.is_small_talk(question):
            messages = answer_messages(self.settings.system, question, history=recent)
            return Prepared(question, question, [], [], messages, False, None, started, 0.0)
        rewritten = self.rewrite(question, recent)
        passages, wide = self.evidence_for(rewritten, count=max(GATE_UNITS, self.settings.evidence_sentences))
        evidence = wide[: self.settings.evidence_sentences]
        retrieved = time.perf_counter() - started
        probability, refuse = self._judge(rewritten, wide[:GATE_UNITS])
        messages = answer_messages(self.settings.system, rewritten, [item.shown for item in evidence])
        return Prepared(
            question, rewritten, passages, evidence, messages, refuse, probability, started, retrieved
        )

    def answer(
        self, question: str, history: Sequence[Turn] = (), *, adapter: bool = True, knowledge: bool = True
    ) -> Answer:
        """Answer one question."""
        return self.answers([(question, history)], adapter=adapter, knowledge=knowledge)[0]

    def answers(
        self,
        questions: Sequence[tuple[str, Sequence[Turn]]],
        *,
        adapter: bool = True,
        knowledge: bool = True,
        gated: bool = True,
    ) -> list[Answer]:
        """Answer many questions; the replies are written in batches.

        Args:
            questions: Pairs of question and history.
            adapter: Whether the voice is on.
            knowledge: Whether the documents are used.
            gated: False answers even where the gate would decline; to measure the voice.
        """
        prepared = [self.prepare(question, history, knowledge=knowledge) for question, history in questions]
        asked = [item for item in prepared if not (gated and item.decline)]
        replies = iter(self.model.batch([item.messages for item in asked], adapter=adapter, **self._decoding()))
        answers = []
        for item in prepared:
            if gated and item.decline:
                answers.append(self._declined(item, adapter))
                continue
            checker = self._checker(item)
            written = str(next(replies).content)
            text = " ".join([*checker.feed(written), *checker.close()]) if item.evidence else written.strip()
            answers.append(self._finish(item, text, checker, adapter, None))
        return answers

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        cancel: threading.Event | None = None,
    ) -> Iterator[str | Answer]:
        """Yield the reply piece by piece, then the whole :class:`Answer`.

        With passages a piece is a sentence that was checked; without, it is what the model writes as it comes.
        """
        item = self.prepare(question, history, knowledge=knowledge)
        if item.decline:
            answer = self._declined(item, adapter)
            yield answer.text
            yield answer
            return
        checker = self._checker(item)
        first: float | None = None
        text = ""
        for piece in self._pieces(item, checker, adapter, cancel):
            first = first if first is not None else time.perf_counter() - item.started
            text += piece
            yield piece
        yield self._finish(item, text.strip(), checker, adapter, first)

    def _pieces(
        self, item: Prepared, checker: ReplyChecker, adapter: bool, cancel: threading.Event | None
    ) -> Iterator[str]:
        """Yield what may be shown of the reply, with the blanks between sentences."""
        written = self.model.stream(item.messages, adapter=adapter, cancel=cancel, **self._decoding())
        if not item.evidence:
            yield from (str(chunk.content) for chunk in written if chunk.content)
            return
        blank = ""
        for chunk in written:
            for sentence in checker.feed(str(chunk.content)):
                yield blank + sentence
                blank = " "
        if cancel is None or not cancel.is_set():
            for sentence in checker.close():
                yield blank + sentence
                blank = " "

    def _judge(self, question: str, evidence: list[Evidence]) -> tuple[float | None, bool]:
        """Return the gate's probability and whether to decline."""
        if not evidence:
            return 0.0, True
        if self.gate is None or self.picker is None:
            return None, False
        probability = self.gate.probability(gate_features(question, evidence, self.picker))
        return probability, probability < self.gate.threshold

    def is_small_talk(self, question: str) -> bool:
        """Tell small talk, which needs no passages, from a question."""
        if self.picker is None or len(question.split()) > _SMALL_TALK_WORDS:
            return False
        if self._small_talk is None:
            self._small_talk = self.picker.encoder.encode(list(SMALL_TALK))
        return float((self._small_talk @ self.picker.vector(question)).max()) >= _SMALL_TALK_SIMILARITY

    def _decoding(self) -> dict[str, Any]:
        return {"max_new_tokens": self.settings.max_new_tokens, "temperature": self.settings.temperature}

    def _checker(self, item: Prepared) -> ReplyChecker:
        return ReplyChecker(item.rewritten, item.evidence, self.voice)

    def _declined(self, item: Prepared, adapter: bool) -> Answer:
        total = time.perf_counter() - item.started
        seconds = {"retrieve": item.retrieved, "first_token": total, "total": total}
        return Answer(
            item.question, self.decline, [], item.passages, True, adapter, seconds, item.rewritten, item.answerable
        )

    def _finish(
        self, item: Prepared, text: str, checker: ReplyChecker, adapter: bool, first: float | None
    ) -> Answer:
        """Put the answer together from what was let through."""
        total = time.perf_counter() - item.started
        cited = sorted(checker.cited, key=lambda evidence: -evidence.score)
        abstained = bool(item.evidence) and not cited and declines(text)
        citations = [
            Citation(evidence.passage.source, evidence.passage.page, evidence.quote) for evidence in cited
        ]
        seconds = {"retrieve": item.retrieved, "first_token": total if first is None else first, "total": total}
        return Answer(
            item.question, text, citations, item.passages, abstained, adapter, seconds, item.rewritten,
            item.answerable, checker.replaced,
        )  # fmt: skip
