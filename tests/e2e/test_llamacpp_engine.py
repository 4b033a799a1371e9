"""The sample bot on llama.cpp: what it says, what it thinks, and how soon it stops, beside the reference."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from toolkit import Chatbot
from toolkit.bot import BotFolder, read_config, write_config
from toolkit.engines import Decoding, TextEngine
from toolkit.engines.llama_engine import LlamaEngine
from toolkit.exporting import judge
from toolkit.models import load_base
from toolkit.prompts import UNTOLD, Message, render_prompt, short_messages

pytestmark = pytest.mark.e2e

# The log-odds that nothing tells are this near to the reference's, in nats: 16 bits have steps of an eighth there.
NEAR = 0.5
# Share of the tokens that the reference holds for the best ones, up to ties: of another voice it is less than half.
ALIKE = 0.85
QUESTIONS = ("How long does the Ember lantern burn?", "What does the Tarn lantern cost?", "Do you sell boats?")
NOTES = ("The Ember lantern burns for 41 hours.", "The Ember lantern is 23 centimetres tall.", "The shop is closed.")


@pytest.fixture(scope="module")
def bot(sample_bot_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chatbot]:
    pytest.importorskip("xllamacpp")
    place = BotFolder(Path(shutil.copytree(sample_bot_folder, tmp_path_factory.mktemp("bots") / "sample")))
    config = read_config(place)
    base = config.base.model_copy(update={"engine": "llamacpp"})
    write_config(place, config.model_copy(update={"base": base}))
    loaded = Chatbot.load(place.root, device="cpu")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def engine(bot: Chatbot) -> LlamaEngine:
    found = getattr(bot.chain.speaker.model, "engine", None)
    assert isinstance(found, LlamaEngine)
    return found


@pytest.fixture(scope="module")
def reference(bot: Chatbot, engine: LlamaEngine) -> TextEngine:
    return TextEngine(load_base(bot.config.base.model, device="cpu"), BotFolder(bot.folder).adapter)


def test_it_speaks_and_thinks_as_the_reference_does(engine: LlamaEngine, reference: TextEngine) -> None:
    asked: list[list[Message]] = [short_messages(question, NOTES) for question in QUESTIONS]
    decoding = Decoding(12)
    # One at a time: beside others the numbers of a reply are added up in another order.
    on, off, again = (
        [engine.generate([messages], adapter=voice, decoding=decoding)[0] for messages in asked]
        for voice in (True, False, True)
    )
    assert on == again
    assert on != off
    ids = [engine.encoded(render_prompt(engine.tokenizer, messages)) for messages in asked]
    for voice, said in ((True, on), (False, off)):
        with nullcontext() if voice else reference.model.disable_adapter():
            agreement = judge(reference.model, ids, list(map(engine.encoded, said)), engine="llama.cpp")
        assert agreement.token_share >= ALIKE
    for ours, peer in zip(
        engine.scored_replies(asked, UNTOLD, 12), reference.scored_replies(asked, UNTOLD, 12), strict=True
    ):
        assert ours.log_probability == pytest.approx(peer.log_probability, abs=NEAR)
        assert ours.text == peer.text


def test_it_answers_from_the_documents_in_the_voice_and_stops_within_a_second(bot: Chatbot) -> None:
    answer = bot.ask("How tall is the Ember lantern?")
    assert "23" in answer.text
    assert answer.adapter
    assert answer.citations
    long: list[Message] = [{"role": "user", "content": "All of this is one long prompt. " * 400}]
    engine, cancel = bot.chain.speaker.model.engine, threading.Event()  # type: ignore[attr-defined]
    threading.Timer(0.5, cancel.set).start()
    started = time.monotonic()
    assert list(engine.stream(long, adapter=False, cancel=cancel)) == []
    assert 0.4 < time.monotonic() - started < 1.5
