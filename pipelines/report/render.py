"""The report page of a bot: what was measured, as a picture and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.report.picture import picture
from pipelines.report.summary import summary_lines
from toolkit.bot import BotFolder

if TYPE_CHECKING:
    from pipelines.report.evaluation import Evaluation

_PAGE = "page.html.j2"


def render(result: Evaluation, folder: BotFolder) -> str:
    """Return the report as one HTML page that needs nothing else."""
    return fill(
        _PAGE,
        result=result,
        picture=picture(result, folder),
        lines=summary_lines(result),
        samples=[(sample["prompt"], sample["with_adapter"], sample["without_adapter"]) for sample in result.samples],
        questions=[_question_row(item) for item in result.details],
    )


def fill(template: str, **content: Any) -> str:
    """Return a template of this room filled in: a page that needs nothing else."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Escaped whatever the name of the template ends in: questions and answers are other people's text.
    templates = Environment(
        loader=PackageLoader("pipelines.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return templates.get_template(template).render(content)


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
