"""The report page of a bot: what was measured, as a picture and as tables."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import TYPE_CHECKING, Any

from toolkit.bundle import BotFolder

if TYPE_CHECKING:
    from pipelines.evaluate import Evaluation

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border:1px solid #ddd;padding:.35rem .6rem;"
    "text-align:left;vertical-align:top}th{background:#f5f5f5}.bad{background:#fdecea}img{max-width:100%}"
)


def render(result: Evaluation, folder: BotFolder) -> str:
    """Return the report as one HTML page that needs nothing else."""
    name = html.escape(result.bot)
    parts = [f"<h1>{name}: what was measured</h1>", _picture(result, folder), _measures(result)]
    if result.samples:
        parts.append("<h2>The same prompts with and without the voice</h2>")
        samples = [(s["prompt"], s["with_adapter"], s["without_adapter"]) for s in result.samples]
        parts.append(_table(("Prompt", "With the voice", "Without"), samples))
    if result.details:
        parts.append("<h2>Every question</h2>")
        rows = [_question_row(item) for item in result.details]
        parts.append(_table(("Question", "Answer", "Sources", "Right"), rows))
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _measures(result: Evaluation) -> str:
    from pipelines.build import summary_lines

    lines = "".join(f"<li>{html.escape(line)}</li>" for line in summary_lines(result))
    return f"<ul>{lines}</ul><p>Measured in {result.seconds:.0f} s.</p>"


def _question_row(item: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return the cells of one question."""
    if item["unanswerable"]:
        right = "declined" if item["abstained"] else "should have declined"
    elif item["abstained"]:
        right = "declined, but the documents tell"
    else:
        right = "yes" if item["holds_facts"] else "no"
    sources = ", ".join(citation["source"] for citation in item["citations"])
    return item["question"], item["answer"], sources, right


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _picture(result: Evaluation, folder: BotFolder) -> str:
    """Draw the shares as bars and the loss of the tune as a line."""
    from matplotlib.figure import Figure

    shares = _shares(result)
    losses = _losses(folder)
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, width_ratios=(3, 2))
    names = [name for name, _ in shares]
    axes[0].barh(names, [value for _, value in shares], color="#3b6ea5")
    for index, (_, value) in enumerate(shares):
        axes[0].text(min(value + 0.01, 0.92), index, f"{value:.0%}", va="center")
    axes[0].set_xlim(0, 1)
    axes[0].invert_yaxis()
    axes[1].plot([step for step, _ in losses], [loss for _, loss in losses], color="#b5533c")
    axes[1].set_xlabel("step")
    axes[1].set_title("training loss" if losses else "no tune")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    folder.report.mkdir(parents=True, exist_ok=True)
    (folder.report / "report.png").write_bytes(buffer.getvalue())
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="measured shares and training loss" src="data:image/png;base64,{encoded}">'


def _shares(result: Evaluation) -> list[tuple[str, float]]:
    """Return what was measured as pairs of name and share."""
    pairs: list[tuple[str, float | None]] = []
    if result.voice:
        pairs += [
            ("voice, with the adapter", result.voice.with_adapter),
            ("voice, without", result.voice.without_adapter),
        ]
    if result.answers:
        scores = result.answers
        pairs += [
            ("facts right", scores.facts),
            ("right source cited", scores.cited),
            ("unanswerable declined", scores.declined_right),
            ("answerable declined", scores.declined_wrong),
        ]
    return [(name, value) for name, value in pairs if value is not None]


def _losses(folder: BotFolder) -> list[tuple[int, float]]:
    file = folder.adapter / "tune.json"
    if not file.is_file():
        return []
    return [(int(step), float(loss)) for step, loss in json.loads(file.read_text(encoding="utf-8"))["losses"]]
