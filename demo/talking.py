"""What happens when the widgets are used.

Asking is three steps: take the question (at once), speak (one answer at a time), give the controls back (whatever
happened before). What was said is kept by the server only, so that nobody can put words into the bot's mouth.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.conversation import Conversation, Exchange, Stops, messages, turns, waiting
from demo.sources import panel
from demo.widgets import Talk, controls
from pipelines.serving.limits import LONGEST_QUESTION
from toolkit.errors import HousevoiceError

if TYPE_CHECKING:
    from toolkit.bot import Chatbot

FAILED = "(No answer: something went wrong. Retry asks again.)"
# Chat, panel, conversation, and the controls: the outputs of every step but speaking.
Updates = tuple[Any, ...]


class Talking:
    """The steps of a conversation with a bot.

    Args:
        bot: The bot.
        stops: The switches that stop replies.
    """

    def __init__(self, bot: Chatbot, stops: Stops) -> None:
        self.bot = bot
        self.stops = stops

    def take(self, question: str, conversation: Conversation, documents: bool, request: gr.Request) -> Updates:
        """Take a question: it appears in the chat, and the box is emptied. The first update is the box's."""
        question = question.strip()[:LONGEST_QUESTION]
        if not question or waiting(conversation):
            return tuple(gr.skip() for _ in range(9))
        return ("", *self._open([*conversation, Exchange(question)], documents, request))

    def again(self, conversation: Conversation, documents: bool, request: gr.Request) -> Updates:
        """Drop the last answer, so that its question is asked once more."""
        if not conversation or waiting(conversation):
            return tuple(gr.skip() for _ in range(8))
        return self._open([*conversation[:-1], Exchange(conversation[-1].question)], documents, request)

    def _open(self, conversation: Conversation, documents: bool, request: gr.Request) -> Updates:
        self.stops.renew(str(request.session_hash))
        beside = panel(conversation[-1], knows=self._knows(documents))
        return (messages(conversation), beside, conversation, *controls(speaking=True, empty=False))

    def speak(
        self, conversation: Conversation, voice: bool, documents: bool, request: gr.Request
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Show the answer as it grows, and what it stands on once it is whole."""
        if not waiting(conversation):
            yield gr.skip(), gr.skip(), gr.skip()
            return
        stop = self.stops.of(str(request.session_hash))
        for item in reply(self.bot, conversation, stop, adapter=bool(voice), knowledge=self._knows(documents)):
            now = [*conversation[:-1], item]
            yield (messages(now), panel(item), now) if item.done else (messages(now), gr.skip(), gr.skip())

    def rest(self, conversation: Conversation) -> Updates:
        """Give the controls back. A question that is still open here failed; it is closed, and can be asked again."""
        if waiting(conversation):
            conversation = [*conversation[:-1], replace(conversation[-1], done=True, problem=FAILED)]
        last = conversation[-1] if conversation else None
        return (messages(conversation), panel(last), conversation, *controls(speaking=False, empty=last is None))

    def start_over(self) -> Updates:
        """Forget the conversation."""
        return ([], panel(None), [], *controls(speaking=False, empty=True))

    def stop(self, request: gr.Request) -> None:
        """Cut the answer short."""
        self.stops.stop(str(request.session_hash))

    def leave(self, request: gr.Request) -> None:
        """Let a tab go that was closed."""
        self.stops.forget(str(request.session_hash))

    def _knows(self, documents: bool) -> bool:
        return bool(documents) and self.bot.knowledge is not None


def reply(
    bot: Chatbot, conversation: Conversation, cancel: threading.Event, *, adapter: bool, knowledge: bool
) -> Iterator[Exchange]:
    """Let the bot answer the last question of a conversation.

    Args:
        bot: The bot.
        conversation: What was said; the last exchange is the question.
        cancel: Once set, the model stops and what was said stays.
        adapter: Whether to speak in the voice.
        knowledge: Whether to use the documents.

    Yields:
        The last exchange as it grows; the last one is done.
    """
    item = conversation[-1]
    if cancel.is_set():
        yield replace(item, done=True, stopped=True)
        return
    text = ""
    stream = bot.stream(item.question, turns(conversation), adapter=adapter, knowledge=knowledge, cancel=cancel)
    try:
        for piece in stream:
            text += piece
            yield replace(item, reply=text)
    except HousevoiceError as error:
        yield replace(item, reply=text or None, done=True, problem=f"({error})")
        return
    finally:
        stream.close()
    said = stream.answer.text if stream.answer is not None else text
    yield replace(item, reply=said or None, done=True, stopped=cancel.is_set(), answer=stream.answer)


def connect(talking: Talking, talk: Talk, sources: gr.Markdown) -> None:
    """Tie the steps to the widgets; called while the page is being built."""
    conversation = gr.State([])
    state = [conversation, talk.documents]
    shown: list[Any] = [talk.chat, sources, conversation]
    everything = shown + talk.controls
    at_once: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    asked: list[Any] = [
        gr.on([talk.box.submit, talk.send.click], talking.take, [talk.box, *state], [talk.box, *everything], **at_once),
        talk.retry.click(talking.again, state, everything, **at_once),
    ]
    for example in talk.examples:
        asked.append(example.click(talking.take, [example, *state], [talk.box, *everything], **at_once))
    for event in asked:
        spoken = event.then(
            talking.speak,
            [conversation, talk.voice, talk.documents],
            shown,
            concurrency_limit=1,
            concurrency_id="model",
            api_visibility="private",
            # The chat shows its dots until the first words only where progress is shown.
            show_progress="minimal",
            show_progress_on=[talk.chat],
        )
        spoken.then(talking.rest, conversation, everything, **at_once)
    talk.stop.click(talking.stop, None, None, **at_once)
    talk.clear.click(talking.start_over, None, everything, **at_once)
