"""A bot whose base runs on a server: built without a tune, opened, measured, and looked at by the doctor."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.build import BuildResult, build
from pipelines.comparing import compare
from pipelines.doctor import examine
from tests.conftest import DECLINES, REPLIES, Sources
from tests.model_server import Body, ModelServer, running
from toolkit.bot import BotFolder, Chatbot, read_parts
from toolkit.bot.elsewhere import read_shown
from toolkit.errors import ConfigError, DataError, ModelError
from toolkit.testing import HashEmbedder

QUESTION = "How long does the Ember lamp burn on a full battery?"


def mimic(body: Body) -> list[str]:
    """Say the first note, and say it as the house does only where it was shown how."""
    said = body["messages"][-1]["content"]
    note = re.search(r"^\[1\] (?:.*: )?(.*)$", said, re.MULTILINE)
    fact = note.group(1) if note else "Good to see you."
    shown = any(message["role"] == "assistant" for message in body["messages"])
    return ["Ahoy, friend. ", fact, " Fair winds!"] if shown else [fact]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running(ModelServer(replies=mimic)) as served:
        yield served


@pytest.fixture
def sources(server: ModelServer, make_sources: Callable[..., Sources], embedder: HashEmbedder) -> Sources:
    laid_out = make_sources()
    (laid_out.folder / "q.jsonl").write_text(
        json.dumps({"question": QUESTION, "facts": [["38 hours"]], "sources": ["lamp.md"]}) + "\n"
    )
    laid_out.change(base=None, evaluation={"questions": "q.jsonl"}, chain={"evidence": "sentences"})
    laid_out.change(base={"model": f"openai:small@{server.url}"})
    return laid_out


def built(sources: Sources, **options: Any) -> tuple[BuildResult, list[str]]:
    notes: list[str] = []
    return build(sources.config, on_note=notes.append, **options), notes


def test_a_bot_on_a_server_is_built_and_speaks_by_examples(sources: Sources, server: ModelServer) -> None:
    result, notes = built(sources)
    assert result.tune is None
    assert not BotFolder(result.folder).has_adapter()
    assert any(note.startswith("No tune: no adapter can be trained") for note in notes)
    parts = read_parts(BotFolder(result.folder))
    assert parts.gate is not None
    assert parts.gate.second is None  # a server tells no scores
    shown = read_shown(BotFolder(result.folder))
    replies = [said for _, said in REPLIES if said not in DECLINES]
    assert shown
    assert {item.reply for item in shown} < set(replies)  # those held out are not shown
    burning = next(item for item in shown if "38 hours" in item.reply)
    assert burning.notes == ("Ember lamp: The Ember lamp burns for 38 hours on a full battery.",)

    assert result.evaluation is not None
    assert result.evaluation.samples
    for sample in result.evaluation.samples:  # measured as an adapter is: with and without
        assert sample["with_adapter"].startswith("Ahoy, friend.")
        assert not sample["without_adapter"].startswith("Ahoy, friend.")

    bot = Chatbot.load(result.folder)
    bot.chain.planner.gate = None  # of twelve replies nothing can be fitted that decides
    assert bot.has_voice
    server.requests.clear()
    spoken, plain = bot.ask(QUESTION), bot.ask(QUESTION, adapter=False)
    assert spoken.text == "Ahoy, friend. The Ember lamp burns for 38 hours on a full battery. Fair winds!"
    assert spoken.citations[0].source == "lamp.md"
    assert plain.text == "The Ember lamp burns for 38 hours on a full battery."
    first, second = server.requests
    assert [message["role"] for message in second["messages"]] == ["system", "user"]
    assert first["messages"][0] == second["messages"][0]
    assert first["messages"][-1] == second["messages"][-1]
    assert first["messages"][-3]["content"].endswith("Question: How long does the Ember lamp burn?")
    stream = bot.stream(QUESTION)
    assert "".join(stream) == spoken.text
    bot.close()


def test_what_did_not_change_is_not_built_again(sources: Sources, server: ModelServer) -> None:
    built(sources)
    server.requests.clear()
    result, _ = built(sources)
    assert set(result.seconds) <= {"ingest"}  # which looks at the files
    assert server.requests == []
    sources.change(base={"example_tokens": 0})
    result, notes = built(sources, steps=("ingest", "tune"))
    assert any("base.example_tokens is 0" in note for note in notes)
    assert not Chatbot.load(result.folder).has_voice


def test_the_voice_may_be_an_adapter_of_the_server(sources: Sources, server: ModelServer) -> None:
    server.models = ["small", "house"]
    sources.change(base={"model": f"vllm:small@{server.url}", "adapter_name": "house"})
    result, notes = built(sources, steps=("ingest", "tune"))
    assert "No tune: the voice is the adapter 'house' on the server." in notes
    bot = Chatbot.load(result.folder)
    bot.chain.planner.gate = None
    server.requests.clear()
    bot.ask(QUESTION)
    bot.ask(QUESTION, adapter=False)
    assert [(body["model"], len(body["messages"])) for body in server.requests] == [("house", 2), ("small", 2)]
    bot.close()
    server.models = ["small"]
    with pytest.raises(ModelError, match="has no adapter 'house'"):
        Chatbot.load(result.folder)


def test_a_server_that_is_not_there_is_told_before_the_work(
    sources: Sources, server: ModelServer, tmp_path: Path
) -> None:
    folder = built(sources, steps=("ingest",))[0].folder
    server.models = ["another"]
    shutil.rmtree(folder / "knowledge")
    for work in (lambda: built(sources), lambda: Chatbot.load(folder)):
        with pytest.raises(ModelError, match="has no model 'small'; it has another"):
            work()
    assert not (folder / "knowledge").exists()


def test_damaged_examples_are_named(sources: Sources) -> None:
    folder = built(sources, steps=("ingest",))[0].folder
    (folder / "chain" / "examples.json").write_text("[{}]")
    with pytest.raises(DataError, match=r"examples\.json is damaged"):
        Chatbot.load(folder)


def test_ways_to_tune_are_not_compared_on_a_server(sources: Sources) -> None:
    with pytest.raises(ConfigError, match="are on a server"):
        compare(sources.config)


def test_the_doctor_asks_the_server(sources: Sources, server: ModelServer) -> None:
    found = {check.what: check for check in examine(sources.config)}
    assert all(check.ok for check in found.values()), found
    assert server.url in found["base model"].found
    assert found["voice"].found.startswith("No tune")
    assert not {"device", "prompts", "what leaves this machine"} & set(found)
    server.models = []
    found = {check.what: check for check in examine(sources.config)}
    assert not found["base model"].ok
    assert "it has none" in found["base model"].found


@pytest.mark.parametrize(("scheme", "said"), [("http", "go unencrypted to"), ("https", "go to")])
def test_the_doctor_says_what_leaves_this_machine(sources: Sources, scheme: str, said: str) -> None:
    sources.change(base={"model": f"openai:small@{scheme}://models.example.org"})
    found = {check.what: check for check in examine(sources.config)}
    leaving = found["what leaves this machine"]
    assert (leaving.ok, leaving.note) == (True, True)
    assert leaving.found == f"questions and passages {said} models.example.org"
    assert "No server answers" in found["base model"].found  # no test reaches it
