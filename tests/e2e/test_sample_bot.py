"""The sample bot on the bundled models, from documents to answers: what it was measured at, and how it opens."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.build import build
from tests.conftest import ROOT
from tests.serving import served
from toolkit import Chatbot
from toolkit.answering import Answer
from toolkit.bot import BotFolder

pytestmark = pytest.mark.e2e

SECOND_BUILD_SECONDS = 30
KEYS = {"question", "answer", "abstained", "citations", "passages", "adapter", "seconds"}


@pytest.fixture(scope="module")
def report(sample_bot_folder: Path) -> dict[str, Any]:
    return dict(json.loads((sample_bot_folder / "report" / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def bot(sample_bot_folder: Path) -> Iterator[Chatbot]:
    loaded = Chatbot.load(sample_bot_folder)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def test_questions() -> list[dict[str, Any]]:
    lines = (ROOT / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == "test"]


def test_the_voice_is_recognised(report: dict[str, Any]) -> None:
    voice = report["voice"]
    assert voice["prompts"] >= 30
    assert voice["with_adapter"] >= 0.9
    assert voice["without_adapter"] <= 0.2


def test_answers_are_right_and_cited(report: dict[str, Any]) -> None:
    answers = report["answers"]
    assert answers["answerable"] >= 40
    assert answers["facts"] >= 0.75
    assert answers["cited"] >= 0.9


def test_the_gate_declines_what_it_should(report: dict[str, Any]) -> None:
    answers = report["answers"]
    assert answers["unanswerable"] >= 20
    assert answers["declined_wrong"] <= 0.1
    assert answers["declined_right"] >= 0.4


def test_the_figures_are_those_of_the_details(report: dict[str, Any]) -> None:
    details = [row for row in report["details"] if not row["unanswerable"]]
    right = [row["holds_facts"] and not row["abstained"] for row in details]
    assert sum(right) / len(right) == pytest.approx(report["answers"]["facts"])
    (both,) = (arm for arm in report["arms"] if arm["name"] == "both")
    assert both["figures"]["facts"]["value"] == pytest.approx(report["answers"]["facts"])
    assert both["figures"]["facts"]["low"] < report["answers"]["facts"] < both["figures"]["facts"]["high"]


def test_what_is_stated_is_grounded(report: dict[str, Any]) -> None:
    (both,) = (arm for arm in report["arms"] if arm["name"] == "both")
    assert both["figures"]["grounded"]["value"] >= 0.98
    assert both["figures"]["first_fact"]["value"] >= 0.75


def test_quotes_are_the_documents_own_words(report: dict[str, Any]) -> None:
    def plain(text: str) -> str:
        return "".join(text.split())

    checked = 0
    for row in report["details"]:
        told = {plain(passage["text"]) for passage in row["passages"]}
        for citation in row["citations"]:
            assert any(plain(citation["quote"]) in text for text in told), (row["question"], citation)
            checked += 1
    assert checked >= 40


def test_the_adapter_is_a_plain_peft_folder(sample_bot_folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from toolkit.models import locate_base

    base = AutoModelForCausalLM.from_pretrained(locate_base("bundled"))
    model: Any = PeftModel.from_pretrained(base, str(sample_bot_folder / "adapter"))
    weights = [weight for name, weight in model.named_parameters() if "lora_B" in name]
    assert len(weights) == 30 * 7
    assert all(weight.abs().sum() > 0 for weight in weights)


def test_the_knowledge_opens_with_langchain_chroma(sample_bot_folder: Path) -> None:
    import chromadb
    from langchain_chroma import Chroma

    from toolkit.embedding import load_embedder

    place = str(sample_bot_folder / "knowledge")
    (collection,) = chromadb.PersistentClient(path=place).list_collections()
    store = Chroma(collection.name, embedding_function=load_embedder("bundled"), persist_directory=place)
    found = store.similarity_search("How long does the Ember lantern burn?", k=3)
    assert "ember-lantern.md" in {document.metadata["source"] for document in found}


def test_the_bot_folder_is_complete(sample_bot_folder: Path) -> None:
    place = BotFolder(sample_bot_folder)
    for file in (place.config, place.lock, place.adapter / "adapter_config.json", place.report / "report.html"):
        assert file.is_file(), file
    lock = json.loads(place.lock.read_text())
    assert lock["base"]["name"] == "bundled"
    assert lock["embedder"]["dimension"] == 384


def test_a_second_build_does_nothing(sample_bot_folder: Path) -> None:
    adapter = sample_bot_folder / "adapter" / "adapter_model.safetensors"
    before = adapter.stat().st_mtime_ns
    started = time.perf_counter()
    result = build(ROOT / "data" / "bot.yaml")
    assert time.perf_counter() - started < SECOND_BUILD_SECONDS
    assert result.folder == sample_bot_folder
    assert result.ingest is not None
    assert (result.ingest.added, result.ingest.changed, result.ingest.removed) == ([], [], [])
    assert result.tune is not None
    assert not result.tune.done
    assert result.evaluation is None
    assert adapter.stat().st_mtime_ns == before


def test_asking_in_bulk(sample_bot_folder: Path, test_questions: list[dict[str, Any]], tmp_path: Path) -> None:
    asked = [row["question"] for row in test_questions[:6]]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": question}) + "\n" for question in asked))
    done = subprocess.run(
        [sys.executable, "-m", "demo", "ask", str(sample_bot_folder), "--questions", str(file), "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == asked
    for answer in answers:
        assert set(answer) == KEYS
        assert answer["answer"]
        assert answer["adapter"] is True
        assert set(answer["seconds"]) == {"retrieve", "first_token", "total"}
        assert all(set(passage) == {"id", "source", "text", "score"} for passage in answer["passages"])
        assert all(set(citation) == {"source", "page", "quote"} for citation in answer["citations"])
        assert answer["abstained"] or answer["citations"]


def test_a_reply_is_streamed_in_pieces(bot: Chatbot) -> None:
    stream = bot.stream("How many hours of light do I get out of an Ember before it is empty?")
    pieces = list(stream)
    answer = stream.answer
    assert isinstance(answer, Answer)
    assert len(pieces) >= 2
    assert "".join(pieces).strip() == answer.text
    assert answer.passages
    assert answer.seconds["first_token"] < answer.seconds["total"]


def test_the_adapter_changes_the_reply(bot: Chatbot) -> None:
    assert bot.has_voice
    question = "Good evening! How are you?"
    assert bot.ask(question, adapter=True).text != bot.ask(question, adapter=False).text


def test_a_follow_up_finds_what_it_is_about(bot: Chatbot) -> None:
    first = bot.ask("How many hours of light do I get out of an Ember before it is empty?")
    answer = bot.ask("And what does it cost?", history=[(first.question, first.text)])
    assert any("ember" in passage.source or "price" in passage.source for passage in answer.passages[:5])


def test_a_question_of_another_world_is_declined(bot: Chatbot) -> None:
    answer = bot.ask("Who was the third emperor of the Ming dynasty?")
    assert answer.abstained
    assert answer.citations == []


def test_the_official_client_is_answered_and_who_leaves_stops_the_model(bot: Chatbot) -> None:
    question = "How many hours of light do I get out of an Ember before it is empty?"
    asked: Any = [{"role": "user", "content": question}]
    with served(bot) as running:
        client = running.client(timeout=120)
        stream = client.chat.completions.create(model="sample-voice", messages=asked, stream=True)
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
        stream.close()
        left = time.monotonic()
        while running.jobs.doing:
            assert time.monotonic() < left + 5
            time.sleep(0.01)
        reply = client.chat.completions.create(model="sample-plain", messages=asked)
    alone = bot.ask(question, adapter=False)
    assert reply.choices[0].message.content == alone.text
    assert reply.choices[0].message.annotations
    tokenizer = bot.chain.speaker.model.engine.tokenizer  # type: ignore[attr-defined]
    assert reply.usage is not None
    assert reply.usage.completion_tokens == len(tokenizer(alone.text)["input_ids"])


def test_a_sum_over_a_table_is_exact_and_cited(bot: Chatbot) -> None:
    answer = bot.ask("What do the Ember and the Wisp cost together?")
    assert answer.computed["rows"] == ["Ember lantern", "Wisp lantern"]
    assert "195 euros" in answer.text
    assert {citation.source for citation in answer.citations} == {"price-list.csv"}


def test_the_runnable_and_the_retriever(bot: Chatbot) -> None:
    answer = bot.as_runnable().invoke({"question": "How long is the warranty on built-in batteries?", "history": []})
    assert set(answer) == KEYS
    assert bot.retriever.invoke("warranty on batteries")[0].metadata["source"]


def test_the_settings_of_the_bot_are_resolved(sample_bot_folder: Path) -> None:
    raw = yaml.safe_load((sample_bot_folder / "bot.yaml").read_text())
    assert Path(raw["knowledge"]["documents"]) == ROOT / "data" / "documents"
    assert raw["voice"]["r"] == 16
