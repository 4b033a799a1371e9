"""The report page: everything that was measured, and nothing that runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines import report
from pipelines.report import Evaluation, render, short_form, summary_lines
from pipelines.report.builds import add_build, read_builds
from pipelines.report.evaluation import ArmDifference, ArmScores, Broken, Detail, Perturbation
from pipelines.report.render import faults, ranks, worst
from pipelines.report.summary import brought_lines
from tests.conftest import ROOT
from toolkit.bot import BotFolder
from toolkit.bot.lock import Inputs, Lock
from toolkit.scoring import AnswerScores, CurvePoint, Estimate, PairedDifference, VoiceScores

SCORES = AnswerScores(8, 4, 0.75, 0.875, 1.0, 0.5, None)
ASKED: dict[str, Any] = {
    "question": "How <b>long</b>?",
    "answer": "38 <script>h</script>",
    "citations": [{"source": "a&b.md", "page": None, "quote": "38 h"}],
}
PASSAGE = {"id": "1", "source": "a&b.md", "text": "It burns for <i>38</i> hours.", "score": 0.5}
TOLD = PairedDifference(0.7, 0.6, 0.8, 8, 6, 9, True)
UNSURE = PairedDifference(0.1, -0.1, 0.3, 8, 2, 140, False)


def detail(**changes: Any) -> Detail:
    return Detail.model_validate(ASKED | changes)


def evaluation(**changes: Any) -> Evaluation:
    details = [
        detail(unanswerable=False, abstained=False, holds_facts=True),
        detail(unanswerable=False, abstained=False, holds_facts=False),
        detail(unanswerable=False, abstained=True, holds_facts=False),
        detail(unanswerable=True, abstained=True, holds_facts=None),
        detail(unanswerable=True, abstained=False, holds_facts=None),
    ]
    samples = [{"prompt": "Hi?", "example": "e", "with_adapter": "Ahoy!", "without_adapter": "Hello."}]
    content: dict[str, Any] = {
        "bot": "house & co", "answers": SCORES, "voice": VoiceScores(32, 0.95, 0.05, 1.0), "gate": None,
        "seconds": 12.4, "details": details, "samples": samples,
    }  # fmt: skip
    return Evaluation(**(content | changes))


def two_arms() -> dict[str, Any]:
    """What four arms leave in a report, in small."""
    figures = [
        {"facts": Estimate(0.1, 0.0, 0.2, 8), "total": Estimate(1.5, 1.0, 2.0, 2)},
        {"facts": Estimate(0.8, 0.7, 0.9, 8), "total": Estimate(2.5, 2.0, 3.0, 2)},
    ]
    arms = [
        ArmScores(name=name, adapter=True, knowledge=name == "both", figures=found)
        for name, found in zip(("adapter", "both"), figures, strict=True)
    ]
    differences = [
        ArmDifference(measure="facts", first="both", second="adapter", difference=TOLD),
        ArmDifference(measure="voice", first="both", second="adapter", difference=UNSURE),
    ]
    return {"arms": arms, "differences": differences}


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    folder = BotFolder(tmp_path)
    folder.adapter.mkdir()
    (folder.adapter / "tune.json").write_text(json.dumps({"losses": [[1, 3.0], [2, 1.5]]}))
    curve = [CurvePoint(0.1, 0.0, 0.0), CurvePoint(0.4, 0.5, 0.0), CurvePoint(0.9, 1.0, 1.0)]
    page = render(evaluation(**two_arms(), curve=curve, threshold=0.4, settings={"name": "house & co"}), folder)
    assert "house &amp; co" in page
    for cell in (
        "<td>yes</td>",
        "<td>no</td>",
        "declined, but the documents tell",
        "<td>declined</td>",
        "should have declined",
        "<td>80% (70% to 90%)</td>",
        "<td>2.50 s (2.00 s to 3.00 s)</td>",
        "<td>+70 (+60 to +80)</td>",
        "<td>+10 (-10 to +30), unsure</td>",
        "less likely to\ntell than 40%",
        "name: house &amp; co",
    ):
        assert cell in page, cell
    assert "Ahoy!" in page
    assert "95%" in page
    for name in ("arms", "declining", "loss"):
        assert (tmp_path / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert page.count('src="data:image/png;base64,') == 3


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    broken = Broken(question="<b>Before", asked="<b>now", before="<b>a", after="<b>b", why="declined")
    perturbed = Perturbation(
        name="typos", asked=1, right=1, mended=0, differences={"facts": UNSURE}, broken=[broken]
    )
    bad = detail(abstained=False, made_up={"<b>44": "number 44"}, judged={"facts": 0.0}, passages=[PASSAGE])
    page = render(evaluation(details=[bad], perturbed=[perturbed], **two_arms()), BotFolder(tmp_path))
    assert "&lt;script&gt;" in page
    for tag in ("<script", "<b>long", "<b>now", "<b>44", "<i>38"):
        assert tag not in page
    assert "a&amp;b.md" in page
    assert "http" not in page
    assert 'src="data:image/png;base64,' in page
    assert "src=" not in page.replace('src="data:image/png;base64,', "")


def test_a_bot_without_voice_or_questions_has_a_page(tmp_path: Path) -> None:
    page = render(evaluation(answers=None, voice=None, details=[], samples=[]), BotFolder(tmp_path))
    assert "Every question" not in page
    assert "<h1>" in page


def test_what_was_not_measured_is_a_dash() -> None:
    lines = summary_lines(evaluation())
    assert "32 prompts" in lines[0]
    assert "declined 50% of the unanswerable and - of the answerable" in lines[1]
    assert summary_lines(evaluation(answers=None, voice=None)) == []


def test_the_terminal_is_told_in_short() -> None:
    text = short_form(evaluation(**two_arms()))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[2] == ["facts held", "10% (0% to 20%)", "80% (70% to 90%)"]
    assert rows[-1] == ["voice", "+10 (-10 to +30), unsure"]
    assert "|" not in short_form(evaluation())
    assert "evaluation.questions" in short_form(evaluation(answers=None, details=[]))


def test_what_each_half_brings_is_said_in_a_sentence() -> None:
    halves = [("facts", "adapter", TOLD), ("voice", "knowledge", TOLD), ("facts", "knowledge", UNSURE)]
    differences = [
        ArmDifference(measure=name, first="both", second=other, difference=found) for name, other, found in halves
    ]
    assert brought_lines(evaluation(differences=differences)) == [
        "Brought by the documents, in points against the arm 'adapter': facts held +70 (+60 to +80).",
        "Brought by the voice, in points against the arm 'knowledge': voice +70 (+60 to +80); "
        "facts held +10 (-10 to +30), unsure.",
    ]
    assert brought_lines(evaluation()) == []


def test_the_worst_answers_have_the_most_faults() -> None:
    fine = detail(abstained=False, judged={"facts": 1.0, "cited_first": 1.0, "found": 1.0, "voice": 1.0})
    wrong = detail(abstained=False, judged={"facts": 0.0, "cited_first": 0.0, "found": 0.0, "voice": 0.0})
    invented = detail(unanswerable=True, abstained=False, made_up={"It is 44.": "number 44"})
    refused = detail(abstained=True, judged={"facts": 0.0, "cited_first": 0.0, "found": 1.0})
    assert [item for item, _ in worst([fine, invented, wrong, refused])] == [wrong, invented, refused]
    assert list(faults(refused)) == ["declined, but the documents tell"]
    assert list(faults(invented)) == [
        "answered, and the documents do not tell", "nobody told: number 44 (“It is 44.”)"
    ]  # fmt: skip


def test_the_worst_answers_show_what_was_done(tmp_path: Path) -> None:
    step = {"name": "reply", "inputs": {}, "outputs": {"text": "44 <b>h</b>"}, "seconds": 0.5, "adapter": True,
            "tokens": {"prompt": 90, "reply": 7}}  # fmt: skip
    wrong = detail(abstained=False, judged={"facts": 0.0}, trace=[step])
    page = render(evaluation(details=[wrong]), BotFolder(tmp_path))
    assert "What the model writes (500.0 ms, voice on, 90 tokens read, 7 written)" in page
    assert "44 &lt;b&gt;h&lt;/b&gt;" in page


def test_ranks_are_counted() -> None:
    found = [detail(abstained=False, judged={"rank": rank}) for rank in (1.0, 1 / 3, 1 / 7, 0.0, None)]
    assert dict(ranks(found)) == {
        "rank 1": 1, "rank 2": 0, "rank 3": 1, "rank 4": 0, "rank 5": 0, "rank 6 or later": 1, "not found": 1,
    }  # fmt: skip
    assert ranks([detail(abstained=False)]) == []


def test_the_history_grows_by_a_line_a_build(tmp_path: Path) -> None:
    folder, lock = BotFolder(tmp_path), Lock(base={"name": "tiny"}, inputs=Inputs(tune="1"))
    add_build(folder, lock, evaluation(settings={"voice": {"method": "lora"}}))
    with folder.builds.open("a") as stream:
        stream.write('{"at": "cut sho\n')
    add_build(folder, lock, evaluation(answers=None, voice=None))
    first, second = read_builds(folder)
    assert (first["base"], first["method"], first["inputs"]["tune"]) == ("tiny", "lora", "1")
    assert first["answers"]["facts"] == 0.75
    assert second["answers"] is None
    page = render(evaluation(), folder)
    assert page.count("<td>tiny</td>") == 2
    assert "<td>75%</td>" in page


def test_a_report_is_read_back_as_it_was_written() -> None:
    made = evaluation(**two_arms(), curve=[CurvePoint(0.1, 0.0, 0.0)], threshold=0.1)
    assert Evaluation.model_validate_json(json.dumps(made.to_dict())) == made
    with pytest.raises(ValueError, match="unheard"):
        evaluation(unheard=1)


def test_the_schema_on_the_page_is_that_of_the_code() -> None:
    written = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    assert written == Evaluation.model_json_schema(), "run: make docs"
    described = [
        name for part in [written, *written["$defs"].values()] if "description" in part
        for name, item in part["properties"].items()
        if not (item.get("description") or f"{name}:" in part["description"])
    ]  # fmt: skip
    assert not described, "every key says what it holds"


def test_the_templates_come_with_the_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["pipelines"]
    packaged = {file for pattern in patterns for file in (ROOT / "pipelines").glob(pattern)}
    assert set(Path(str(report.__file__)).parent.glob("*.j2")) <= packaged
    assert packaged
