"""A bot behind OpenAI's interface, asked with the official client and in the shapes of real ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from pipelines.serving.limits import LONGEST_QUESTION, MAX_BODY
from tests.chains import BURNS, DECLINE, QUESTION, gate, make_chain
from tests.serving import SECONDS, Served, make_bot, served
from toolkit.bot import Chatbot
from toolkit.errors import ModelError
from toolkit.prompts import Message
from toolkit.store import Knowledge
from toolkit.testing import ScriptedChatModel

SAID = [{"role": "user", "content": QUESTION}]
QUOTE = "The Ember lamp burns for 38 hours on a full battery."


@pytest.fixture(scope="module")
def bot(house: Knowledge) -> tuple[Chatbot, ScriptedChatModel]:
    return make_bot(lambda messages: BURNS, house)


@pytest.fixture(scope="module")
def server(bot: tuple[Chatbot, ScriptedChatModel]) -> Iterator[Served]:
    with served(bot[0], documents_url="https://docs.test/") as running:
        yield running


def test_an_answer_comes_with_what_it_stands_on(server: Served) -> None:
    reply = server.client().chat.completions.create(model="house", messages=SAID)
    (choice,) = reply.choices
    assert choice.message.content == BURNS
    assert choice.finish_reason == "stop"
    assert choice.message.annotations is not None
    (cited,) = choice.message.annotations
    assert cited.type == "url_citation"
    assert cited.url_citation.url == "https://docs.test/lamp.md"
    assert cited.url_citation.title == "lamp.md"
    assert BURNS[cited.url_citation.start_index : cited.url_citation.end_index] == BURNS
    assert cited.url_citation.quote == QUOTE  # type: ignore[attr-defined]
    assert reply.usage is not None
    # The double has no tokenizer: the embedder's counts, which takes a word for a token.
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (len(QUESTION.split()), len(BURNS.split()))
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.to_dict()["housevoice"]["abstained"] is False  # type: ignore[index]


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_has_its_chunks_in_their_order(server: Served, usage: bool) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(server.client().chat.completions.create(model="house", messages=SAID, stream=True, **options))
    assert len({chunk.id for chunk in chunks}) == 1
    if usage:
        *chunks, last = chunks
        assert last.choices == []
        assert last.usage is not None
        assert last.usage.total_tokens > last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    pieces = [delta.content for delta in deltas if delta.content]
    assert len(pieces) == 3  # sentences, as they were checked
    assert "".join(pieces) == BURNS
    assert deltas[-2].annotations[0]["url_citation"]["quote"] == QUOTE  # type: ignore[attr-defined]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


def test_a_stream_ends_as_clients_expect(server: Served) -> None:
    response = server.post("/v1/chat/completions", json={"model": "house", "messages": SAID, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [block for block in response.text.split("\n\n") if block]
    assert events[-1] == "data: [DONE]"
    told = [block for block in events[:-1] if not block.startswith(":")]
    assert all(json.loads(block.removeprefix("data: "))["object"] == "chat.completion.chunk" for block in told)


@pytest.mark.parametrize(
    ("name", "adapter", "notes"), [("house", True, True), ("house-plain", False, True), ("house-voice", True, False)]
)
def test_the_name_switches_voice_and_documents(
    server: Served, bot: tuple[Chatbot, ScriptedChatModel], name: str, adapter: bool, notes: bool
) -> None:
    reply = server.client().chat.completions.create(model=name, messages=SAID)
    assert reply.model == name
    call = bot[1].calls[-1]
    assert call.adapter is adapter
    assert call.text.startswith("Notes:") is notes
    assert bool(reply.choices[0].message.annotations) is notes


def test_the_models_are_those_that_differ(server: Served, house: Knowledge) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["house", "house-plain", "house-voice"]
    assert client.models.retrieve("house-voice").id == "house-voice"
    with pytest.raises(openai.NotFoundError, match="house-plain"):
        client.models.retrieve("gpt-5")
    for halves in (make_bot([BURNS], house, voice=False), make_bot([BURNS])):
        with served(halves[0]) as other:
            assert [model.id for model in other.client().models.list()] == ["house"]


def test_what_was_said_before_goes_to_the_bot(server: Served, bot: tuple[Chatbot, ScriptedChatModel]) -> None:
    said: list[Any] = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "Is it blue?"},
        {"role": "assistant", "content": [{"type": "text", "text": "It is"}, {"type": "text", "text": "blue."}]},
        {"role": "user", "content": "x" * (LONGEST_QUESTION + 1)},
        {"role": "assistant", "content": "Too long."},
        {"role": "user", "content": [{"type": "text", "text": "Well,"}, {"type": "text", "text": "then?"}]},
    ]
    server.client().chat.completions.create(model="house-voice", messages=said)
    shown = [message["content"] for message in bot[1].calls[-1].messages]
    assert shown[-3:] == ["Is it blue?", "It is\nblue.", "Well,\nthen?"]
    assert not any("pirate" in text or "xxx" in text or "Too long" in text for text in shown)


OPEN_WEBUI = {
    "stream": True, "model": "house", "messages": SAID, "params": {}, "tool_servers": [], "features": {"voice": False},
    "stream_options": {"include_usage": True}, "session_id": "s", "chat_id": "c", "id": "m", "background_tasks": {},
    "model_item": {"id": "house"},
}  # fmt: skip
LIBRECHAT = {
    "model": "house", "temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "stop": ["||>"],
    "user": "650f", "stream": True, "messages": [{"role": "user", "name": "Ann", "content": QUESTION}],
}  # fmt: skip
LANGCHAIN = {
    "model": "house", "messages": SAID, "stream": False, "n": 1, "temperature": 0.7, "max_completion_tokens": 50,
    "seed": 1, "logprobs": False, "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": "auto", "parallel_tool_calls": False, "response_format": {"type": "text"}, "metadata": {"a": "b"},
    "store": False, "service_tier": None, "reasoning_effort": "low",
}  # fmt: skip


@pytest.mark.parametrize("body", [OPEN_WEBUI, LIBRECHAT, LANGCHAIN], ids=["open webui", "librechat", "langchain"])
def test_what_real_clients_send_is_taken(server: Served, body: dict[str, Any]) -> None:
    response = server.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert "38 hours" in response.text


LONG = "x" * (LONGEST_QUESTION + 1)
IMAGE = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]


@pytest.mark.parametrize(
    ("changes", "status", "param", "told"),
    [
        ({"messages": [{"role": "user", "content": IMAGE}]}, 400, "messages", "image_url"),
        ({"messages": [{"role": "user", "content": LONG}]}, 400, "messages", str(LONGEST_QUESTION)),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "messages", "empty"),
        ({"messages": [*SAID, {"role": "assistant", "content": "A"}]}, 400, "messages", "last message"),
        ({"messages": [{"role": "system", "content": "Be."}]}, 400, "messages", "last message"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": [{"content": "a"}]}, 400, "messages.0.role", "required"),
        ({"messages": "hello"}, 400, "messages", "array"),
        ({"model": "gpt-5"}, 404, "model", "house-voice"),
        ({"n": 2}, 400, "n", "one reply"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format", "text"),
        ({"tool_choice": "required"}, 400, "tool_choice", "tools"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_known_shape(
    server: Served, changes: dict[str, Any], status: int, param: str, told: str
) -> None:
    response = server.post("/v1/chat/completions", json={"model": "house", "messages": SAID} | changes)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert told in error["message"]


def test_other_refusals_have_the_known_shape_as_well(server: Served) -> None:
    assert server.post("/v1/chat/completions", content=b"{").json()["error"]["type"] == "invalid_request_error"
    assert server.post("/v1/responses", json={}).json()["error"]["message"] == "Not Found."
    assert httpx.get(f"{server.url}/v1/chat/completions").status_code == 405


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_has_a_longest_length(server: Served, chunked: bool) -> None:
    long = b" " * (MAX_BODY + 1)
    response = server.post("/v1/chat/completions", content=iter([long]) if chunked else long)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"


def test_vectors_are_those_of_the_embedder(server: Served, house: Knowledge) -> None:
    texts = ["The lamp is blue.", "The kite flies."] * 10
    wanted = house.embedder.encode(texts)
    found = server.client().embeddings.create(model="house", input=texts)  # the client asks for base64
    assert np.allclose([row.embedding for row in found.data], wanted)
    assert [row.index for row in found.data] == list(range(20))
    assert found.usage.prompt_tokens == sum(house.embedder.count_tokens(texts))
    plain = server.client().embeddings.create(model="house", input=texts[0], encoding_format="float")
    assert np.allclose(plain.data[0].embedding, wanted[0])
    raw = server.post("/v1/embeddings", json={"model": "house", "input": texts[0], "encoding_format": "base64"}).json()
    assert np.allclose(np.frombuffer(base64.b64decode(raw["data"][0]["embedding"]), "<f4"), wanted[0])


def test_questions_are_embedded_as_questions(house: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.embedder, "encode_queries", lambda texts: -house.embedder.encode(texts))
    with served(make_bot([], house)[0]) as running:
        asked = running.client().embeddings.create(model="house", input="lamp", extra_body={"input_type": "query"})
    assert np.allclose(asked.data[0].embedding, -house.embedder.encode(["lamp"])[0])


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 257}, "input"),
        ({"dimensions": 8}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_cannot_be_embedded_is_refused(server: Served, changes: dict[str, Any], param: str) -> None:
    response = server.post("/v1/embeddings", json={"model": "house", "input": "a"} | changes)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_bot_without_documents_has_no_embedder(tmp_path: Any) -> None:
    with served(make_bot([])[0]) as running, pytest.raises(openai.BadRequestError, match="no documents"):
        running.client().embeddings.create(model="house", input="a")


def test_a_decline_is_told_apart(house: Knowledge) -> None:
    bot, _ = make_bot([], house)
    bot.chain, _ = make_chain([], house, gate=gate(probability=0.1))
    with served(bot) as running:
        reply = running.client().chat.completions.create(model="house", messages=SAID)
        assert reply.choices[0].message.content is not None
        assert reply.choices[0].message.content.startswith(DECLINE)
        assert reply.to_dict()["housevoice"]["abstained"] is True  # type: ignore[index]
        assert running.metric('requests_total{outcome="declined"}') == 1


def test_a_failure_is_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    def fail(messages: list[Message]) -> str:
        raise (ModelError("The server is away.", "Start it.") if "away" in messages[-1]["content"] else KeyError("s3"))

    with served(make_bot(fail)[0]) as running:
        for stream in (False, True):
            with pytest.raises(openai.APIError, match="Something went wrong") as caught:
                list(running.client().chat.completions.create(model="house", messages=SAID, stream=stream))
            assert "s3" not in str(caught.value)
            away: Any = [{"role": "user", "content": "Are you away?"}]
            # A client of its own: the server closes the connection over which it failed, now or in a moment.
            with pytest.raises(openai.APIError, match="The server is away.\nStart it."):
                list(running.client().chat.completions.create(model="house", messages=away, stream=stream))
        assert running.metric('requests_total{outcome="failed"}') == 4
    assert "KeyError: 's3'" in caplog.text


def test_the_metrics_count_what_happened(house: Knowledge) -> None:
    with served(make_bot([BURNS], house)[0]) as running:
        client = running.client()
        client.chat.completions.create(model="house", messages=SAID)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-5", messages=SAID)
        client.embeddings.create(model="house", input=["a", "b"])
        assert running.metric('requests_total{outcome="answered"}') == 1
        assert running.metric('requests_total{outcome="refused"}') == 1
        assert running.metric('tokens_total{kind="completion"}') == 11
        assert 0 < running.metric('answer_seconds_total{step="total"}') < SECONDS
        assert running.metric("embedded_texts_total") == 2
        assert running.metric("jobs_running") == running.metric("jobs_waiting") == 0
