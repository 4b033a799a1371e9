"""The comparison for people: a table, a picture, and one page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.report.picture import save_picture
from pipelines.report.render import fill
from toolkit.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipelines.comparing.compare import Comparison

HEAD = (
    "method", "voice", "facts", "held-out loss", "general chat", "by heart", "trainable", "adapter MB", "peak GB",
    "minutes", "tokens/s", "s a reply", "tokens/s served", "passes",
)  # fmt: skip


def write_pages(result: Comparison) -> None:
    """Write ``compare.json``, ``compare.md``, ``compare.png`` and ``compare.html``."""
    result.folder.mkdir(parents=True, exist_ok=True)
    content = {"bot": result.bot, "rows": result.rows, "trials": result.trials}
    write_text(result.folder / "compare.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_text(result.folder / "compare.md", markdown(result))
    page = fill(
        "compare.html.j2",
        bot=result.bot,
        rows=result.rows,
        head=HEAD,
        cells=[cells(trial) for trial in result.trials if "failed" not in trial],
        failed=[(trial["method"], trial["failed"]) for trial in result.trials if "failed" in trial],
        faults=[
            (trial["method"], " ".join(trial["acceptance"]["faults"]))
            for trial in result.trials
            if trial.get("acceptance", {}).get("faults")
        ],
        picture=save_picture(draw(result.trials), result.folder / "compare.png"),
    )
    write_text(result.folder / "compare.html", page)


def markdown(result: Comparison) -> str:
    """Return the table in Markdown."""
    lines = [f"# {result.bot}: ways to tune", "", f"Each trained on the same {result.rows} rows.", ""]
    lines += [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(cells(trial))} |" for trial in result.trials if "failed" not in trial]
    failed = [f"- {trial['method']}: {trial['failed']}" for trial in result.trials if "failed" in trial]
    return "\n".join([*lines, *(["", "Not measured:", "", *failed] if failed else [])]) + "\n"


def cells(trial: dict[str, Any]) -> list[str]:
    """Return the cells of a method's row, in the order of ``HEAD``; empty where there is nothing to tell."""
    acceptance = trial.get("acceptance") or {}
    return [
        trial["method"],
        _share(trial.get("voice")),
        _share(trial.get("facts")),
        _loss(trial.get("held_out_loss"), acceptance.get("held_out")),
        _change(acceptance.get("general")),
        f"{acceptance['recited'][1]:.0%}" if acceptance.get("recited") else "",
        f"{trial['trainable']:,}" if "trainable" in trial else "",
        f"{trial['adapter_bytes'] / 1e6:.1f}" if "adapter_bytes" in trial else "",
        f"{trial['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in trial else "",
        f"{trial['seconds'] / 60:.1f}" if "seconds" in trial else "",
        f"{trial['tokens_a_second']:.0f}" if "tokens_a_second" in trial else "",
        f"{trial['served_seconds']:.2f}" if "served_seconds" in trial else "",
        f"{trial['served_tokens_a_second']:.0f}" if "served_tokens_a_second" in trial else "",
        "" if not acceptance else "no" if acceptance["faults"] else "yes",
    ]


def _share(value: Sequence[float] | None) -> str:
    return f"{value[0]:.0%} ({value[1]:.0%} to {value[2]:.0%})" if value else ""


def _loss(value: Sequence[float] | None, pair: Sequence[float] | None) -> str:
    """Return a loss with its interval, and the change against the base where there is one."""
    if not value:
        return ""
    told = f"{value[1]:.2f} to {value[2]:.2f}"
    return f"{value[0]:.2f} ({told}; {pair[1] - pair[0]:+.2f})" if pair else f"{value[0]:.2f} ({told})"


def _change(pair: Sequence[float] | None) -> str:
    return f"{pair[1]:.2f} ({pair[1] - pair[0]:+.2f})" if pair else ""


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other beats: none costs as little or less and is better.

    Args:
        points: Pairs of cost, the less the better, and quality, the more the better.

    Returns:
        Indices, by rising cost.

    Example:
        >>> pareto_front([(1.0, 0.5), (2.0, 0.4), (3.0, 0.9)])
        [0, 2]
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def draw(trials: Sequence[dict[str, Any]]) -> Figure:
    """Draw the voice over memory and over time, with the front that no method beats."""
    from matplotlib.figure import Figure

    shown = [trial for trial in trials if trial.get("voice") and "seconds" in trial]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    costs = (("peak memory, GB", "peak_bytes", 1e9), ("time to train, minutes", "seconds", 60.0))
    for place, (label, key, unit) in zip(axes, costs, strict=True):
        points = [(trial[key] / unit, trial["voice"][0]) for trial in shown]
        front = pareto_front(points)
        if front:
            place.plot(*zip(*(points[index] for index in front), strict=True), color="#b5533c", zorder=1)
        for number, (trial, point) in enumerate(zip(shown, points, strict=True)):
            error = [[point[1] - trial["voice"][1]], [trial["voice"][2] - point[1]]]
            colour = "#b5533c" if number in front else "#3b6ea5"
            place.errorbar(*point, yerr=error, fmt="o", color=colour, elinewidth=0.7, alpha=0.8, zorder=2)
            # Names of methods that cost the same would lie upon each other: they go up and down in turn.
            place.annotate(trial["method"], point, xytext=(5, (6, -12, 16)[number % 3]), textcoords="offset points")
        place.set_xlabel(label)
        place.set_ylim(-0.03, 1.15)  # room for the names of those that are heard always
        place.margins(x=0.12)
        place.grid(alpha=0.25)
    axes[0].set_ylabel("replies recognised as the voice")
    return figure
