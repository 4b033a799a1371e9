"""The chain of prompts: route, rewrite the follow-up, retrieve, pick the evidence, gate, answer, check, cite.

The steps before the answer think without the adapter; the answer speaks with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from toolkit.answering.checking import PLAIN, ReplyChecker, Scales, Support
from toolkit.answering.evidence import Evidence, EvidencePicker
from toolkit.answering.gate import Gate
from toolkit.answering.in_parts import answer_in_parts
from toolkit.answering.route import Route, RoutePlanner
from toolkit.answering.tables import TableSupport
from toolkit.answering.trace import OnStep, Trace, Tracer
from toolkit.answering.writing import Writing
from toolkit.config import ChainSettings
from toolkit.errors import ModelError
from toolkit.prompts import Turn

if TYPE_CHECKING:
    from toolkit.engines.speaker import Speaker
    from toolkit.store import Knowledge
    from toolkit.store.retriever import Passage


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
        citations: Where it stands, the best supported first; for a decline the heading that it names as the nearest, if
            any; empty for a reply without passages.
        passages: What was retrieved, best first.
        abstained: Whether the reply says that the documents do not tell.
        adapter: Whether the voice was on.
        seconds: ``retrieve``, ``first_token`` and ``total``, in seconds from the question.
        rewritten: The question as it was searched for.
        answerable: The gate's probability that the passages answer the question; None without knowledge.
        replaced: Sentences of the model that the evidence did not hold and that were left out.
        trace: What was done for it, step by step.
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
    trace: Trace = field(default=Trace(), repr=False, compare=False)

    def after(self, before: Trace) -> Answer:
        """Return the same with the steps of what was tried first."""
        return replace(self, trace=Trace((*before.steps, *self.trace.steps))) if before.steps else self

    @property
    def computed(self) -> dict[str, Any]:
        """What was computed over a table of the documents: its step of the trace; empty where nothing was."""
        step = self.trace.step("table")
        return step.outputs if step else {}

    def to_dict(self, *, trace: bool = False) -> dict[str, Any]:
        """Return the answer as the plain data that ``housevoice ask --json`` prints.

        Args:
            trace: Whether the steps are part of it.
        """
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
            **({"trace": self.trace.to_dict()} if trace else {}),
        }


class Looks(Protocol):
    """What answers questions with tools, as :class:`toolkit.agent.Agent` does."""

    def answer(
        self,
        question: str,
        history: Sequence[Turn],
        tracer: Tracer,
        *,
        adapter: bool,
        cancel: threading.Event | None = None,
    ) -> Answer | None:
        """Answer a question, or leave it to the chain."""
        ...


class Chain:
    """Answers questions from the knowledge, in the voice.

    Args:
        planner: Decides what is shown to the model; it holds the model and the settings.
        decline: The reply where the documents do not tell.
        voice: Stems that the example replies use of their own.
        scales: How the sentences of a reply are weighed.

    Attributes:
        agent: What questions are given to first; None where the chain answers all of them.
    """

    def __init__(
        self,
        planner: RoutePlanner,
        *,
        decline: str,
        voice: frozenset[str] = frozenset(),
        scales: Scales = PLAIN,
    ) -> None:
        self.planner = planner
        self.decline = decline
        self.voice = voice
        self.scales = scales
        self.agent: Looks | None = None

    @property
    def settings(self) -> ChainSettings:
        """The ``chain`` section of ``bot.yaml``."""
        return self.planner.settings

    @property
    def knowledge(self) -> Knowledge | None:
        """The documents, or nothing."""
        return self.planner.knowledge

    @property
    def picker(self) -> EvidencePicker | None:
        """What picks the evidence; None without documents."""
        return self.planner.picker

    @property
    def gate(self) -> Gate | None:
        """What decides whether to answer; None where it was not fitted."""
        return self.planner.gate

    @property
    def k(self) -> int:
        """Passages that are fetched."""
        return self.planner.k

    @property
    def speaker(self) -> Speaker:
        """What writes.

        Raises:
            ModelError: The chain was made to retrieve only.
        """
        if self.planner.speaker is None:
            raise ModelError("This chain has no model to write with.")
        return self.planner.speaker

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> Answer:
        """Answer one question."""
        return self.answers([(question, history)], adapter=adapter, knowledge=knowledge, on_step=on_step)[0]

    def answers(
        self,
        questions: Sequence[tuple[str, Sequence[Turn]]],
        *,
        adapter: bool = True,
        knowledge: bool = True,
        gated: bool = True,
        on_step: OnStep | None = None,
    ) -> list[Answer]:
        """Answer many questions; the replies are written in batches.

        Args:
            questions: Pairs of question and history.
            adapter: Whether the voice is on.
            knowledge: Whether the documents are used.
            gated: False answers even where the gate would decline; to measure the voice.
            on_step: Told each step as it is done.
        """
        if self.agent is None or not knowledge or not gated:
            return self._looked(questions, adapter, knowledge, gated, on_step)
        answers = []
        for question, history in questions:
            tracer = Tracer(on_step)
            found = self.agent.answer(question, history, tracer, adapter=adapter)
            if found is None:  # what the agent left; its steps are the first of the trace
                (answer,) = self._looked([(question, history)], adapter, True, True, on_step)
                found = answer.after(tracer.trace)
            answers.append(found)
        return answers

    def _looked(
        self,
        questions: Sequence[tuple[str, Sequence[Turn]]],
        adapter: bool,
        knowledge: bool,
        gated: bool,
        on_step: OnStep | None,
    ) -> list[Answer]:
        """Answer questions: those that ask once together, compound ones part by part."""
        parts = [self.planner.parts_of(question) if knowledge and gated else [question] for question, _ in questions]
        single = [asked for asked, each in zip(questions, parts, strict=True) if len(each) == 1]
        once = self.looked_once(single, adapter=adapter, knowledge=knowledge, gated=gated, on_step=on_step)
        answers, rest = [], iter(once)
        for (question, history), each in zip(questions, parts, strict=True):
            whole = (
                answer_in_parts(self, question, each, history, adapter=adapter, on_step=on_step)
                if len(each) > 1
                else next(rest)
            )
            assert whole is not None  # nothing cancels it
            answers.append(whole)
        return answers

    def looked_once(
        self,
        questions: Sequence[tuple[str, Sequence[Turn]]],
        *,
        adapter: bool = True,
        knowledge: bool = True,
        gated: bool = True,
        on_step: OnStep | None = None,
    ) -> list[Answer]:
        """Answer questions as they stand, each with one look into the documents: see :meth:`answers`."""
        started = time.perf_counter()
        planned = self.planner.plan_many(questions, knowledge=knowledge, on_step=on_step)
        if adapter and knowledge and self.speaker.abilities.adapter:
            planned = self.planner.retold(planned)
        asked = [route for route in planned if not (gated and route.declines)]
        shown = [route.messages for route in asked]
        since = time.perf_counter()
        replies = iter(self.speaker.batch(shown, adapter=adapter, **self.planner.decoding) if shown else [])
        share = (time.perf_counter() - since) / max(1, len(shown))
        answers = []
        for route in planned:
            if gated and route.declines:
                answers.append(self._declined(route, started, adapter))
                continue
            writing = Writing(route, self._checker(route), self.speaker, adapter, share)
            text = "".join(writing.pieces([next(replies)])).strip()
            answers.append(self._finish(route, started, text, writing.checker, adapter, None))
        return answers

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        cancel: threading.Event | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[str | Answer]:
        """Yield the reply piece by piece, then the whole :class:`Answer`.

        With passages a piece is a sentence that was checked; without, it is what the model writes as it comes. Where
        it was cancelled before the first word there is no answer.
        """
        before = Tracer(on_step)
        if self.agent is not None and knowledge:
            found = self.agent.answer(question, history, before, adapter=adapter, cancel=cancel)
            if found is not None:
                yield found.text
                yield found
                return
            if cancel is not None and cancel.is_set():
                return
        parts = self.planner.parts_of(question) if knowledge else [question]
        if len(parts) > 1:
            whole = answer_in_parts(self, question, parts, history, adapter=adapter, on_step=on_step, cancel=cancel)
            if whole is not None:
                yield whole.text
                yield whole.after(before.trace)
            return
        started = time.perf_counter()
        route = self.planner.plan(question, history, knowledge=knowledge, on_step=on_step)
        if cancel is not None and cancel.is_set():
            return  # before the model reads the prompt, which takes most of the time to the first words
        if route.declines:
            answer = self._declined(route, started, adapter)
            yield answer.text
            yield answer.after(before.trace)
            return
        if adapter and knowledge and self.speaker.abilities.adapter:
            (route,) = self.planner.retold([route])
        writing = Writing(route, self._checker(route), self.speaker, adapter)
        decoding = self.planner.decoding
        first: float | None = None
        text = ""
        for piece in writing.pieces(
            self.speaker.stream(route.messages, adapter=adapter, cancel=cancel, **decoding), cancel
        ):
            first = first if first is not None else time.perf_counter() - started
            text += piece
            yield piece
        yield self._finish(route, started, text.strip(), writing.checker, adapter, first).after(before.trace)

    def _checker(self, route: Route) -> ReplyChecker:
        picker, language = self.picker, self.planner.language
        if route.table:
            reader = picker.reader if picker else None
            told = TableSupport(route.alone, route.table, self.voice, reader, language)
            return ReplyChecker(route.alone, told, self.scales.exact())
        support = Support(route.alone, route.evidence, self.voice, picker.reader if picker else None, language)
        # Of small talk the base has written what there is to say.
        plainly = (lambda evidence: self._plainly(route, evidence)) if route.kind == "question" else None
        return ReplyChecker(route.alone, support, self.scales, plainly)

    def _plainly(self, route: Route, evidence: Evidence) -> str:
        """Let the base answer from one piece of evidence, its voice off."""
        asked, since = self.planner.messages_for(route.alone, [evidence]), time.perf_counter()
        written = self.speaker.invoke(asked, adapter=False, **self.planner.decoding)
        seconds, tokens = time.perf_counter() - since, self.speaker.tokens(asked, written)
        told = {"text": written}
        route.tracer.done("plain", {"messages": asked}, told, adapter=False, tokens=tokens, seconds=seconds)
        return written

    def _declined(self, route: Route, started: float, adapter: bool) -> Answer:
        text = " ".join(filter(None, [self.decline, route.nearest]))
        near = [route.near] if route.near else []  # what it names: people look there next
        return self._answer(route, started, text, near, True, adapter, None, [])

    def _finish(
        self, route: Route, started: float, text: str, checker: ReplyChecker, adapter: bool, first: float | None
    ) -> Answer:
        """Put the answer together from what was let through."""
        cited = checker.cited if route.passages else []  # small talk stands in no document
        if route.table:
            cited = route.table.cited
        return self._answer(route, started, text, cited, False, adapter, first, checker.replaced)

    @staticmethod
    def _answer(
        route: Route,
        started: float,
        text: str,
        cited: Sequence[Evidence],
        abstained: bool,
        adapter: bool,
        first: float | None,
        replaced: list[str],
    ) -> Answer:
        total = time.perf_counter() - started
        return Answer(
            question=route.question,
            text=text,
            citations=[Citation(item.passage.source, item.passage.page, item.quote) for item in cited],
            passages=route.passages,
            abstained=abstained,
            adapter=adapter,
            seconds={"retrieve": route.seconds, "first_token": total if first is None else first, "total": total},
            rewritten=route.alone,
            answerable=route.answerable,
            replaced=replaced,
            trace=route.tracer.trace,
        )
