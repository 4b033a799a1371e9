"""The report page: everything that was measured, and nothing that runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pipelines import report
from pipelines.report import Evaluation, render, summary_lines
from tests.conftest import ROOT
from toolkit.bot import BotFolder
from toolkit.scoring import AnswerScores, VoiceScores

SCORES = AnswerScores(8, 4, 0.75, 0.875, 1.0, 0.5, None)
ASKED: dict[str, Any] = {
    "question": "How <b>long</b>?",
    "answer": "38 <script>h</script>",
    "citations": [{"source": "a&b.md"}],
}


def evaluation(**changes: Any) -> Evaluation:
    details = [
        ASKED | {"unanswerable": False, "abstained": False, "holds_facts": True},
        ASKED | {"unanswerable": False, "abstained": False, "holds_facts": False},
        ASKED | {"unanswerable": False, "abstained": True, "holds_facts": False},
        ASKED | {"unanswerable": True, "abstained": True, "holds_facts": None},
        ASKED | {"unanswerable": True, "abstained": False, "holds_facts": None},
    ]
    samples = [{"prompt": "Hi?", "example": "e", "with_adapter": "Ahoy!", "without_adapter": "Hello."}]
    content: dict[str, Any] = {
        "bot": "house & co", "answers": SCORES, "voice": VoiceScores(32, 0.95, 0.05, 1.0), "gate": None,
        "seconds": 12.4, "details": details, "samples": samples,
    }  # fmt: skip
    return Evaluation(**(content | changes))


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    folder = BotFolder(tmp_path)
    folder.adapter.mkdir()
    (folder.adapter / "tune.json").write_text(json.dumps({"losses": [[1, 3.0], [2, 1.5]]}))
    page = render(evaluation(), folder)
    assert "house &amp; co" in page
    for cell in (
        "<td>yes</td>",
        "<td>no</td>",
        "declined, but the documents tell",
        "<td>declined</td>",
        "should have declined",
    ):
        assert cell in page
    assert "Ahoy!" in page
    assert "95%" in page
    assert (tmp_path / "report" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    page = render(evaluation(), BotFolder(tmp_path))
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<b>long" not in page
    assert "a&amp;b.md" in page
    assert "http" not in page
    assert 'src="data:image/png;base64,' in page


def test_a_bot_without_voice_or_questions_has_a_page(tmp_path: Path) -> None:
    page = render(evaluation(answers=None, voice=None, details=[], samples=[]), BotFolder(tmp_path))
    assert "Every question" not in page
    assert "<h1>" in page


def test_what_was_not_measured_is_a_dash() -> None:
    lines = summary_lines(evaluation())
    assert "32 prompts" in lines[0]
    assert "declined 50% of the unanswerable and - of the answerable" in lines[1]
    assert summary_lines(evaluation(answers=None, voice=None)) == []


def test_the_templates_come_with_the_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["pipelines"]
    packaged = {file for pattern in patterns for file in (ROOT / "pipelines").glob(pattern)}
    assert set(Path(str(report.__file__)).parent.glob("*.j2")) <= packaged
    assert packaged
