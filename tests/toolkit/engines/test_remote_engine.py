"""A model on a server: streamed, stopped, sent again, and every fault with its remedy."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.model_server import CUT, ENDED, ModelServer, running
from toolkit.engines import Decoding, HouseChatModel, Speaker
from toolkit.engines.remote import RemoteEngine
from toolkit.errors import MissingExtra, ModelError
from toolkit.servers import ModelAddress

pytest.importorskip("langchain_openai")  # here, and not while seconds are counted

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How long?"}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running(ModelServer()) as served:
        yield served


def engine_of(server: ModelServer, kind: str = "openai", model: str = "small", **options: Any) -> RemoteEngine:
    return RemoteEngine(ModelAddress(kind, model, server.url), **{"retries": 0} | options)


def say(engine: RemoteEngine, **options: Any) -> str:
    return "".join(engine.stream(ASKED, **{"adapter": False} | options))


def test_a_reply_comes_in_pieces_and_is_asked_for_as_set(server: ModelServer) -> None:
    engine = engine_of(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    pieces = list(engine.stream(ASKED, adapter=False, decoding=Decoding(max_new_tokens=7, temperature=0.5, seed=3)))
    assert pieces == ["Ahoy, ", "friend", "."]
    (body,) = server.requests
    assert body["messages"] == ASKED
    assert {key: body[key] for key in ("model", "stream", "max_tokens", "temperature", "seed")} == {
        "model": "small", "stream": True, "max_tokens": 7, "temperature": 0.5, "seed": 3,
    }  # fmt: skip
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert not {"lora", "stream_options", "max_completion_tokens"} & set(body)


def test_pieces_come_while_the_server_writes(server: ModelServer) -> None:
    server.pause = 0.3
    started = time.monotonic()
    pieces = engine_of(server).stream(ASKED, adapter=False)
    assert next(pieces) == "Ahoy, "
    assert time.monotonic() - started < 0.3 * len(server.replies({}))
    pieces.close()


@pytest.mark.parametrize("way", ["before the first word", "between two words", "closed"])
def test_a_reply_that_is_stopped_closes_its_connection_within_a_second(server: ModelServer, way: str) -> None:
    server.pause = 30.0 if way == "before the first word" else 0.05
    server.replies = lambda body: ["word "] * 1000
    cancel = threading.Event()
    pieces = engine_of(server).stream(ASKED, adapter=False, cancel=cancel)
    if way == "before the first word":
        times: list[float] = []

        def stop() -> None:
            while not server.requests:
                time.sleep(0.01)
            times.append(time.monotonic())
            cancel.set()

        threading.Thread(target=stop, daemon=True).start()
        assert list(pieces) == []
        (stopped,) = times
    else:
        assert next(pieces) == "word "
        stopped = time.monotonic()
        if way == "closed":
            pieces.close()
        else:
            cancel.set()
            assert len(list(pieces)) < 20
    assert time.monotonic() - stopped < 1.0
    while not server.left and time.monotonic() - stopped < 5:
        time.sleep(0.01)
    assert server.left[0] - stopped < 1.0


def test_many_replies_are_asked_for_at_once_and_stay_in_order(server: ModelServer) -> None:
    server.pause = 0.05
    server.replies = lambda body: [" to ", body["messages"][-1]["content"], " "]
    seen: list[tuple[int, int]] = []
    asked = [[{"role": "user", "content": str(number)}] for number in range(9)]
    written = engine_of(server).generate(
        asked, adapter=False, on_progress=lambda what, done, total: seen.append((done, total))
    )
    assert written == [f"to {number}" for number in range(9)]
    assert seen == [(done, 9) for done in range(1, 10)]
    assert 1 < server.most_at_once <= 4


def test_of_many_the_first_failure_ends_all(server: ModelServer) -> None:
    server.failures = [500]
    server.pause = 0.2
    with pytest.raises(ModelError, match="told to fail"):
        engine_of(server).generate([ASKED] * 30, adapter=False)
    time.sleep(0.3)
    assert len(server.requests) < 12


def test_behind_langchain_stop_marks_end_the_reply(server: ModelServer) -> None:
    server.replies = lambda body: ["One.", "\nTwo", "."]
    speaker = Speaker(HouseChatModel(engine=engine_of(server)))
    assert not speaker.abilities.adapter
    assert speaker.abilities.cancel
    assert speaker.invoke(ASKED, stop=["\n"], forbid_first="unanswerable") == "One."
    assert speaker.batch([ASKED, ASKED], stop=["\n"]) == ["One.", "One."]
    assert "".join(speaker.stream(ASKED, stop=["\n"])) == "One."
    assert speaker.scored_replies([ASKED], "unanswerable", 1) is None


def test_a_request_that_fails_at_first_is_sent_again(server: ModelServer) -> None:
    server.failures = [503, 429]
    assert say(engine_of(server, retries=2)) == "Ahoy, friend."
    assert len(server.requests) == 3
    server.failures = [503, 503]
    with pytest.raises(ModelError, match="could not reply"):
        say(engine_of(server, retries=1))
    assert len(server.requests) == 5


@pytest.mark.parametrize("way", [CUT, ENDED])
def test_a_reply_that_breaks_off_is_told(server: ModelServer, way: int) -> None:
    server.failures = [way]
    pieces = engine_of(server).stream(ASKED, adapter=False)
    assert next(pieces) == "Ahoy, "
    with pytest.raises(ModelError, match="broke off in the middle"):
        list(pieces)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(("kind", "remedy"), [("ollama", "Start it (ollama serve)"), ("openai", "correct the address")])
@pytest.mark.parametrize("way", ["check", "stream", "generate"])
def test_a_server_that_is_down_says_how_to_start_it(kind: str, remedy: str, way: str) -> None:
    engine = RemoteEngine(ModelAddress(kind, "small", f"http://127.0.0.1:{free_port()}/v1"), retries=0)
    ways = {
        "check": engine.check,
        "stream": lambda: say(engine),
        "generate": lambda: engine.generate([ASKED], adapter=False),
    }
    with pytest.raises(ModelError, match="No server answers at http://127.0.0.1") as caught:
        ways[way]()
    assert remedy in caught.value.hint


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_server_that_falls_silent_is_not_waited_for_for_ever(server: ModelServer, pieces: int) -> None:
    def slow(body: Any) -> Iterator[str]:
        for number in range(3):
            server.pause = 0.0 if number < pieces else 30.0
            yield "word"

    server.replies = slow  # type: ignore[assignment]
    server.pause = 30.0 * (pieces == 0)
    started = time.monotonic()
    with pytest.raises(ModelError, match="said nothing for 1 s") as caught:
        say(engine_of(server, timeout=1.0, retries=5))
    assert time.monotonic() - started < 3  # it is not waited for once for every time that the request is sent
    assert "base.timeout" in caught.value.hint


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_refused_key_names_its_variable(server: ModelServer, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = "right"
    address = ModelAddress("openai", "small", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "right")  # is for another server
    monkeypatch.setenv(address.key_name, given)
    for look in (engine_of(server).check, lambda: say(engine_of(server))):
        with pytest.raises(ModelError, match="refuses") as caught:
            look()
        assert address.key_name in caught.value.hint
    monkeypatch.setenv(address.key_name, "right")
    engine = engine_of(server)
    engine.check()
    assert say(engine) == "Ahoy, friend."


def test_a_missing_model_is_told_with_those_that_are_there(server: ModelServer) -> None:
    server.models = ["a", "b:latest"]
    engine_of(server, "ollama", "b").check()
    for look in (engine_of(server, "ollama", "c").check, lambda: say(engine_of(server, "ollama", "c"))):
        with pytest.raises(ModelError, match="has no model 'c'; it has a, b:latest") as caught:
            look()
        assert "ollama pull c" in caught.value.hint
    engine_of(server, "transformers", "a/folder").check()  # serves what it does not list
    server.models = None
    engine_of(server).check()


def test_an_adapter_is_a_model_of_its_own(server: ModelServer) -> None:
    server.models = ["small", "house"]
    engine = engine_of(server, "vllm", adapter_name="house")
    engine.check()
    assert engine.abilities.adapter
    say(engine, adapter=True)
    say(engine, adapter=False)
    assert [body["model"] for body in server.requests] == ["house", "small"]
    server.models = ["small", "house:latest"]
    engine_of(server, "ollama", adapter_name="house").check()
    server.models = ["small", "house"]
    with pytest.raises(ModelError, match="has no adapter 'other'; it lists small, house") as caught:
        engine_of(server, "vllm", adapter_name="other").check()
    assert "--lora-modules" in caught.value.hint


def test_of_llama_cpp_an_adapter_is_named_in_every_request(server: ModelServer) -> None:
    server.adapters = [{"id": 0, "path": "/x/other.gguf"}, {"id": 1, "path": "/x/house.gguf"}]
    engine = engine_of(server, "llamacpp", adapter_name="house.gguf")
    engine.check()
    say(engine, adapter=True)
    say(engine, adapter=False)
    assert [body["lora"] for body in server.requests] == [
        [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}],
        [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}],
    ]
    assert {body["model"] for body in server.requests} == {"small"}
    with pytest.raises(ModelError, match="has no adapter 'mine.gguf'; it lists other.gguf, house.gguf"):
        engine_of(server, "llamacpp", adapter_name="mine.gguf").check()


def test_what_runs_here_is_not_asked_for_through_a_proxy(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    engine = engine_of(server)
    engine.check()
    assert say(engine) == "Ahoy, friend."


def test_without_the_client_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_openai", None)
    with pytest.raises(MissingExtra) as caught:
        RemoteEngine(ModelAddress("openai", "small", "http://127.0.0.1:1/v1"))
    assert "housevoice[remote]" in caught.value.hint


def test_a_thread_ends_with_its_engine(server: ModelServer) -> None:
    engine = engine_of(server)
    say(engine)
    count = threading.active_count()
    del engine
    for _ in range(100):
        if threading.active_count() < count:
            return
        time.sleep(0.02)
    raise AssertionError("the thread of the requests is still there")
