"""What was said in one browser tab, and the way to stop what is being said."""

from __future__ import annotations

import html
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.answering import Answer
from toolkit.prompts import Turn

STOPPED = "(stopped)"


@dataclass(frozen=True)
class Exchange:
    """A question with what became of it.

    Attributes:
        question: What was asked.
        reply: What was said; None while nothing has been.
        done: Whether the reply is over: finished, stopped or failed.
        stopped: Whether the person cut it short.
        answer: The whole answer, once the bot has given it.
        problem: Why there is no reply, in one sentence.
    """

    question: str
    reply: str | None = None
    done: bool = False
    stopped: bool = False
    answer: Answer | None = None
    problem: str = ""


Conversation = list[Exchange]


def waiting(conversation: Sequence[Exchange]) -> bool:
    """Tell whether the last question still wants its reply."""
    return bool(conversation) and not conversation[-1].done


def turns(conversation: Sequence[Exchange]) -> list[Turn]:
    """Return the exchanges before the last one as the bot's history; those without a reply are left out."""
    return [Turn(item.question, item.reply) for item in conversation[:-1] if item.reply]


def messages(conversation: Sequence[Exchange]) -> list[dict[str, str]]:
    """Return the conversation as messages for the chat.

    The chat treats what it is given as HTML even where Markdown is off, so that every text is escaped here.
    """
    shown: list[dict[str, str]] = []
    for item in conversation:
        shown.append({"role": "user", "content": as_text(item.question)})
        said = item.reply or ""
        if item.stopped:
            said = f"{said} {STOPPED}".strip()
        if item.problem:
            said = f"{said}\n{item.problem}".strip()
        if said:
            shown.append({"role": "assistant", "content": as_text(said)})
    return shown


def as_text(text: str) -> str:
    """Escape a text so that the browser shows it letter by letter."""
    return html.escape(text, quote=False)


class Stops:
    """One switch a tab, with which the reply in that tab is cut short."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, threading.Event] = {}

    def renew(self, tab: str) -> threading.Event:
        """Return a fresh switch for the next reply in a tab; one that was forgotten is pulled."""
        event = threading.Event()
        with self._lock:
            before, self._events[tab] = self._events.get(tab), event
        if before is not None:
            before.set()
        return event

    def of(self, tab: str) -> threading.Event:
        """Return the switch of a tab; a pulled one where the tab is gone."""
        with self._lock:
            event = self._events.get(tab)
        if event is None:
            event = threading.Event()
            event.set()
        return event

    def stop(self, tab: str) -> None:
        """Cut the reply in a tab short."""
        self.of(tab).set()

    def forget(self, tab: str) -> None:
        """Cut the reply short and let the tab go."""
        with self._lock:
            event = self._events.pop(tab, None)
        if event is not None:
            event.set()

    def stop_all(self) -> None:
        """Cut every reply short."""
        with self._lock:
            events = list(self._events.values())
        for event in events:
            event.set()
