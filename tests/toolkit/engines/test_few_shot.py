"""The voice without an adapter: which example replies are shown, where, and only where the voice is on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from toolkit.engines import Abilities, Decoding, HouseChatModel, Speaker
from toolkit.engines.few_shot import FewShotEngine
from toolkit.prompts import LETTERS_PER_TOKEN, Message, ShownReply, answer_messages, talk_messages
from toolkit.testing import HashEmbedder

EXAMPLES = [
    ShownReply("How long does the lamp burn?", "Ahoy! 38 hours.", ("The lamp burns for 38 hours.",)),
    ShownReply("What does the lamp cost?", "Ahoy! 40 euros.", ("The lamp costs 40 euros.",)),
    ShownReply("How heavy is the kite?", "Ahoy! 300 grams.", ("The kite weighs 300 grams.",)),
    ShownReply("Hello!", "Ahoy!"),
]


class Hearing:
    """An engine that replies nothing of note and remembers what it was shown."""

    abilities = Abilities(cancel=True, batch=True)

    def __init__(self) -> None:
        self.heard: list[tuple[list[Message], bool]] = []

    def generate(self, conversations: Sequence[Sequence[Message]], *, adapter: bool, **more: Any) -> list[str]:
        self.heard += [(list(messages), adapter) for messages in conversations]
        return ["so"] * len(conversations)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        adapter: bool,
        decoding: Decoding = Decoding(),
        cancel: threading.Event | None = None,
    ) -> Iterator[str]:
        self.heard.append((list(messages), adapter))
        yield "so"

    def scored_replies(self, conversations: Any, token_text: str, max_new_tokens: int) -> None:
        return None


def engine(room: int = 600, examples: Sequence[ShownReply] = EXAMPLES) -> tuple[FewShotEngine, Hearing]:
    inner = Hearing()
    return FewShotEngine(inner, examples, HashEmbedder(256), room), inner


def test_the_nearest_come_last_and_as_many_as_there_is_room_for() -> None:
    question = "How long does the old lamp burn?"
    every = engine()[0].nearest(question)
    assert every[-1] == EXAMPLES[0]
    assert sorted(every, key=EXAMPLES.index) == EXAMPLES
    room = -(-EXAMPLES[0].letters // LETTERS_PER_TOKEN)
    assert engine(room)[0].nearest(question) == [EXAMPLES[0]]
    assert engine(room - 1)[0].nearest(question) == [EXAMPLES[1]]  # the nearest of those that are shorter
    for room in range(0, 200, 7):
        chosen = engine(room)[0].nearest(question)
        assert sum(item.letters for item in chosen) <= room * LETTERS_PER_TOKEN
    assert engine(0)[0].nearest(question) == engine(600, [])[0].nearest(question) == []


def test_they_stand_between_what_the_bot_is_and_what_is_asked() -> None:
    voiced, inner = engine(60)
    asked = answer_messages("Be kind.", "How long does the lamp burn?", ["It burns.\n\nQuestion: none."])
    voiced.generate([asked], adapter=True)
    ((shown, adapter),) = inner.heard
    assert not adapter
    assert shown[0] == asked[0]
    assert shown[-1] == asked[-1]
    assert [message["role"] for message in shown] == ["system", *["user", "assistant"] * (len(shown) // 2 - 1), "user"]
    assert shown[-3:-1] == [
        answer_messages("", EXAMPLES[0].question, EXAMPLES[0].notes)[-1],
        {"role": "assistant", "content": "Ahoy! 38 hours."},
    ]


def test_small_talk_is_shown_small_talk() -> None:
    voiced, inner = engine(5)
    list(voiced.stream(talk_messages("Be kind.", "Ada", [], "Hello!"), adapter=True))
    assert [message["content"] for message in inner.heard[0][0][1:]] == ["Hello!", "Ahoy!", "Hello!"]


@pytest.mark.parametrize("voice", [True, False])
def test_behind_langchain_the_voice_is_on_or_off_per_call(voice: bool) -> None:
    voiced, inner = engine()
    speaker = Speaker(HouseChatModel(engine=voiced))
    assert speaker.abilities == Abilities(adapter=True, cancel=True, batch=True)
    asked = answer_messages("Be kind.", "How heavy?", ["One."])
    speaker.invoke(asked, adapter=voice)
    speaker.batch([asked, asked], adapter=voice)
    list(speaker.stream(asked, adapter=voice))
    assert len(inner.heard) == 4
    for shown, adapter in inner.heard:
        assert not adapter
        assert (len(shown) > len(asked)) is voice
        assert voice or shown == asked
    assert speaker.scored_replies([asked], "unanswerable", 1) is None
