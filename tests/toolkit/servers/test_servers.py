"""Model servers: what an address says, which key goes where, and what is found on this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError

import toolkit.servers.listing
from pipelines.doctor.servers import local_servers
from tests.model_server import ModelServer, running
from toolkit.config import BaseSettings
from toolkit.errors import ModelError
from toolkit.servers import PRESETS, ModelAddress, find_servers, list_models, model_address


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running(ModelServer(models=["a", "b"])) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "kind", "model", "url"),
    [
        ("ollama:qwen3:4b", "ollama", "qwen3:4b", "http://127.0.0.1:11434/v1"),
        ("lmstudio:org/model", "lmstudio", "org/model", "http://127.0.0.1:1234/v1"),
        ("vllm:org/model@http://gpu:9000", "vllm", "org/model", "http://gpu:9000/v1"),
        ("llamacpp:my model.gguf", "llamacpp", "my model.gguf", "http://127.0.0.1:8080/v1"),
        ("transformers:/a/folder", "transformers", "/a/folder", "http://127.0.0.1:8000/v1"),
        ("openai:@cf/meta/llama@https://api.example.org/x/ai/v1/", "openai", "@cf/meta/llama",
         "https://api.example.org/x/ai/v1"),
    ],
)  # fmt: skip
def test_an_address_is_read(name: str, kind: str, model: str, url: str) -> None:
    address = model_address(name)
    assert address == ModelAddress(kind, model, url)
    assert model_address(str(address)) == address
    assert BaseSettings(model=name).address == address


@pytest.mark.parametrize("name", ["bundled", "org/model", "models/mine", "/a/b", "~/x", r"C:\models\mine"])
def test_other_names_are_no_addresses(name: str) -> None:
    assert model_address(name) is None
    assert BaseSettings(model=name).address is None


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"model": "openai:small"}, "needs the address"),
        ({"model": "olama:small"}, "no server is known as 'olama'"),
        ({"model": "openai:small@https://me:secret@host/v1"}, "may hold no name, key or query"),
        ({"model": "openai:small@https://host/v1?key=secret"}, "may hold no name, key or query"),
        ({"model": "ollama:small", "load_in_4bit": True}, "load_in_4bit is the server's to decide"),
        ({"model": "bundled", "adapter_name": "house"}, "adapter_name is for a model on a server"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        BaseSettings(**settings)  # type: ignore[arg-type]


def test_a_key_is_for_the_server_that_its_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    monkeypatch.setenv("HOUSEVOICE_KEY_GPU_EXAMPLE_ORG_9000", "ours")
    official = ModelAddress("openai", "m", "https://api.openai.com/v1")
    ours = ModelAddress("vllm", "m", "https://gpu.example.org:9000/v1")
    assert (official.key_name, official.key) == ("OPENAI_API_KEY", "theirs")
    assert (ours.key_name, ours.key) == ("HOUSEVOICE_KEY_GPU_EXAMPLE_ORG_9000", "ours")
    for url in ("https://gpu.example.org/v1", "https://evil.example/v1", "https://api.openai.com.evil.example/v1"):
        assert ModelAddress("openai", "m", url).key is None


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1/v1", True), ("http://localhost/v1", True), ("http://[::1]:80/v1", True),
        ("http://127.0.0.1.example.org/v1", False), ("http://10.0.0.1/v1", False), ("http://localhost.org/v1", False),
    ],
)  # fmt: skip
def test_what_runs_here_is_told_from_what_does_not(url: str, here: bool) -> None:
    assert ModelAddress("openai", "m", url).is_local is here


def use(patch: pytest.MonkeyPatch, **urls: str) -> None:
    """Let presets listen elsewhere, and be no others."""
    presets = {kind: replace(PRESETS[kind], url=url) for kind, url in urls.items()}
    patch.setattr(toolkit.servers.listing, "PRESETS", presets)


def test_what_runs_on_this_machine_is_found(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
    use(monkeypatch, ollama=server.url, lmstudio=down, vllm=server.url)
    (found,) = find_servers()  # one address is asked once
    assert (found.kind, found.url, found.models) == ("ollama", server.url, ("a", "b"))
    assert local_servers().found == f"{server.url}: ollama:a, ollama:b"
    server.models = None  # another program
    assert local_servers().found == "none on the usual ports"


def test_of_two_servers_on_one_port_the_list_tells_which(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, vllm=server.url)
    assert [found.kind for found in find_servers()] == ["transformers"]
    server.owner = "vllm"
    assert [found.kind for found in find_servers()] == ["vllm"]


def test_ollama_without_a_model_is_found_too(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ollama=server.url)
    server.models, server.null_for_none = [], True
    assert [found.models for found in find_servers()] == [()]
    assert list_models(ModelAddress("ollama", "m", server.url)) == []


def test_a_port_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        use(monkeypatch, ollama=f"http://127.0.0.1:{mute.getsockname()[1]}/v1")
        looking = threading.Thread(target=lambda: list(find_servers(seconds=0.1)), daemon=True)
        looking.start()
        looking.join(timeout=3)
        assert not looking.is_alive()
        with pytest.raises(ModelError, match=r"nothing within 0\.1 s"):
            list_models(ModelAddress("ollama", "m", f"http://127.0.0.1:{mute.getsockname()[1]}/v1"), seconds=0.1)
