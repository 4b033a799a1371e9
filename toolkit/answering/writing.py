"""A reply while it is written and checked, and what the trace tells of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.answering.checking import ReplyChecker
    from toolkit.answering.route import Route
    from toolkit.engines.speaker import Speaker


class Writing:
    """Lets through what may be shown of a reply, and notes the steps ``prompt``, ``reply`` and ``checks``.

    Args:
        route: What it is written from.
        checker: Checks its sentences; asked only where there is evidence to check them against.
        speaker: The model, which may know its tokens.
        adapter: Whether the voice is on.
        seconds: How long the writing took, where that was measured for many replies at once.
    """

    def __init__(
        self, route: Route, checker: ReplyChecker, speaker: Speaker, adapter: bool, seconds: float | None = None
    ) -> None:
        self.route = route
        self.checker = checker
        self._speaker = speaker
        self._adapter = adapter
        self._seconds = seconds
        self._written: list[str] = []
        self._writing = self._checking = 0.0
        route.tracer.begin()
        route.tracer.done("prompt", {"evidence": len(route.evidence)}, {"messages": route.messages})

    def pieces(self, written: Iterable[str], cancel: threading.Event | None = None) -> Iterator[str]:
        """Yield what may be shown of what the model writes, with the blanks between sentences."""
        blank, since = "", time.perf_counter()
        for piece in written:
            self._writing += time.perf_counter() - since
            self._written.append(piece)
            if not self.route.evidence:
                yield piece
            else:
                for sentence in self._checked(self.checker.feed(piece)):
                    yield blank + sentence
                    blank = " "
            since = time.perf_counter()
        self._writing += time.perf_counter() - since
        if self.route.evidence and not (cancel is not None and cancel.is_set()):
            for sentence in self._checked(self.checker.close()):
                yield blank + sentence
                blank = " "
        self._note()

    def _checked(self, sentences: Iterable[str]) -> list[str]:
        since, before = time.perf_counter(), self._plain()
        found = list(sentences)
        self._checking += time.perf_counter() - since - (self._plain() - before)
        return found

    def _plain(self) -> float:
        """Return how long the base took to answer from single pieces of evidence: that is a step of its own."""
        return sum(step.seconds for step in self.route.tracer.steps if step.name == "plain")

    def _note(self) -> None:
        route, text = self.route, "".join(self._written)
        tokens = self._speaker.tokens(route.messages, text)
        seconds = self._writing if self._seconds is None else self._seconds
        route.tracer.done("reply", {}, {"text": text.strip()}, adapter=self._adapter, tokens=tokens, seconds=seconds)
        if route.evidence:
            cited = [item.passage.id for item in self.checker.cited if item.passage.id]
            told = {"sentences": self.checker.sentences, "left_out": self.checker.replaced, "cited": cited}
            route.tracer.done("checks", {"evidence": len(route.evidence)}, told, seconds=self._checking)
