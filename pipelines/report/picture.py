"""The pictures of the report: the arms side by side, declining over false refusals, and the loss of the tune."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING

from toolkit.bot import BotFolder
from toolkit.scoring import MEASURES

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from pipelines.report.evaluation import Evaluation

_COLOURS = {"neither": "#9a9a9a", "knowledge": "#3b6ea5", "adapter": "#d9a441", "both": "#b5533c"}
_HEIGHT = 0.55  # inches a measure, with room for four arms


def draw_arms(result: Evaluation) -> Figure:
    """Draw the shares of each arm with their 95% intervals, a row a measure."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    shown = [
        measure for measure in MEASURES
        if measure.unit != "seconds" and any(measure.name in arm.figures for arm in result.arms)
    ]  # fmt: skip
    figure = Figure(figsize=(10, 1.2 + _HEIGHT * len(shown)), layout="constrained")
    axes = figure.subplots()
    for number, arm in enumerate(result.arms):
        offset = (number - (len(result.arms) - 1) / 2) * 0.8 / max(1, len(result.arms))
        points = [(row, arm.figures[item.name]) for row, item in enumerate(shown) if item.name in arm.figures]
        values = [found.value for _, found in points]
        ends = [[found.value - found.low for _, found in points], [found.high - found.value for _, found in points]]
        axes.errorbar(
            values, [row + offset for row, _ in points], xerr=ends, fmt="o", label=arm.name,
            color=_COLOURS[arm.name], elinewidth=1.2, capsize=2,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [item.title for item in shown])
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    if shown:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(result.arms), frameon=False)
    return figure


def draw_declining(result: Evaluation) -> Figure:
    """Draw what each threshold declines rightly over what it declines wrongly, with the present one marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.step(
        [point.declined_wrong for point in result.curve], [point.declined_right for point in result.curve],
        where="post", color="#3b6ea5",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#ccc", linewidth=0.8)
    if result.answers and result.threshold is not None:
        here = (result.answers.declined_wrong or 0.0, result.answers.declined_right or 0.0)
        axes.plot(*here, "o", color="#b5533c")
        axes.annotate(f"now: {result.threshold:.2f}", here, xytext=(8, -12), textcoords="offset points")
    axes.set_xlabel("answerable questions declined")
    axes.set_ylabel("unanswerable questions declined")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.25)
    return figure


def draw_losses(losses: list[tuple[int, float]]) -> Figure:
    """Draw the loss of the tune over its steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([step for step, _ in losses], [loss for _, loss in losses], color="#b5533c")
    axes.set_xlabel("step")
    axes.set_ylabel("nats per token")
    axes.grid(alpha=0.25)
    return figure


def pictures(result: Evaluation, folder: BotFolder) -> dict[str, str]:
    """Draw what there is, and keep the images beside the page.

    Returns:
        PNGs in base64 by their names: they go into the page itself.
    """
    folder.report.mkdir(parents=True, exist_ok=True)
    losses = losses_of(folder)
    drawn = {
        "arms": draw_arms(result) if result.arms else None,
        "declining": draw_declining(result) if result.curve else None,
        "loss": draw_losses(losses) if losses else None,
    }
    return {name: save_picture(figure, folder.report / f"{name}.png") for name, figure in drawn.items() if figure}


def save_picture(figure: Figure, file: Path) -> str:
    """Write a figure as a PNG.

    Returns:
        The PNG in base64: it goes into a page itself.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    file.write_bytes(buffer.getvalue())
    return base64.b64encode(buffer.getvalue()).decode()


def losses_of(folder: BotFolder) -> list[tuple[int, float]]:
    """Return the training loss by step; none where nothing was tuned."""
    if not folder.tune_report.is_file():
        return []
    content = json.loads(folder.tune_report.read_text(encoding="utf-8"))
    return [(int(step), float(loss)) for step, loss in content["losses"]]
