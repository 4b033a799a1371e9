"""A bot on a real model server: `transformers serve` with a tiny random model, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.build import build
from tests.conftest import Sources
from toolkit.bot import Chatbot
from toolkit.engines import Decoding, TextEngine
from toolkit.engines.remote import RemoteEngine
from toolkit.models import load_base
from toolkit.servers import list_models, model_address
from toolkit.testing import HashEmbedder

pytestmark = pytest.mark.e2e

# Imports torch and transformers, on a machine that may be busy.
_START_SECONDS = 120
HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How long does the lamp burn?"}]


@pytest.fixture(scope="module")
def served(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the tiny model and give what ``base.model`` calls it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    command = [Path(sys.executable).parent / "transformers", "serve", str(tiny_base), "--port", str(port)]
    options = ["--host", "127.0.0.1", "--device", "cpu", "--dtype", "float32"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(log.parent)}
    with log.open("w") as told:
        server = subprocess.Popen([*command, *options], stdout=told, stderr=told, env=environment)
    try:
        until = time.monotonic() + _START_SECONDS
        name = f"transformers:{tiny_base}@http://127.0.0.1:{port}"
        address = model_address(name)
        assert address is not None
        while time.monotonic() < until:
            assert server.poll() is None, log.read_text()
            with socket.socket() as knocking:
                if knocking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        list_models(address)
        yield name
    finally:
        server.terminate()
        server.wait(timeout=20)


def engine_of(name: str) -> RemoteEngine:
    address = model_address(name)
    assert address is not None
    return RemoteEngine(address)


def test_the_server_says_what_the_model_says_here(served: str, tiny_base: Path) -> None:
    here = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    decoding = Decoding(max_new_tokens=24)
    (expected,) = here.generate([ASKED], adapter=False, decoding=decoding)
    remote = engine_of(served)
    remote.check()
    pieces = list(remote.stream(ASKED, adapter=False, decoding=decoding))
    assert len(pieces) > 1
    written = ["".join(pieces), *remote.generate([ASKED] * 3, adapter=False, decoding=decoding)]
    # A random model may end in the middle of a letter, which a stream keeps back.
    assert [text.strip() for text in written] == [expected.rstrip(HALF_A_LETTER)] * 4


def test_a_reply_that_is_stopped_leaves_the_server_free(served: str) -> None:
    remote, cancel = engine_of(served), threading.Event()
    pieces = remote.stream(ASKED, adapter=False, decoding=Decoding(max_new_tokens=1500, temperature=2.0), cancel=cancel)
    next(pieces)
    cancel.set()
    started = time.monotonic()
    assert len(list(pieces)) < 100
    assert time.monotonic() - started < 1.0
    assert remote.generate([ASKED], adapter=False, decoding=Decoding(max_new_tokens=1)) is not None
    assert time.monotonic() - started < 5.0


def test_a_bot_is_built_on_it_and_asked(
    served: str, make_sources: Callable[..., Sources], embedder: HashEmbedder
) -> None:
    sources = make_sources()
    sources.change(base=None)
    sources.change(base={"model": served})
    notes: list[str] = []
    bot = Chatbot.load(build(sources.config, steps=("ingest", "tune"), on_note=notes.append).folder)
    assert any(note.startswith("No tune") for note in notes)
    assert bot.has_voice
    bot.chain.planner.gate = None
    answer = bot.ask("How long does the Ember lamp burn?")
    assert answer.text
    assert answer.passages
    bot.close()
