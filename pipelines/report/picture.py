"""The picture of the report: shares as bars, and the loss of the tune as a line."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING

from toolkit.bot import BotFolder

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from pipelines.report.evaluation import Evaluation


def picture(result: Evaluation, folder: BotFolder) -> str:
    """Draw the shares as bars and the loss of the tune as a line, and keep the image beside the page.

    Returns:
        The PNG in base64: it goes into the page itself.
    """
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
    folder.report.mkdir(parents=True, exist_ok=True)
    return save_picture(figure, folder.report / "report.png")


def save_picture(figure: Figure, file: Path) -> str:
    """Write a figure as a PNG.

    Returns:
        The PNG in base64: it goes into a page itself.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    file.write_bytes(buffer.getvalue())
    return base64.b64encode(buffer.getvalue()).decode()


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
