"""The one route of a question: what kind of message it is, what is searched for, what is found, what is shown.

Serving and weaving both come through here, so that what an adapter is trained on is what it will be asked with.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from toolkit.answering.compound import Splitter
from toolkit.answering.evidence import Evidence, EvidencePicker, Picked, noted, shown, units_of
from toolkit.answering.followups import standing_alone
from toolkit.answering.gate import GATE_UNITS, Gate, gate_features
from toolkit.answering.router import Kind, Router
from toolkit.answering.thinking import Thought, reordered, think
from toolkit.answering.trace import OnStep, Tracer
from toolkit.config import ChainSettings
from toolkit.language import ENGLISH, Language, stems
from toolkit.prompts import LETTERS_PER_TOKEN, UNTOLD, Message, Turn, answer_messages, talk_messages

if TYPE_CHECKING:
    from toolkit.answering.tables import TableAnswer, TableAnswers
    from toolkit.engines.speaker import Speaker
    from toolkit.store import Knowledge
    from toolkit.store.retriever import Passage


@dataclass(frozen=True)
class Base:
    """What the route has to know of the base.

    Attributes:
        grounded: Whether it was trained on the prompts of this project: follow-ups need no examples then.
        reads_passages: Whether it is shown whole passages; a small one answers better from a few sentences.
    """

    grounded: bool = True
    reads_passages: bool = False


@dataclass(frozen=True)
class Route:
    """A message with all that its reply is written from.

    Attributes:
        question: What was said.
        kind: What kind of message it is.
        alone: The question as it is searched for: it stands alone.
        passages: What was retrieved, best first.
        evidence: What the model is shown, best first.
        messages: The messages that the reply is written from.
        declines: Whether the bot does not answer.
        answerable: The gate's probability that the passages answer; None where none was asked.
        nearest: What a decline adds: the nearest heading, or what the documents are about.
        near: The evidence under that heading; None where nothing is near.
        picked: What was picked from the passages, of which the evidence is shown.
        seconds: Time from the question to the evidence, in seconds.
        table: What was computed over a table, of which the evidence tells; None where nothing was.
        tracer: Notes the steps.
    """

    question: str
    kind: Kind
    alone: str
    passages: list[Passage]
    evidence: list[Evidence]
    messages: list[Message]
    declines: bool = False
    answerable: float | None = None
    nearest: str = ""
    near: Evidence | None = None
    picked: Picked = field(default_factory=lambda: Picked([], []), repr=False, compare=False)
    seconds: float = 0.0
    table: TableAnswer | None = None
    tracer: Tracer = field(default_factory=Tracer, repr=False, compare=False)


class RoutePlanner:
    """Plans the route of each message.

    Args:
        settings: The ``chain`` section of ``bot.yaml``.
        name: What the bot is called.
        speaker: What rewrites follow-ups; None leaves them as they are.
        knowledge: The documents, or nothing.
        k: Passages to fetch.
        picker: Picks the evidence; needed with ``knowledge``.
        gate: Decides whether to answer; None answers everything.
        router: Tells talk from questions; None takes everything for a question.
        language: The bot's language.
        subjects: What the documents are about, a few words each.
        base: What the base can do.
        tables: Answers questions over tables; None leaves them to the passages.
        splitter: Takes compound questions apart; None takes every question for one.
    """

    def __init__(
        self,
        settings: ChainSettings,
        *,
        name: str = "housevoice",
        speaker: Speaker | None = None,
        knowledge: Knowledge | None = None,
        k: int = 8,
        picker: EvidencePicker | None = None,
        gate: Gate | None = None,
        router: Router | None = None,
        language: Language = ENGLISH,
        subjects: Sequence[str] = (),
        base: Base = Base(),
        tables: TableAnswers | None = None,
        splitter: Splitter | None = None,
    ) -> None:
        self.settings = settings
        self.name = name
        self.speaker = speaker
        self.knowledge = knowledge
        self.k = k
        self.picker = picker
        self.gate = gate
        self.router = router
        self.language = language
        self.subjects = list(subjects)
        self.base = base
        self.tables = tables
        self.splitter = splitter

    def plan(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> Route:
        """Do every step before the answer.

        Args:
            question: What is said.
            history: Earlier exchanges, oldest first; the last ``history_turns`` are looked at.
            knowledge: Whether the documents are used.
            on_step: Told each step as it is done.
        """
        return self.plan_many([(question, history)], knowledge=knowledge, on_step=on_step)[0]

    def plan_many(
        self,
        questions: Sequence[tuple[str, Sequence[Turn]]],
        *,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> list[Route]:
        """Do every step before the answer for many questions; the base thinks about them in batches.

        Args:
            questions: Pairs of question and history.
            knowledge: Whether the documents are used.
            on_step: Told each step as it is done.
        """
        routes = [self._found(*asked, Tracer(on_step), knowledge=knowledge) for asked in questions]
        started = time.perf_counter()
        asking = [route for route in routes if route.picked.evidence]
        thoughts = self._think([(route.alone, route.picked) for route in asking])
        thinking = (time.perf_counter() - started) / max(1, len(asking))
        for route, thought in zip(asking, thoughts, strict=True):
            if thought:
                shown, told = {"question": route.alone}, {"untold": thought.untold, "short": thought.short}
                route.tracer.done("thinking", shown, told, adapter=False, tokens=thought.tokens, seconds=thinking)
        decided = iter([self._decided(route, thought) for route, thought in zip(asking, thoughts, strict=True)])
        routes = [next(decided) if route.picked.evidence else route for route in routes]
        share = (time.perf_counter() - started) / max(1, len(asking))
        return [replace(route, seconds=route.seconds + share * bool(route.picked.evidence)) for route in routes]

    def _found(self, question: str, history: Sequence[Turn], tracer: Tracer, *, knowledge: bool) -> Route:
        """Find what a question may be answered from; what finds nothing is declined."""
        started = time.perf_counter()
        recent = self.recent(history)
        kind = self.kind_of(question)
        tracer.done("route", {"message": question}, {"kind": kind})
        tables = self.tables if knowledge else None
        # Talk that is surely understood as a question over a table is one.
        table = _from_tables(tables, question, tracer) if kind == "talk" else None
        if table:
            return self._computed(question, question, table, started, tracer)
        if not knowledge or self.knowledge is None or self.picker is None or kind == "talk":
            return Route(question, kind, question, [], [], self._talk(question, recent), tracer=tracer)
        if kind == "takeover":
            talk = self._talk(question, recent)
            return Route(question, kind, question, [], [], talk, True, 0.0, self._about(), tracer=tracer)
        alone = self._alone(question, recent, tracer)
        if table := _from_tables(tables, alone, tracer):
            return self._computed(question, alone, table, started, tracer)
        passages = self.search(alone)
        found = [{"id": item.id, "source": item.source, "score": item.score} for item in passages]
        tracer.done("search", {"query": alone, "k": self.k}, {"passages": found})
        picked = self.picker.pick(alone, passages, self.units)
        tracer.done("evidence", {"question": alone, "passages": len(passages)}, picked.to_dict())
        return Route(
            question=question,
            kind=kind,
            alone=alone,
            passages=passages,
            evidence=[],
            messages=self.messages_for(alone, []),
            declines=True,
            answerable=0.0,
            nearest=self._about(),
            picked=picked,
            seconds=time.perf_counter() - started,
            tracer=tracer,
        )

    def _computed(
        self, question: str, alone: str, table: TableAnswer, started: float, tracer: Tracer
    ) -> Route:
        """Return the route of what was computed over a table: nothing is searched for, and no gate is asked."""
        return Route(
            question=question,
            kind="question",
            alone=alone,
            passages=table.passages,
            evidence=[table.evidence],
            messages=self.messages_for(alone, [table.evidence]),
            answerable=table.probability,
            seconds=time.perf_counter() - started,
            table=table,
            tracer=tracer,
        )

    def _decided(self, route: Route, thought: Thought | None) -> Route:
        """Decide whether a question is answered, and from what."""
        route.tracer.begin()
        probability, declines = self._judge(route.alone, route.picked, thought)
        if self.gate:
            untold = thought.untold if thought else None
            threshold = self.gate.threshold_for(untold)
            told = {"answerable": probability, "threshold": threshold, "declines": declines}
            route.tracer.done("gate", {"untold": untold}, told)
        picked = route.picked
        if thought:
            picked = replace(picked, evidence=reordered(picked.evidence, thought))
        evidence = self.shown_of(picked)
        near = self._near(picked) if declines else None
        return replace(
            route,
            evidence=evidence,
            messages=self.messages_for(route.alone, evidence),
            declines=declines,
            answerable=probability,
            nearest=self._nearest(near) if declines else "",
            near=near,
            picked=picked,
        )

    def search(self, question: str) -> list[Passage]:
        """Return the passages for a question that stands alone, best first; none without documents."""
        return self.knowledge.search(question, k=self.k) if self.knowledge else []

    def kind_of(self, message: str) -> Kind:
        """Tell talk, which needs no passages, and attempts at a takeover from questions."""
        if self.router is None or self.picker is None:
            return "question"
        return self.router.kind(message, self.picker.vector(message))

    def parts_of(self, question: str) -> list[str]:
        """Return the questions that a compound one is made of, or it alone."""
        parts = self.splitter.parts(question, self.language) if self.splitter and self.knowledge else [question]
        if len(parts) == 1 or self.kind_of(question) == "takeover":
            return [question]
        table = self.tables.answer(question) if self.tables else None
        return [question] if table and table.further >= len(parts) - 1 else parts

    def without_notes(self, route: Route, history: Sequence[Turn] = ()) -> Route:
        """Return a route whose reply is written without notes, as for talk."""
        messages = self._talk(route.question, self.recent(history))
        return replace(route, evidence=[], messages=messages, declines=False)

    def retold(self, routes: Sequence[Route]) -> list[Route]:
        """Let the base write what wants no facts, and have the voice say it as if a note told it.

        A voice is tuned on replies over notes. Left to itself it makes small talk of whatever it was tuned on, and
        forgets what the bot is called.
        """
        talk = [route for route in routes if route.kind == "talk"]
        if not talk or self.speaker is None:
            return list(routes)
        started = time.perf_counter()
        written = self.speaker.batch([route.messages for route in talk], adapter=False, **self.decoding)
        share = (time.perf_counter() - started) / len(talk)
        for route, text in zip(talk, written, strict=True):
            asked, tokens = {"messages": route.messages}, self.speaker.tokens(route.messages, text)
            route.tracer.done("draft", asked, {"text": text}, adapter=False, tokens=tokens, seconds=share)
        notes = (noted(text, self.language) for text in written)
        return [self._retelling(route, next(notes)) if route.kind == "talk" else route for route in routes]

    def _retelling(self, route: Route, note: Evidence) -> Route:
        return replace(route, evidence=[note], messages=self.messages_for(route.question, [note]))

    @property
    def decoding(self) -> dict[str, Any]:
        """How replies are written."""
        # Declining was decided before: the model may not take it back.
        return {
            "max_new_tokens": self.settings.max_new_tokens,
            "temperature": self.settings.temperature,
            "forbid_first": UNTOLD,
        }

    def with_evidence(self, route: Route, evidence: Sequence[Evidence]) -> Route:
        """Return a route with other evidence in place of its own: for weaving, where it counts in the report."""
        listed = list(evidence)
        return replace(route, evidence=listed, messages=self.messages_for(route.alone, listed), declines=False)

    def pick(
        self, question: str, passages: Sequence[Passage], count: int, *, without: Collection[str] = ()
    ) -> Picked:
        """Pick evidence for a question from passages; nothing without documents."""
        return self.picker.pick(question, passages, count, without=without) if self.picker else Picked([], [])

    @property
    def units(self) -> int:
        """Units of evidence that are picked for a message: what the gate looks at and what may be shown."""
        return max(GATE_UNITS, self.settings.evidence_sentences)

    def shown_of(self, picked: Picked, *, without: Collection[str] = ()) -> list[Evidence]:
        """Return what the model is shown: the best sentences, or whole passages as far as the budget goes.

        Args:
            picked: What was picked.
            without: Exact texts of units that are left out of whole passages as well.
        """
        best = picked.evidence[: self.settings.evidence_sentences]
        whole = self.settings.evidence == "passages" or (
            self.settings.evidence == "auto" and self.base.reads_passages
        )
        if not whole:
            return best
        room = self.settings.evidence_tokens * LETTERS_PER_TOKEN
        kept: list[Evidence] = []
        for item in picked.evidence:
            if any(item.passage.id == other.passage.id for other in kept):
                continue
            text = item.passage.text
            if without:
                units = units_of(text, self.language)
                text = " ".join(unit.text for unit in units if unit.text not in without)
            if kept and len(text) > room:
                continue
            room -= len(text)
            known = item.stems | frozenset(stems(text, self.language))
            kept.append(replace(item, quote=text, shown=shown(item.passage, text), stems=known))
        return kept

    def messages_for(self, alone: str, evidence: Sequence[Evidence]) -> list[Message]:
        """Lay out the messages of an answer."""
        return answer_messages(self.settings.system, alone, [item.shown for item in evidence])

    def recent(self, history: Sequence[Turn]) -> list[Turn]:
        """Return the exchanges that are looked at."""
        turns = self.settings.history_turns
        return list(history)[-turns:] if turns else []

    def _talk(self, said: str, recent: Sequence[Turn]) -> list[Message]:
        return talk_messages(self.settings.system, self.name, self.subjects, said, recent)

    def _alone(self, question: str, recent: Sequence[Turn], tracer: Tracer) -> str:
        if not recent or self.settings.rewrite == "never" or self.speaker is None:
            return question
        examples = not self.base.grounded
        return standing_alone(question, recent, self.speaker, self.language, tracer, examples=examples)

    def judge(self, question: str, passages: Sequence[Passage]) -> tuple[float | None, bool]:
        """Return the gate's probability that passages answer a question, and whether the bot declines it."""
        picked = self.pick(question, passages, self.units)
        return self._judge(question, picked, self._think([(question, picked)])[0] if picked.evidence else None)

    def _think(self, questions: Sequence[tuple[str, Picked]]) -> Sequence[Thought | None]:
        """Let the base think about questions and their evidence; None where the gate was fitted without it."""
        none = [None] * len(questions)
        if self.gate is None or self.gate.second is None or self.speaker is None or not questions:
            return none
        return think([(question, picked.evidence) for question, picked in questions], self.speaker) or none

    def _judge(self, question: str, picked: Picked, thought: Thought | None) -> tuple[float | None, bool]:
        """Return the gate's probability and whether to decline."""
        if not picked.evidence:
            return 0.0, True
        if self.gate is None or self.picker is None:
            return None, False
        features = gate_features(question, picked, self.picker)
        return self.gate.judge(features, thought.untold if thought else None)

    def _near(self, picked: Picked) -> Evidence | None:
        """Return the closest evidence, if it is as close as that of nine answerable questions in ten."""
        closest = max(picked.evidence, key=lambda item: item.similarity, default=None)
        return closest if closest and self.gate and closest.similarity >= self.gate.near else None

    def _nearest(self, near: Evidence | None) -> str:
        """Return what a decline adds: the nearest heading where something is near, or else the subjects."""
        if near:
            passage = near.passage
            heading = passage.heading or str(passage.metadata.get("title") or passage.source)
            return self.language.nearest.format(heading=heading)
        return self._about()

    def _about(self) -> str:
        if not self.subjects:
            return ""
        return self.language.about.format(subjects=self.language.enumerated(self.subjects[:4]))


def _from_tables(tables: TableAnswers | None, question: str, tracer: Tracer) -> TableAnswer | None:
    """Return what the tables say to a question, where there are any and it is surely one for them."""
    if tables is None:
        return None
    tracer.begin()
    table = tables.answer(question)
    tracer.done("table", {"question": question}, table.to_dict() if table else {})
    return table
