"""The page without a browser: its steps, its panel, its guard."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from demo.conversation import Exchange, Stops, messages, turns
from demo.guard import HOSTS, script_hash
from demo.page import build_app, build_page, serve
from demo.sources import panel
from demo.talking import FAILED, Talking, reply
from demo.widgets import about, example_questions
from pipelines.serving.limits import LONGEST_QUESTION, MAX_BODY
from tests.conftest import ROOT, passage
from toolkit.answering import Answer, Chain, Citation, EvidencePicker, RoutePlanner, Step, Trace
from toolkit.bot import Chatbot
from toolkit.config import BotConfig, ChainSettings
from toolkit.engines.speaker import Speaker
from toolkit.errors import ConfigError, ModelError
from toolkit.language import Lexicon
from toolkit.prompts import Turn
from toolkit.store import Knowledge
from toolkit.testing import KeywordReader, ScriptedChatModel

QUESTION = "How long does the Ember lamp burn on a full battery?"
BURNS = "Ahoy, friend. The Ember lamp burns for 38 hours. Fair winds!"
HOSTILE = "<script>alert(1)</script> <img src=http://evil.test/x> **bold** $$x$$ {{x}} ${x} a < b & c"
TAB: Any = SimpleNamespace(session_hash="tab")


def make_bot(replies: Any, knowledge: Knowledge | None = None, *, voice: bool = True, **config: Any) -> Chatbot:
    """Return a bot whose model replies what it was told to."""
    picker = None
    if knowledge:
        lexicon = Lexicon.of(text for _, _, text in knowledge.texts())
        picker = EvidencePicker(knowledge.embedder, lexicon, KeywordReader())
    stems = frozenset({"ahoy", "friend", "fair", "wind"})
    settings = BotConfig.model_validate({"name": "house", "voice": {}, **config})
    model = ScriptedChatModel(replies=replies)
    planner = RoutePlanner(ChainSettings(), speaker=Speaker(model), knowledge=knowledge, k=4, picker=picker)
    chain = Chain(planner, decline="No.", voice=stems)
    return Chatbot(Path(), settings, chain, knowledge, has_voice=voice)


def answered(**changes: Any) -> Exchange:
    """Return an exchange with an answer made by hand."""
    found = [passage("The lamp burns for 38 hours. It is blue.", source="lamps/ember.md", heading="Ember", page=2)]
    parts: dict[str, Any] = {
        "question": "q",
        "text": "38 hours.",
        "citations": [Citation("lamps/ember.md", 2, "The lamp burns for 38 hours.")],
        "passages": found,
        "abstained": False,
        "adapter": True,
        "seconds": {"retrieve": 0.1, "first_token": 0.5, "total": 1.25},
        "rewritten": "q",
    }
    return Exchange("q", "38 hours.", done=True, answer=Answer(**(parts | changes)))


@pytest.fixture
def bot(house: Knowledge) -> Chatbot:
    return make_bot([BURNS] * 4, house)


@pytest.fixture(scope="module")
def client(house: Knowledge) -> Iterator[TestClient]:
    app = build_app(build_page(make_bot([BURNS], house)))
    with TestClient(app, base_url="http://127.0.0.1:7860") as found:
        yield found


def ask(talking: Talking, question: str, conversation: list[Exchange]) -> list[tuple[Any, Any, Any]]:
    """Take a question and speak; returns every update of chat, panel and conversation."""
    taken = talking.take(question, conversation, True, TAB)
    return list(talking.speak(taken[3], True, True, TAB))


def test_the_answer_grows_and_then_shows_its_sources(bot: Chatbot) -> None:
    updates = ask(Talking(bot, Stops()), QUESTION, [])
    said = [chat[-1]["content"] for chat, _, _ in updates]
    assert said[0] == "Ahoy, friend."
    assert said[-1] == BURNS
    assert all(after.startswith(before) for before, after in zip(said, said[1:], strict=False))
    beside = updates[-1][1]
    assert "lamp.md" in beside
    assert re.search(r"<mark>The Ember lamp burns for 38 hours on a full battery\.</mark>", beside)


def test_what_was_said_before_goes_to_the_bot(bot: Chatbot) -> None:
    talking = Talking(bot, Stops())
    conversation = ask(talking, QUESTION, [])[-1][2]
    conversation = ask(talking, "How much does the Ember lamp cost?", conversation)[-1][2]
    assert [item.question for item in conversation] == [QUESTION, "How much does the Ember lamp cost?"]
    assert turns(conversation) == [Turn(QUESTION, BURNS)]


def test_the_switches_reach_the_model(house: Knowledge) -> None:
    bot = make_bot([BURNS, BURNS], house)
    talking = Talking(bot, Stops())
    taken = talking.take(QUESTION, [], False, TAB)
    *_, last = talking.speak(taken[3], False, False, TAB)
    call = bot.chain.speaker.model.calls[0]  # type: ignore[attr-defined]
    assert call.adapter is False
    assert "Notes:" not in call.text
    assert last[2][-1].answer.passages == []
    list(talking.speak(talking.take(QUESTION, [], True, TAB)[3], True, True, TAB))
    call = bot.chain.speaker.model.calls[1]  # type: ignore[attr-defined]
    assert call.adapter is True
    assert "Notes:" in call.text


def test_stop_ends_the_reply_and_keeps_what_was_said() -> None:
    bot = make_bot(["one two three four five six"])
    talking = Talking(bot, Stops())
    speaking = talking.speak(talking.take("Count.", [], True, TAB)[3], True, False, TAB)
    first = next(speaking)[0][-1]["content"]
    talking.stop(TAB)
    last = list(speaking)[-1][2][-1]
    assert last.done
    assert last.stopped
    assert last.reply.startswith(first.strip())
    assert "six" not in last.reply
    assert messages([last])[-1]["content"].endswith("(stopped)")


def test_a_reply_that_was_stopped_while_it_waited_is_not_begun() -> None:
    bot = make_bot(["never said"])
    talking = Talking(bot, Stops())
    taken = talking.take("Count.", [], True, TAB)
    talking.stop(TAB)
    *_, last = talking.speak(taken[3], True, True, TAB)
    assert last[2][-1].stopped
    assert bot.chain.speaker.model.calls == []  # type: ignore[attr-defined]


def test_a_closed_tab_stops_its_reply() -> None:
    stops = Stops()
    event = stops.renew("tab")
    Talking(make_bot([""]), stops).leave(TAB)
    assert event.is_set()
    assert stops.of("tab").is_set()


def test_closing_the_server_stops_every_reply() -> None:
    stops = Stops()
    events = [stops.renew("one"), stops.renew("two")]
    stops.stop_all()
    assert all(event.is_set() for event in events)


def test_retry_drops_the_last_answer() -> None:
    talking = Talking(make_bot([]), Stops())
    first, second = Exchange("a", "1", done=True), Exchange("b", "2", done=True)
    assert talking.again([first, second], True, TAB)[2] == [first, Exchange("b")]


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_not_asked(question: str) -> None:
    taken = Talking(make_bot([]), Stops()).take(question, [], True, TAB)
    assert all(item == {"__type__": "update"} for item in taken)


def test_nothing_is_asked_while_the_bot_speaks() -> None:
    taken = Talking(make_bot([]), Stops()).take("Again?", [Exchange("First?")], True, TAB)
    assert all(item == {"__type__": "update"} for item in taken)


def test_a_question_has_a_longest_length() -> None:
    taken = Talking(make_bot([]), Stops()).take("x" * 10_000, [], True, TAB)
    assert len(taken[3][-1].question) == LONGEST_QUESTION


def test_clear_forgets_everything() -> None:
    chat, beside, conversation, *_ = Talking(make_bot([]), Stops()).start_over()
    assert chat == conversation == []
    assert beside == panel(None)


def test_a_known_failure_is_said_in_the_chat() -> None:
    def fail(_: Any) -> str:
        raise ModelError("The model is gone.", "Build the bot again.")

    last = list(reply(make_bot(fail), [Exchange("q")], threading.Event(), adapter=True, knowledge=False))[-1]
    assert last.done
    assert "The model is gone." in messages([last])[-1]["content"]


def test_a_question_that_failed_can_be_asked_again() -> None:
    talking = Talking(make_bot([]), Stops())
    chat, _, conversation, send, stop, retry, *_ = talking.rest([Exchange("q")])
    assert chat[-1]["content"] == FAILED
    assert conversation[-1].done
    assert (send.visible, stop.visible, retry.interactive) == (True, False, True)
    assert talking.again(conversation, True, TAB)[2] == [Exchange("q")]


def test_the_panel_names_file_page_and_score() -> None:
    shown = panel(answered())
    for part in ("lamps/", "ember.md", "page 2", "1.000", "Ember", "first words 0.50 s", "all 1.25 s"):
        assert part in shown
    assert "<mark>The lamp burns for 38 hours.</mark> It is blue." in shown


def test_the_panel_folds_away_what_was_done() -> None:
    step = Step("gate", {}, {"answerable": 0.25, "note": "<b>x</b>"}, 0.012, None, None)
    shown = panel(answered(trace=Trace((step,))))
    assert '<details class="trace"><summary>What was done for it</summary>' in shown
    assert "Whether to answer" in shown
    assert "12&#46;0 ms" in shown or "12.0 ms" in shown
    assert "<dt>answerable</dt><dd>0.25</dd>" in shown
    assert "<b>" not in shown
    assert "<details class=\"trace\">" not in panel(answered())


def test_the_panel_says_when_the_bot_declined() -> None:
    assert "declined" in panel(answered(abstained=True, citations=[]))
    assert "declined" not in panel(answered())


@pytest.mark.parametrize(("count", "line"), [(1, "1 sentence was left out"), (3, "3 sentences were left out")])
def test_the_panel_says_what_was_left_out(count: int, line: str) -> None:
    assert line in panel(answered(replaced=["x"] * count))
    assert "left out" not in panel(answered())


def test_the_panel_shows_the_question_that_was_searched_for() -> None:
    assert "Searched for: the whole question" in panel(answered(rewritten="the whole question"))


def test_a_quote_is_marked_only_in_its_own_file() -> None:
    other = passage("The lamp burns for 38 hours.", source="other.md")
    shown = panel(answered(passages=[other]))
    assert shown.count("<mark>") == 1


def test_hostile_text_stays_text_in_the_panel() -> None:
    hostile = passage(HOSTILE, source=HOSTILE, heading=HOSTILE)
    shown = panel(
        answered(
            passages=[hostile], citations=[Citation(HOSTILE, None, HOSTILE)], replaced=[HOSTILE], rewritten=HOSTILE
        )
    )
    assert "<script" not in shown
    assert "<img" not in shown
    for sign in ("**", "$$", "{{", "${"):
        assert sign not in shown
    # A blank line would end the block of HTML, and Markdown would begin.
    assert "\n" not in panel(answered(passages=[passage("a\n\n# b")]))


def test_hostile_text_stays_text_in_the_chat() -> None:
    shown = messages([Exchange(HOSTILE, HOSTILE, done=True)])
    assert all("<" not in item["content"] for item in shown)
    assert "&lt;script&gt;" in shown[0]["content"]


def test_a_half_that_is_missing_is_switched_off(house: Knowledge) -> None:
    def switches(bot: Chatbot) -> dict[str, tuple[Any, Any]]:
        found = [block for block in build_page(bot).blocks.values() if type(block).__name__ == "Checkbox"]
        return {str(block.label): (block.value, block.interactive) for block in found}  # type: ignore[attr-defined]

    assert switches(make_bot([])) == {"Voice": (True, True), "Documents": (False, False)}
    assert switches(make_bot([], house, voice=False)) == {"Voice": (False, False), "Documents": (True, True)}
    assert "voice" not in about(make_bot([], house, voice=False))


def test_the_examples_are_questions_that_the_documents_answer(tmp_path: Path) -> None:
    rows = [{"question": "No?", "unanswerable": True}]
    rows += [{"question": f"What is {n}?", "facts": [["x"]], "sources": ["a.md"]} for n in range(6)]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert example_questions(make_bot([], evaluation={"questions": str(file)})) == [f"What is {n}?" for n in range(4)]
    assert example_questions(make_bot([], evaluation={"questions": str(tmp_path / "gone.jsonl")})) == []
    assert example_questions(make_bot([])) == []


def test_the_queue_is_bounded_and_nothing_is_a_public_endpoint(bot: Chatbot) -> None:
    page = build_page(bot)
    assert page._queue.max_size == 16
    assert not page.analytics_enabled
    assert all(fn.api_visibility == "private" for fn in page.fns.values() if fn.targets[0][1] != "unload")


def test_the_page_names_no_other_host(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "window.gradio_config" in page.text
    assert set(re.findall(r"https?://([^/\"'\s]+)", page.text)) <= {"127.0.0.1:7860"}
    style = client.get("/theme.css").text
    assert "@import" not in style
    assert not re.search(r"url\(['\"]?https?:", style)


def test_only_the_scripts_of_the_page_may_run(client: TestClient) -> None:
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "unsafe" not in rules["script-src"]
    inline = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page.text, re.DOTALL)
    assert len(inline) >= 3
    assert all(f"'{script_hash(text)}'" in rules["script-src"] for text in inline)
    assert "content-security-policy" in client.get("/theme.css").headers


@pytest.mark.parametrize(
    "path",
    [
        "/monitoring", "/monitoring/summary", "/gradio_api/info", "/gradio_api/openapi.json", "/docs", "/openapi.json",
        "/gradio_api/runs", "/gradio_api/vibe-code", "/gradio_api/file=/etc/passwd", "/gradio_api/token", "/login",
        "/gradio_api/proxy=http://x.hf.space/", "/gradio_api/upload_progress",
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nothing_can_be_uploaded(client: TestClient) -> None:
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 404


@pytest.mark.parametrize("host", ["evil.test", "evil.test:7860", "127.0.0.1.evil.test:7860", "a@127.0.0.1", ""])
def test_a_foreign_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    refused = client.get("/", headers={"host": host})
    assert refused.status_code == 400
    assert "content-security-policy" in refused.headers


@pytest.mark.parametrize("host", HOSTS)
def test_this_machine_may_ask(client: TestClient, host: str) -> None:
    assert client.get("/config", headers={"host": f"{host}:7860"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "http://127.0.0.1:9999"])
def test_another_site_may_not_ask(client: TestClient, origin: str) -> None:
    join = "/gradio_api/queue/join"
    assert client.post(join, json={}, headers={"origin": origin}).status_code == 403
    # The page itself gets as far as Gradio, which finds that the body is no question.
    assert client.post(join, json={}, headers={"origin": "http://127.0.0.1:7860"}).status_code == 422


def test_a_body_has_a_longest_length(client: TestClient) -> None:
    join = "/gradio_api/queue/join"
    assert client.post(join, content=b" " * (MAX_BODY + 1)).status_code == 413
    assert client.post(join, content=iter([b"no length"])).status_code == 413


def test_the_model_is_reached_through_the_queue_only(client: TestClient) -> None:
    assert client.post("/gradio_api/run/speak", json={"data": [[], True, True]}).status_code == 404
    assert client.post("/gradio_api/call/speak", json={"data": [[], True, True]}).status_code == 404


def test_a_port_that_is_taken_is_named_with_the_remedy(bot: Chatbot) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)) as caught:
            serve(bot, port=port, say=lambda text: None)
    assert "--port" in caught.value.hint


def test_nothing_calls_home_when_the_page_is_imported_and_built() -> None:
    code = """
import socket, time
asked = []
def note(self, address): asked.append(str(address)); raise OSError("blocked")
def look(host, *rest, **more): asked.append(str(host)); raise OSError("blocked")
socket.socket.connect = note
socket.getaddrinfo = look
import demo.page, gradio as gr
with gr.Blocks() as page: gr.Markdown("x")
demo.page.build_app(page)
time.sleep(0.5)
print(asked)
"""
    environment = {key: value for key, value in os.environ.items() if key != "GRADIO_ANALYTICS_ENABLED"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[]"
