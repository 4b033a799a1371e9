"""The FAQ's measures on hand-made replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.answering.faq import Asked, Replied, add_figures, held, key_words, lay_out, read_asked, tokens
from benchmarks.answering.figures import Report
from benchmarks.answering.stock import declines

OFFICIAL = "Start it with ``--no-browser`` or set :ref:`startBrowser <x>` to false; the default port is 8,384."


def test_tokens_are_stems_numbers_and_code() -> None:
    found = tokens(OFFICIAL)
    assert {"--no-browser", "startbrowser", "8384", "port"} <= found
    assert "ref" not in found


def test_key_words_are_what_the_documents_hold_and_the_question_does_not() -> None:
    indexed = tokens("Use --no-browser. The port is 8384.")
    assert key_words("Which port does it use?", OFFICIAL, indexed) == {"--no-browser", "browser", "8384"}


def test_what_a_reply_holds_of_the_key_words() -> None:
    asked = Asked("Which?", frozenset({"--no-browser", "8384"}), ("a.rst",))
    assert held(Replied("It is port 8384.", False, ()), asked) == 0.5
    assert held(Replied("Give it ``--no-browser`` and 8384.", False, ()), asked) == 1
    assert held(Replied("Try another.", False, ()), asked) == 0
    assert held(Replied("I do not know of port 8384.", True, ()), asked) == 0


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for name in ("users/faq-parts/general.rst", "users/faq.rst", "users/ports.rst", "index.rst"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} holds harbour 8384\n", encoding="utf-8")
    rows = [
        {"question": "Which port?", "answer": "Harbour 8384", "source": "users/faq-parts/general.rst"},
        {"question": "Why?", "answer": "Because", "source": "users/faq-parts/general.rst"},
    ]
    (folder / "faq_pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def test_the_faq_is_left_out_of_the_index(documents: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    indexed = lay_out(documents, target)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.rst")} == {"users/ports.rst", "index.rst"}
    assert "8384" in indexed
    gold = tmp_path / "gold.json"
    gold.write_text('[{"line": 1, "files": ["users/ports.rst"]}, {"line": 2, "files": []}]', encoding="utf-8")
    assert read_asked(documents, indexed, gold) == [
        Asked("Which port?", frozenset({"harbour", "8384"}), ("users/ports.rst",))
    ]


def test_figures_stand_beside_the_peer() -> None:
    asked = [Asked("a", frozenset({"8384"}), ("x.rst",)), Asked("b", frozenset({"22000"}), ("y.rst",))]
    ours = [Replied("8384", False, ("x.rst",)), Replied("no idea", True, ("z.rst", "y.rst"))]
    peer = [Replied("none", False, ("z.rst",)), Replied("port 22000", False, ("y.rst",))]
    report = Report("faq")
    add_figures(report, "plain", asked, ours, peer)
    found = {figure.name.partition(": ")[2]: (figure.ours, figure.peer, figure.met) for figure in report.figures}
    assert found["declined"] == (0.5, 0, False)
    assert found["a right file among the first five"] == (1, 0.5, None)
    assert found["key words held"] == (0.5, 0.5, None)
    alone = Report("faq")
    add_figures(alone, "plain", asked, ours, [])
    assert [figure.peer for figure in alone.figures] == [None, None, None]


def test_a_model_without_a_gate_declines_in_words() -> None:
    assert declines("I don't know.") and declines("This is not mentioned in the context.") and declines(" ")
    assert not declines("The port is 8384.")
