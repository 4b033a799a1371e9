"""A bot from Python: opened, asked, streamed, searched, and refused where something does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import toolkit
from toolkit.bot import BotFolder, Chatbot, read_lock, write_lock
from toolkit.bot.history import as_turns
from toolkit.errors import AdapterMismatch, DataError, IndexMismatch, ModelError
from toolkit.prompts import Turn
from toolkit.testing import HashEmbedder, ScriptedChatModel
from toolkit.testing.tool_calls import Call, ScriptedToolModel, moves

BURNS = "Ahoy, friend. The Ember lamp burns for 38 hours. Fair winds!"
QUESTION = "How long does the Ember lamp burn on a full battery?"


@pytest.fixture
def bot(small_bot: Path, embedder: HashEmbedder) -> Iterator[Chatbot]:
    loaded = Chatbot.load(small_bot)
    yield loaded
    loaded.close()


def scripted(folder: Path, *replies: str) -> Chatbot:
    loaded = Chatbot.load(folder, model=ScriptedChatModel(replies=list(replies)))
    loaded.chain.planner.gate = None
    return loaded


def calls(bot: Chatbot) -> Any:
    model = bot.chain.speaker.model
    assert isinstance(model, ScriptedChatModel)
    return model.calls


def test_the_public_names_are_at_the_top() -> None:
    assert toolkit.Chatbot is Chatbot
    for name in toolkit.__all__:
        assert getattr(toolkit, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        toolkit.nothing  # noqa: B018


def test_a_bot_opens_and_answers_with_its_own_model(bot: Chatbot) -> None:
    assert bot.has_voice
    answer = bot.ask(QUESTION)
    assert answer.text
    assert answer.passages
    assert answer.adapter
    stream = bot.stream(QUESTION)
    pieces = list(stream)
    assert stream.answer is not None
    assert "".join(pieces).strip() == stream.answer.text == answer.text


def test_another_chat_model_can_speak(small_bot: Path, embedder: HashEmbedder) -> None:
    bot = scripted(small_bot, BURNS, BURNS)
    assert bot.ask(QUESTION).text == BURNS
    assert not bot.ask(QUESTION, adapter=False).adapter
    assert [call.adapter for call in calls(bot)] == [True, False]
    bot.close()


def test_a_stream_gives_its_answer_at_the_end(small_bot: Path, embedder: HashEmbedder) -> None:
    bot = scripted(small_bot, BURNS, BURNS)
    stream = bot.stream(QUESTION)
    assert next(stream) == "Ahoy, friend."
    assert stream.answer is None
    stream.close()
    assert list(stream) == []
    again = bot.stream(QUESTION)
    assert "".join(again) == BURNS
    assert again.answer is not None
    assert again.answer.citations[0].source == "lamp.md"
    bot.close()


def test_asking_many_keeps_their_order(bot: Chatbot) -> None:
    asked = [QUESTION, "How heavy is the Storm kite?", "Hello!"]
    answers = bot.ask_many(asked)
    assert [answer.question for answer in answers] == asked
    assert [answer.text for answer in answers] == [bot.ask(question).text for question in asked]


def test_the_bot_goes_by_its_title(bot_copy: Path, embedder: HashEmbedder) -> None:
    raw = yaml.safe_load((bot_copy / "bot.yaml").read_text())
    (bot_copy / "bot.yaml").write_text(yaml.safe_dump(raw | {"title": "The house of lamps"}))
    bot = scripted(bot_copy, "Ahoy!")
    bot.ask("Hello!", knowledge=False)
    assert "Your name is The house of lamps." in calls(bot)[0].messages[0]["content"]
    bot.close()


def test_search_and_retriever_find_the_same(bot: Chatbot) -> None:
    found = bot.search("Storm kite", k=2)
    assert found[0].source == "kite.md"
    assert len(found) == 2
    documents = bot.retriever.invoke("Storm kite")
    assert documents[0].page_content == found[0].text
    assert documents[0].metadata["source"] == "kite.md"
    assert len(documents) <= 4


def test_history_comes_in_any_form() -> None:
    expected = [Turn("a", "b"), Turn("c", "d")]
    assert as_turns(expected) == expected
    assert as_turns([("a", "b"), ["c", "d"]]) == expected  # type: ignore[list-item]
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "dropped"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": "left out"},
    ]
    assert as_turns(messages) == expected
    assert as_turns([]) == []
    for wrong in ("abc", 3, {"role": "user"}, ("a", "b", "c")):
        with pytest.raises(DataError, match="history"):
            as_turns([wrong])  # type: ignore[list-item]


def test_history_reaches_the_model(small_bot: Path, embedder: HashEmbedder) -> None:
    bot = scripted(small_bot, "What does the Ember lamp cost?", "The Ember lamp costs 40 euros.")
    answer = bot.ask("And what does it cost?", history=[(QUESTION, "It burns for 38 hours.")])
    assert answer.rewritten == "What does the Ember lamp cost?"
    assert [call.adapter for call in calls(bot)] == [False, True]
    bot.close()


def test_another_base_of_the_same_shape_is_refused(
    bot_copy: Path, other_tiny_base: Path, embedder: HashEmbedder
) -> None:
    change(bot_copy, "base", {"model": str(other_tiny_base), "device": "cpu", "dtype": "float32"})
    with pytest.raises(AdapterMismatch):
        Chatbot.load(bot_copy)


def test_another_embedder_is_refused(bot_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import use_embedder

    use_embedder(monkeypatch, HashEmbedder(256, name="another"))
    with pytest.raises(IndexMismatch):
        Chatbot.load(bot_copy, model=ScriptedChatModel(replies=[]))


def test_another_reader_than_the_gate_was_fitted_with_is_refused(
    bot_copy: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedChatModel(replies=[])
    Chatbot.load(bot_copy, model=model).close()
    change(bot_copy, "chain", {"reader": "none"})
    with pytest.raises(DataError, match=r"another reader \(keywords@1\) than the one found now \(none\)") as caught:
        Chatbot.load(bot_copy, model=model)
    assert "build the bot again" in caught.value.hint
    (bot_copy / "chain" / "gate.json").unlink()  # without a gate nothing compares scores
    Chatbot.load(bot_copy, model=model).close()


def test_another_template_is_refused(bot_copy: Path, embedder: HashEmbedder) -> None:
    place = BotFolder(bot_copy)
    lock = read_lock(place)
    lock.template = "0" * 16
    write_lock(place, lock)
    with pytest.raises(ModelError, match="template"):
        Chatbot.load(bot_copy)


def test_a_folder_that_is_no_bot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a built bot"):
        Chatbot.load(tmp_path)


def test_a_bot_without_documents_says_so(bot_copy: Path) -> None:
    raw = yaml.safe_load((bot_copy / "bot.yaml").read_text())
    raw["knowledge"] = None
    (bot_copy / "bot.yaml").write_text(yaml.safe_dump(raw))
    shutil.rmtree(bot_copy / "knowledge")
    bot = Chatbot.load(bot_copy, model=ScriptedChatModel(replies=["Ahoy!"]))
    assert bot.ask("Hi?").passages == []
    assert "Your name is house." in calls(bot)[0].messages[0]["content"]
    for look in (lambda: bot.search("a"), lambda: bot.retriever):
        with pytest.raises(DataError, match="no documents"):
            look()
    bot.close()


def change(folder: Path, section: str, values: dict[str, Any]) -> None:
    """Change a section of a built bot's settings."""
    raw = yaml.safe_load((folder / "bot.yaml").read_text())
    raw[section] = values
    (folder / "bot.yaml").write_text(yaml.safe_dump(raw))


def test_a_bot_looks_with_tools_where_its_settings_say_so(
    small_bot: Path, embedder: HashEmbedder, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_bot, tmp_path / "bot"))
    raw = yaml.safe_load((folder / "bot.yaml").read_text())
    raw["chain"]["mode"] = "agent"
    (folder / "bot.yaml").write_text(yaml.safe_dump(raw))
    burns = "The Ember lamp burns for 38 hours on a full battery."
    looks = moves([Call("search_documents", {"query": "Ember lamp burns hours"})], burns)
    bot = Chatbot.load(folder, model=ScriptedToolModel(policy=looks))
    try:
        answer = bot.ask("How long does the Ember lamp burn?")
    finally:
        bot.close()
    assert burns in answer.text
    assert answer.trace.step("tool") is not None
