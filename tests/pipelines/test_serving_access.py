"""Who may ask a served bot: keys, this machine, other sites."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from pipelines.cli.app import new_app
from pipelines.serving.access import KEY_VARIABLE, check_exposure, is_loopback, read_key
from pipelines.serving.listening import address_of, listen
from tests.serving import Served, make_bot, served
from toolkit.errors import ConfigError

KEY = "a-key-of-many-letters"
SAID: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    with served(make_bot(lambda messages: "Ahoy!")[0], key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def open_() -> Iterator[Served]:
    with served(make_bot(lambda messages: "Ahoy!")[0]) as running:
        yield running


def test_the_key_lets_in(locked: Served) -> None:
    assert locked.client().chat.completions.create(model="house", messages=SAID).choices[0].message.content == "Ahoy!"


@pytest.mark.parametrize("shown", [None, "", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", "Bearer ä"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/metrics", "/nowhere"])
def test_nothing_else_does(locked: Served, shown: str | None, path: str) -> None:
    headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
    response = httpx.get(locked.url + path, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_wrong_key_is_told_as_the_client_knows_it(locked: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        locked.client(api_key="wrong").models.list()


def test_health_needs_no_key(locked: Served) -> None:
    assert httpx.get(f"{locked.url}/health").json() == {"status": "ok"}


def test_a_page_of_another_site_may_not_ask(open_: Served) -> None:
    body = {"model": "house", "messages": SAID}
    assert open_.post("/v1/chat/completions", json=body).status_code == 200
    assert open_.post("/v1/chat/completions", json=body, headers={"Origin": open_.url}).status_code == 200
    for headers in ({"Origin": "http://evil.test"}, {"Origin": "null"}, {"Host": "evil.test"}, {"Host": "[::1"}):
        response = open_.post("/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == 403
        assert "key" in response.json()["error"]["message"]


def test_a_key_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "api.key"
    file.write_text(f"{KEY}\n")
    assert read_key(file, {KEY_VARIABLE: "another-key-of-letters"}) == KEY
    assert read_key(None, {KEY_VARIABLE: KEY}) == KEY
    assert read_key(None, {}) is None


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two lines of letters\nand words", b"\xff" * 20, "ä".encode() * 20]
)
def test_what_is_no_key_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "api.key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="api.key") as caught:
        read_key(file, {})
    assert "--api-key-file" in caught.value.hint
    assert content.decode("latin-1").strip() not in caught.value.message or not content


def test_a_missing_key_file_and_an_empty_variable_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none", {})
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        read_key(None, {KEY_VARIABLE: ""})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test"])
def test_other_machines_need_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match="needs a key"):
        check_exposure(host, None)
    check_exposure(host, KEY)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, None)


def test_the_command_refuses_before_it_opens_the_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    def refusal(*arguments: str) -> BaseException | None:
        return CliRunner().invoke(new_app(), ["serve", str(tmp_path), *arguments]).exception

    assert "needs a key" in str(refusal("--host", "0.0.0.0"))
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in str(refusal("--port", str(port)))


def test_the_command_serves_with_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    seen: dict[str, Any] = {}

    def visit(app: Any, listener: socket.socket, *, ready: Any, leave: Any) -> None:
        ready()
        with TestClient(app, headers={"Authorization": f"Bearer {KEY}"}) as client:
            seen["models"] = [model["id"] for model in client.get("/v1/models").json()["data"]]
            seen["without"] = client.get("/v1/models", headers={"Authorization": ""}).status_code
        seen["port"] = listener.getsockname()[1]
        raise KeyboardInterrupt

    def load(bot: Path, device: str | None, on_progress: Any) -> Any:
        seen["bot"] = bot, device
        return make_bot([])[0]

    monkeypatch.setattr("pipelines.cli.serving.load_bot", load)
    monkeypatch.setattr("pipelines.serving.serve.run_app", visit)
    (tmp_path / "api.key").write_text(KEY)
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    arguments = ["serve", "bot", "--port", str(port), "--api-key-file", str(tmp_path / "api.key"), "--device", "cpu"]
    result = CliRunner().invoke(new_app(), arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"house is at http://127.0.0.1:{port}/v1 (with its key; Ctrl-C ends it)\nClosed.\n"
    assert seen == {"models": ["house"], "without": 401, "port": port, "bot": (Path("bot"), "cpu")}


def test_an_address_of_another_machine_cannot_be_taken() -> None:
    with pytest.raises(ConfigError, match="not an address of this machine"):
        listen("192.0.2.1", 8000)


def test_the_newer_kind_of_address_is_served_as_well() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with listen("::1", 0) as listener:
        assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
