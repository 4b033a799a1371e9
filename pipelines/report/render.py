"""The report page of a bot: what was measured, as pictures and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.report.builds import read_builds
from pipelines.report.picture import pictures
from pipelines.report.summary import arms_table, brought_lines, change, differences_table, summary_lines
from pipelines.tracing import shown_steps
from toolkit.bot import BotFolder
from toolkit.scoring import MEASURES

if TYPE_CHECKING:
    from pipelines.report.evaluation import Detail, Evaluation, Perturbation

_PAGE = "page.html.j2"
# Answers that went wrong that are shown with their passages: a page that is read to its end.
_WORST = 12
_RANKS = 5


def render(result: Evaluation, folder: BotFolder) -> str:
    """Return the report as one HTML page that needs nothing else."""
    import yaml

    return fill(
        _PAGE,
        result=result,
        pictures=pictures(result, folder),
        lines=[*summary_lines(result), *brought_lines(result)],
        arms=arms_table(result),
        differences=differences_table(result) if result.differences else None,
        measures=MEASURES,
        ranks=ranks(result.details),
        samples=[(sample["prompt"], sample["with_adapter"], sample["without_adapter"]) for sample in result.samples],
        perturbed=[(item, perturbed_rows(item)) for item in result.perturbed],
        worst=worst(result.details),
        shown_steps=lambda item: shown_steps(step.model_dump() for step in item.trace),
        questions=question_table(result),
        settings=yaml.safe_dump(result.settings, sort_keys=False, allow_unicode=True) if result.settings else "",
        builds=build_rows(read_builds(folder)),
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


def ranks(details: Sequence[Detail]) -> list[tuple[str, int]]:
    """Return how many questions found their first right source at each rank."""
    found = [rank for item in details if (rank := item.judged.get("rank")) is not None]
    if not found:
        return []
    places = [round(1 / rank) if rank else 0 for rank in found]
    rows = [(f"rank {place}", places.count(place)) for place in range(1, _RANKS + 1)]
    later = sum(place > _RANKS for place in places)
    return [*rows, (f"rank {_RANKS + 1} or later", later), ("not found", places.count(0))]


def faults(item: Detail) -> Iterator[str]:
    """Yield what is wrong with an answer, the gravest first."""
    if item.unanswerable:
        if not item.abstained:
            yield "answered, and the documents do not tell"
    elif item.abstained:
        yield "declined, but the documents tell"
    elif item.judged.get("facts") == 0:
        yield "the facts that were asked for are not in it"
    for sentence, why in item.made_up.items():
        yield f"nobody told: {why} (“{sentence}”)"
    if not item.abstained and item.judged.get("cited_first") == 0:
        yield "a right source is not cited first"
    if item.judged.get("found") == 0:
        yield "no right source is among the first five passages"
    if item.judged.get("voice") == 0:
        yield "not in the voice"


def worst(details: Sequence[Detail]) -> list[tuple[Detail, list[str]]]:
    """Return the answers with the most faults, each with what they are."""
    found = [(item, list(faults(item))) for item in details]
    return sorted((pair for pair in found if pair[1]), key=lambda pair: -len(pair[1]))[:_WORST]


def question_table(result: Evaluation) -> tuple[list[str], list[list[str]]] | None:
    """Return the head and the rows of every question with its answers; None without questions."""
    if not result.details:
        return None
    others = [arm.name for arm in result.arms[:-1]]
    head = ["Question", "Answer", "Sources", "Right", *(f"Answer of {name}" for name in others)]
    return head, [[*_question_row(item), *(item.others.get(name, "") for name in others)] for item in result.details]


def _question_row(item: Detail) -> list[str]:
    """Return the cells of one question."""
    if item.unanswerable:
        right = "declined" if item.abstained else "should have declined"
    elif item.abstained:
        right = "declined, but the documents tell"
    else:
        right = "yes" if item.holds_facts else "no"
    sources = ", ".join(citation.source for citation in item.citations)
    return [item.question, item.answer, sources, right]


def perturbed_rows(item: Perturbation) -> list[tuple[str, str, int]]:
    """Return what a perturbation changes, measure by measure."""
    return [
        (measure.title, change(measure, found), found.unlike)
        for measure in MEASURES
        if (found := item.differences.get(measure.name))
    ]


def build_rows(builds: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the history of a bot as rows, the latest first."""

    def share(part: str, key: str, build: dict[str, Any]) -> str:
        value = (build.get(part) or {}).get(key)
        return "-" if value is None else f"{value:.0%}"

    return [
        [
            str(build.get("at", "")), str(build.get("base") or "-"), str(build.get("method") or "-"),
            share("voice", "with_adapter", build), share("answers", "facts", build), share("answers", "cited", build),
            share("answers", "declined_right", build), share("answers", "declined_wrong", build),
        ]
        for build in reversed(builds)
    ]  # fmt: skip
