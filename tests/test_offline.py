"""Nothing is sent anywhere: attempts to leave this machine are counted while a bot is built, asked and shown."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import REPLIES, write_sources
from tests.network import watch

# In the place of the bundled embedder and the bundled reader in the fast form.
DOUBLE = """
import toolkit.embedding.load
from toolkit.testing import HashEmbedder
toolkit.embedding.load._load_bundled = lambda *arguments: HashEmbedder(256)
import toolkit.reader
from toolkit.testing import KeywordReader
toolkit.reader.load_reader = lambda *arguments: KeywordReader()
"""
FROM_PYTHON = """
import sys
from pipelines import build_chatbot
sources, bot, question, port = sys.argv[1:]
opened = build_chatbot(sources)
assert opened.has_voice
opened.ask(question)
list(opened.stream(question))
opened.search(question)
assert {"trl", "peft", "bitsandbytes", "chromadb"} <= set(sys.modules)
import kernels
assert kernels.get_kernel  # the package is there again
"""
PAGE_FROM_PYTHON = """
import threading
from starlette.testclient import TestClient
from demo.conversation import Exchange
from demo.page import build_app, build_page
from demo.talking import reply
with TestClient(build_app(build_page(opened)), base_url="http://127.0.0.1:7860") as client:
    assert client.get("/").status_code == 200
list(reply(opened, [Exchange(question)], threading.Event(), adapter=True, knowledge=True))
"""
FROM_THE_COMMAND_LINE = """
import os, signal, sys, threading, time, urllib.request
from demo.command import main
sources, bot, question, port = sys.argv[1:]

def visit():
    for _ in range(600):
        time.sleep(0.2)
        try:
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).read()
        except OSError:
            continue
        assert b"gradio" in page
        break
    os.kill(os.getpid(), signal.SIGINT)

def run(*command):
    sys.argv = ["housevoice", *command]
    try:
        main()
    except SystemExit as leaving:
        assert not leaving.code, (command, leaving.code)

if sources:
    run("build", sources)
    run("search", bot, question)
run("ask", bot, question)
threading.Thread(target=visit).start()
run("demo", bot, "--port", port)
assert {"peft", "bitsandbytes", "chromadb", "gradio"} <= set(sys.modules)
"""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def nobody_is_called(script: str, folder: Path, sources: Path | str, bot: Path) -> None:
    done = watch(script, folder / "network", str(sources), str(bot), REPLIES[0][0], free_port())
    assert done.code == 0, done.err
    assert done.calls == []
    assert "kernels-community" not in done.err + done.out


def test_nobody_is_called_from_python(tiny_base: Path, tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", tiny_base)
    sources.change(voice={"num_train_epochs": 1})
    nobody_is_called(DOUBLE + FROM_PYTHON, tmp_path, sources.config, sources.output)


def test_nobody_is_called_from_the_command_line(small_bot: Path, tmp_path: Path) -> None:
    nobody_is_called(DOUBLE + FROM_THE_COMMAND_LINE, tmp_path, "", small_bot)


@pytest.mark.e2e
@pytest.mark.parametrize("way", [FROM_PYTHON + PAGE_FROM_PYTHON, FROM_THE_COMMAND_LINE], ids=["python", "command line"])
def test_nobody_is_called_with_the_bundled_models(way: str, tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", "bundled")
    sources.change(voice={"num_train_epochs": 1, "quantization": "nf4"})
    nobody_is_called(way, tmp_path, sources.config, sources.output)


def test_the_network_of_these_tests_is_closed_and_takes_notes(tmp_path: Path) -> None:
    done = watch(
        """
import socket, sys, subprocess
from huggingface_hub.utils import send_telemetry
send_telemetry("housevoice-test", library_name="x", library_version="1")
subprocess.run([sys.executable, "-c", "import socket; socket.create_connection(('198.51.100.7', 80), 1)"])
socket.create_server(("127.0.0.1", 0)).close()
import kernels
kernels.get_kernel("some/kernel")
""",
        tmp_path,
    )
    assert set(done.calls) == {"huggingface.co", "198.51.100.7", "kernel some/kernel"}


HUB = """
import huggingface_hub
from huggingface_hub.utils import send_telemetry
from toolkit.offline import call_nobody
call_nobody()
send_telemetry("housevoice-test", library_name="x", library_version="1")
"""


def test_a_hub_that_was_imported_before_is_kept_from_calling_as_well(tmp_path: Path) -> None:
    done = watch(HUB, tmp_path)
    assert (done.code, done.calls) == (0, [])


def test_who_set_a_switch_keeps_it(tmp_path: Path) -> None:
    done = watch(
        HUB + "import os; print(os.environ['HF_HUB_DISABLE_TELEMETRY'])", tmp_path, HF_HUB_DISABLE_TELEMETRY="0"
    )
    assert set(done.calls) == {"huggingface.co"}
    assert done.out == "0\n"


def test_what_is_asked_for_by_its_id_is_still_asked_of_the_hub(tmp_path: Path) -> None:
    done = watch(HUB + "huggingface_hub.model_info('some/model')", tmp_path)
    assert done.code != 0
    assert set(done.calls) == {"huggingface.co"}
