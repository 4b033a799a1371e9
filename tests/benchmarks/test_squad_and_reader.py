"""SQuAD's refusals, their mixture with the reader, and the reader's AUC and time."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.answering import reading, squad
from benchmarks.answering.figures import Report
from pipelines.grounding.data import Pair
from pipelines.grounding.measures import Asked

ASKED = [Asked(f"q{number}", ["a note"], "the answer") for number in range(20)]
ASKED += [Asked(f"u{number}", ["a note"], None) for number in range(20)]


def figures(replies: list[str], scores: dict[str, list[float]]) -> dict[str, float | None]:
    report = Report("squad")
    squad.add_figures(report, ASKED, replies, scores)
    return {figure.name: figure.ours for figure in report.figures}


def test_refusals_that_tell_the_unanswerable_apart() -> None:
    right = [0.0] * 20 + [1.0] * 20
    found = figures(["the answer"] * 40, {"base": right, "reader": right[::-1]})
    assert found["F1, an answer forced"] == 1
    assert found["base: unanswerable declined at 15%"] == 1
    assert found["base: AUC"] == 1
    assert found["reader: unanswerable declined at 15%"] == 0
    assert found["reader: AUC"] == 0


def test_wrong_answers_are_seen() -> None:
    found = figures(["something else"] * 40, {"base": [float(number) for number in range(40)]})
    assert found["F1, an answer forced"] == 0
    # Three of the twenty answerable may be declined, those that score highest.
    assert found["base: F1 at 15% false refusals"] == 0


def test_stopped_runs_are_measured_on_what_was_done() -> None:
    assert figures(["the answer"] * 25, {"base": [0.0] * 20 + [1.0] * 20, "reader": [0.0] * 3})["base: AUC"] == 1
    report = Report("squad")
    squad.add_figures(report, ASKED, ["the answer"] * 5, {"base": [0.0] * 5})
    assert not report.figures and report.notes


def test_the_mixture_weighs_the_score_that_knows_more() -> None:
    wanted = [False, True] * 20
    knows = [float(hit) + 0.3 * (number % 3) for number, hit in enumerate(wanted)]
    noise = [100.0 * ((7 * number) % 5) for number in range(40)]
    mixture = squad.Mixture.fit(knows, noise, wanted)
    assert mixture.weights[0] > 3 * abs(mixture.weights[1])
    mixed = mixture(knows, noise)
    assert min(s for s, hit in zip(mixed, wanted, strict=True) if hit) > max(
        s for s, hit in zip(mixed, wanted, strict=True) if not hit
    )


class KnowsAnswers:
    """Takes a passage with the word "told" for one that answers."""

    identity = "knows"

    def read(self, question: str, passages: list[str]) -> list[Any]:
        return [SimpleNamespace(answerable=1.0 if "told" in text else -1.0) for text in passages]


def test_the_best_of_the_notes_decides_the_refusal() -> None:
    asked = [Asked("q", ["nothing", "it is told"], "x"), Asked("q", ["nothing", "nothing"], None)]
    assert squad.refusals_of(KnowsAnswers(), asked) == [-1.0, 1.0]  # type: ignore[arg-type]


def pair(doc: str, passage: str, answerable: bool) -> Pair:
    return Pair("squad2_dev", "q", passage, "told" if answerable else None, answerable, doc, "human")


def test_articles_that_are_not_there_or_were_trained_on_are_refused() -> None:
    pairs = [pair("Steam_engine", "it is told", True), pair("Other", "it is told", True)]
    assert len(squad.choose(pairs, ["Steam_engine"], 0, 0)) == 1
    with pytest.raises(SystemExit, match="Nowhere"):
        squad.choose(pairs, ["Nowhere"], 0, 0)
    with pytest.raises(SystemExit, match="apart"):
        squad.choose(pairs, ["Steam_engine", "Other"], 0, 0)


def test_the_squad_run_with_a_base_and_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def article(title: str) -> dict[str, Any]:
        asks = [
            {"question": f"{title} {number}?", "is_impossible": bool(number % 2), "answers": [{"text": "told"}]}
            for number in range(12)
        ]
        return {"title": title, "paragraphs": [{"context": f"{q['question']} told", "qas": [q]} for q in asks]}

    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"data": [article("Steam_engine"), article("Imperialism")]}), encoding="utf-8")

    class Base:
        def __init__(self, name: str, adapter: Path | None = None, device: str = "auto") -> None:
            self.voiced = adapter is not None

        def write(self, conversations: list[Any]) -> list[str]:
            return ["wrong" if self.voiced else "told" for _ in conversations]

        def refusal(self, conversations: list[Any]) -> list[float]:
            asked = [messages[-1]["content"].rpartition("Question: ")[2] for messages in conversations]
            return [float(int(text.split()[-1].rstrip("?")) % 2) for text in asked]

    monkeypatch.setattr(squad, "Base", Base)
    monkeypatch.setattr(squad, "_reader", lambda report: KnowsAnswers())
    options = argparse.Namespace(squad=file, articles=["Steam_engine"], dev_article="Imperialism", limit=10, seed=0,
                                 base="bundled", device="cpu", adapter=tmp_path)  # fmt: skip
    report = Report("squad")
    squad.run(report, options)
    found = {figure.name: figure for figure in report.figures}
    assert found["F1, an answer forced"].met and found["base: unanswerable declined at 15%"].ours == 1
    assert found["reader: unanswerable declined at 15%"].ours == 0 and found["both: AUC"].ours == 1
    assert found["with the voice's adapter: F1 forced, difference"].ours == -1
    assert "--limit 10" in report.notes[0] and len(report.details) == 10


def test_the_reader_is_measured_on_both_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    rows = [
        {"set": "clapnq", "question": "q", "passage": "it is told " * 40 if hit else "nothing of it " * 40,
         "answer": "told" if hit else "", "label": int(hit), "doc": str(hit), "how": "human"}
        for hit in (True, False) * 12
    ]  # fmt: skip
    with gzip.open(tmp_path / "clapnq_dev.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    asks = [{"question": "q", "is_impossible": False, "answers": [{"text": "told"}]},
            {"question": "q", "is_impossible": True, "answers": []}]  # fmt: skip
    article = {"title": "Steam_engine", "paragraphs": [{"context": "it is told", "qas": asks}]}
    (tmp_path / "dev.json").write_text(json.dumps({"data": [article]}), encoding="utf-8")
    monkeypatch.setattr("toolkit.reader.load_reader", lambda name: KnowsAnswers())
    report = Report("reader")
    options = argparse.Namespace(data=tmp_path, squad=tmp_path / "dev.json", articles=["Steam_engine"], reader_limit=0)
    reading.run(report, options)
    found = {figure.name: figure for figure in report.figures}
    assert found["AUC, ClapNQ"].ours == 1 and found["AUC, ClapNQ"].of == 24
    # Answerable and not share their paragraph here, which a reader of words alone cannot tell apart.
    assert found["AUC, 1 articles of SQuAD 2.0"].ours == 0.5 and not found["AUC, 1 articles of SQuAD 2.0"].met
    assert found["8 passages of 160 tokens, median"].of == 20


def test_passages_are_cut_at_tokens() -> None:
    class Words:
        def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
            offsets, at = [], 0
            for word in text.split():
                offsets.append((at, at + len(word)))
                at += len(word) + 1
            return SimpleNamespace(offsets=offsets)

    assert reading.passages_of(["a b c", "d e f g"], Words(), count=3, tokens=2) == ["a b", "c d", "e f"]


def test_slow_readings_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(second) for second in range(1000))
    monkeypatch.setattr(reading.time, "perf_counter", lambda: next(clock))
    assert reading.milliseconds(KnowsAnswers(), "q", ["a"], 4) == [1000.0] * 4  # type: ignore[arg-type]
