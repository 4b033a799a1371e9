"""The page in a real browser, over the sample bot: a question, a streamed answer, its sources, the switches, Stop."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import BROWSERS, ROOT

pytestmark = pytest.mark.browser

QUESTION = "How many hours of light do I get out of an Ember before it is empty?"
FOLLOW_UP = "And what does it cost?"
STARTS_WITHIN = 180.0  # seconds, for the model to load on a busy machine
ANSWERS_WITHIN = 120_000  # milliseconds
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Writes down every state that the last reply goes through; polling could miss some.
WATCH = """() => {
    window.states = [];
    const look = () => {
        const replies = document.querySelectorAll('#chat .message.bot:not(.pending)');
        const text = replies.length ? replies[replies.length - 1].innerText.trim() : '';
        if (text && text !== window.states.at(-1)) window.states.push(text);
    };
    new MutationObserver(look).observe(
        document.querySelector('#chat'), {childList: true, subtree: true, characterData: true});
}"""

DONE = """count => {
    const shown = name => document.querySelector(name)?.offsetParent !== null;
    return document.querySelectorAll('#chat .message.user').length === count
        && document.querySelectorAll('#chat .message.bot:not(.pending)').length === count
        && shown('#send') && !document.querySelector('#retry').disabled;
}"""


@dataclass
class Visit:
    """A browser tab with the page, and what it asked for and complained about."""

    page: Any
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def ask(self, question: str) -> None:
        self.page.fill("#question textarea", question)
        self.page.press("#question textarea", "Enter")

    def wait(self, count: int = 1) -> None:
        """Wait until so many questions have their answers and the controls are given back."""
        self.page.wait_for_function(DONE, arg=count, timeout=ANSWERS_WITHIN)

    def reply(self) -> str:
        return str(self.page.locator("#chat .message.bot:not(.pending)").last.inner_text()).strip()


@pytest.fixture(scope="module")
def address(sample_bot_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the sample bot's page, served by the command that people use, and ended as they end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("demo") / "log"
    command = [sys.executable, "-m", "demo", "demo", str(sample_bot_folder), "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        url = f"http://127.0.0.1:{port}"
        while url not in log.read_text(errors="replace"):
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.2)
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        said = log.read_text(errors="replace")
        assert "Traceback" not in said, said
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install playwright")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no chromium here; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """The page, freshly opened; whatever a test did, it asked only this machine for things."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    visit = Visit(page)
    page.on("request", lambda request: visit.hosts.add(_host(request.url)))
    page.on("console", lambda said: visit.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#question textarea", timeout=60_000)
    yield visit
    page.close()
    assert visit.hosts == {"127.0.0.1"}
    assert visit.complaints == []


def _host(url: str) -> str:
    """Return the host of an address; what the page carries within itself comes from here."""
    parts = urlsplit(url)
    return "127.0.0.1" if parts.scheme in ("data", "blob") else str(parts.hostname)


def test_an_answer_streams_in_and_shows_its_sources(visit: Visit, sample_bot_folder: Path) -> None:
    page = visit.page
    page.evaluate(WATCH)
    visit.ask(QUESTION)
    page.wait_for_selector("#chat .message.pending", timeout=10_000)
    visit.wait()
    page.wait_for_selector("#sources .citation", timeout=10_000)
    states = page.evaluate("window.states")
    assert len(states) >= 2, states
    assert all(after.startswith(before) for before, after in zip(states, states[1:], strict=False)), states
    assert "38" in states[-1]
    assert "(stopped)" not in states[-1]

    files = {
        file.relative_to(ROOT / "data" / "documents").as_posix() for file in (ROOT / "data" / "documents").rglob("*")
    }
    citation = page.locator("#sources .citation").first
    assert citation.locator(".file").inner_text() in files
    assert "38" in citation.locator("mark").inner_text()
    page.click("#sources summary")
    shown = page.locator("#sources .passage")
    assert shown.count() >= 2
    assert re.fullmatch(r"-?\d+\.\d+", shown.first.locator(".score").inner_text())
    assert "first words" in page.inner_text("#sources .timing")


def test_the_voice_can_be_switched_off(visit: Visit) -> None:
    visit.ask(QUESTION)
    visit.wait()
    spoken = visit.reply()
    visit.page.click("#voice input")
    visit.page.click("#retry")
    # The answer is dropped first, and the dots are no reply.
    visit.page.wait_for_selector("#chat .message.pending", timeout=10_000)
    visit.wait()
    assert visit.reply() != spoken
    assert visit.page.locator("#chat .message.bot").count() == 1


def test_a_conversation_goes_on_and_can_be_cleared(visit: Visit) -> None:
    visit.ask(QUESTION)
    visit.wait()
    visit.ask(FOLLOW_UP)
    visit.wait(2)
    assert "Searched for:" in visit.page.inner_text("#sources")
    visit.page.click("#clear")
    visit.page.wait_for_selector("#chat .placeholder-content")
    assert visit.page.locator("#chat .message").count() == 0


def test_stop_ends_the_reply_and_keeps_what_was_said(visit: Visit) -> None:
    page = visit.page
    # The voice greets in a sentence of its own before it comes to the point: there is time to stop it.
    visit.ask(QUESTION)
    page.wait_for_selector("#chat .message.bot:not(.pending)", timeout=ANSWERS_WITHIN)
    page.click("#stop")
    page.wait_for_selector("#send", timeout=15_000)
    said = visit.reply()
    assert said.endswith("(stopped)")
    assert len(said) > len("(stopped)")
    page.wait_for_timeout(1500)
    assert visit.reply() == said
    assert page.is_enabled("#retry")


def test_hostile_questions_stay_text(visit: Visit) -> None:
    hostile = "Is <img src=http://evil.test/x onerror=\"document.title='taken'\"> a <b>lantern</b>?"
    visit.ask(hostile)
    visit.wait()
    assert visit.page.locator("#chat .message.user").inner_text().strip() == hostile
    assert visit.page.locator("#chat img, #chat b, #sources img").count() == 0
    assert visit.page.title() == "Nollmouth Lamp & Loom"


def test_the_panel_goes_below_on_a_narrow_screen(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 420, "height": 860})
    visit.page.wait_for_timeout(500)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 420
    talk, beside = (visit.page.locator(name).bounding_box() for name in ("#talk", "#beside"))
    assert beside["y"] >= talk["y"] + talk["height"]
    assert visit.page.locator(".example").count() == 4
