"""A few lines for people that say what was measured."""

from __future__ import annotations

from pipelines.report.evaluation import Evaluation


def summary_lines(result: Evaluation) -> list[str]:
    """Put an evaluation into a few lines for people."""
    lines = []
    if result.voice:
        voice = result.voice
        lines.append(
            f"Voice on {voice.prompts} prompts not trained on: recognised in {voice.with_adapter:.0%} of the replies "
            f"with the adapter, {voice.without_adapter:.0%} without."
        )
    if result.answers:
        scores = result.answers

        def share(value: float | None) -> str:
            return "-" if value is None else f"{value:.0%}"

        lines.append(
            f"Questions ({scores.answerable} answerable, {scores.unanswerable} not): facts right in "
            f"{share(scores.facts)}, a right source cited in {share(scores.cited)}; declined "
            f"{share(scores.declined_right)} of the unanswerable and {share(scores.declined_wrong)} of the answerable."
        )
    return lines
