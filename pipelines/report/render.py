"""The report page of a bot: what was measured, as a picture and as tables."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from pipelines.report.picture import picture
from toolkit.bot import BotFolder

if TYPE_CHECKING:
    from pipelines.report.evaluation import Evaluation

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border:1px solid #ddd;padding:.35rem .6rem;"
    "text-align:left;vertical-align:top}th{background:#f5f5f5}.bad{background:#fdecea}img{max-width:100%}"
)


def render(result: Evaluation, folder: BotFolder) -> str:
    """Return the report as one HTML page that needs nothing else."""
    name = html.escape(result.bot)
    parts = [f"<h1>{name}: what was measured</h1>", picture(result, folder), _measures(result)]
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
    from pipelines.report.summary import summary_lines

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
