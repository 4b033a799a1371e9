"""Follow-ups: what is found after one, and how it is rewritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.answering.conversations import add_conversations, add_rewrites, conversation, last_questions
from benchmarks.answering.figures import Report, read_lines
from benchmarks.answering.sample import SETS
from pipelines.grounding.rows import GroundingRow
from toolkit.prompts import Turn, rewrite_messages
from toolkit.scoring import holds_facts

DATA = Path(__file__).resolve().parents[2] / "data"


class Bot:
    """Finds the Ember's file for whatever names it, and the Gale's otherwise; the history helps where it is let."""

    def __init__(self, make: Callable[..., Any], uses_history: bool) -> None:
        self._make, self._uses = make, uses_history

    def search(self, query: str, k: int) -> list[Any]:
        if "Ember" in query:
            return [SimpleNamespace(source="ember.md", text="23 centimetres" if "tall" in query else "It is not red.")]
        return [SimpleNamespace(source="gale.md", text="It is 23 centimetres tall.")]

    def ask(self, question: str, history: Sequence[tuple[str, str]] = ()) -> Any:
        said = f"{question} {history[0][0]}" if history and self._uses else question
        found = [(passage.source, passage.text) for passage in self.search(said, 5)]
        return self._make(found[0][1], found, question=question, rewritten=said)


ROWS = [
    {"question": "Is the Ember red?", "reply": "No.", "follow_up": "How tall is it?", "alone": "How tall is the Ember?",
     "sources": ["ember.md"], "facts": [["23 centimetres"]], "kind": "pronoun"},
    {"question": "Is the Ember red?", "reply": "No.", "follow_up": "How tall is the Gale?",
     "alone": "How tall is the Gale?", "sources": ["ember.md"], "facts": [["23 centimetres"]], "kind": "other"},
]  # fmt: skip


def figures(bot: Bot) -> dict[str, tuple[float | None, float | None, bool | None]]:
    report = Report("follow-ups")
    add_conversations(report, [conversation(bot, row) for row in ROWS])  # type: ignore[arg-type]
    return {figure.name.strip(): (figure.ours, figure.peer, figure.met) for figure in report.figures}


def test_a_bot_that_uses_the_history_is_told_from_one_that_does_not(make_answer: Callable[..., Any]) -> None:
    good, bad = figures(Bot(make_answer, True)), figures(Bot(make_answer, False))
    name = "follow-ups find it as often as spelled-out questions"
    assert good[name] == (2.0, 0.0, True)
    assert bad[name] == (0.0, 0.0, False)
    assert good["right source found, spelled-out question"][0] == 0.5
    assert good["follow-ups find that passage as often"] == (2.0, 0.0, True)
    assert bad["follow-ups find that passage as often"] == (0.0, 0.0, False)
    found, reply = (
        "passage with the fact found, follow-up; peer: unrewritten",
        "fact in the reply, follow-up; peer: spelled out",
    )
    assert (good[found][:2], bad[found][:2]) == ((1.0, 0.0), (0.0, 0.0))
    # The Gale is as tall: a reply may be right from the wrong file, a passage may not.
    assert (good[reply][:2], bad[reply][:2]) == ((1.0, 1.0), (1.0, 1.0))
    assert good["pronoun: found"][:2] == (1.0, 0.0)
    assert bad["pronoun: found"][0] == 0


def test_the_right_file_is_not_yet_the_right_passage(make_answer: Callable[..., Any]) -> None:
    row = ROWS[0] | {"follow_up": "Is the Ember heavy?"}
    found = conversation(Bot(make_answer, False), row)  # type: ignore[arg-type]
    assert found["found"] == ["ember.md"] and not found["passage"] and not found["right"]
    assert found["passage_alone"] and found["right_alone"]


def test_rewritten_questions_are_held_to_the_reference() -> None:
    rows = [GroundingRow("rewrite", rewrite_messages("And its height?", [Turn("Is the Ember red?", "")]),
                         "What height has the Ember lantern?")]  # fmt: skip
    assert last_questions(rows) == ["And its height?"]
    for written, mean, enough in (("What height has the Ember lantern?", 1, 1), ("And its price?", 0, 0)):
        report = Report("follow-ups")
        add_rewrites(report, rows, [written])
        assert [figure.ours for figure in report.figures] == [mean, enough]
        assert [figure.met for figure in report.figures] == [bool(mean), bool(enough)]
        assert report.figures[0].peer == 1 / 3


def test_the_conversations_are_new_and_name_files_that_are_there() -> None:
    rows = read_lines(SETS / "follow_ups.jsonl")
    assert len(rows) == len({row["alone"] for row in rows}) == 30
    files = {path.name for path in (DATA / "documents").iterdir()}
    assert all(set(row["sources"]) <= files and row["sources"] for row in rows)
    known = {row["question"].lower() for row in read_lines(DATA / "questions.jsonl")}
    for line in (DATA / "voice.jsonl").read_text(encoding="utf-8").splitlines():
        known |= {message["content"].lower() for message in json.loads(line)["messages"]}
    said = {row[key].lower() for row in rows for key in ("question", "follow_up", "alone", "reply")}
    assert not said & known


def test_the_facts_stand_in_the_files_that_are_named() -> None:
    for row in read_lines(SETS / "follow_ups.jsonl"):
        files = [DATA / "documents" / name for name in row["sources"]]
        if not any(file.suffix in (".pdf", ".docx") for file in files):
            assert holds_facts(" ".join(file.read_text(encoding="utf-8") for file in files), row["facts"]), row
