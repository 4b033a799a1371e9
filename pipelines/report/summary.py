"""What was measured, in a few lines and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.report.evaluation import Evaluation
from toolkit.scoring import MEASURES, Estimate, Measure, PairedDifference


def summary_lines(result: Evaluation) -> list[str]:
    """Put an evaluation into a few lines for people."""
    lines = []
    if result.voice:
        voice = result.voice
        lines.append(
            f"Voice on {voice.prompts} prompts not trained on: recognised in {voice.with_adapter:.0%} of the replies "
            f"with the adapter, {voice.without_adapter:.0%} without."
        )
    if result.made:
        lines.append(
            "There is no file of questions (evaluation.questions), so they were made from the documents: they are "
            "closer to their words than people's are, and no facts are known of them."
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


# What a half is there for, and the arm that lacks it alone.
_HALVES = (("documents", "adapter", ("facts", "grounded")), ("voice", "knowledge", ("voice", "facts")))


def brought_lines(result: Evaluation) -> list[str]:
    """Say what each half brings: what the whole bot has over the one without it, on the same questions."""
    found = {(item.measure, item.second): item.difference for item in result.differences if item.first == "both"}
    lines = []
    for half, without, names in _HALVES:
        told = [
            f"{measure.title} {change(measure, found[name, without])}"
            for name in names for measure in MEASURES
            if measure.name == name and (name, without) in found
        ]  # fmt: skip
        if told:
            lines.append(f"Brought by the {half}, in points against the arm '{without}': {'; '.join(told)}.")
    return lines


def arms_table(result: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of arms: a row a measure, with 95% intervals."""
    head = ["", *(arm.name for arm in result.arms)]
    rows = [
        [measure.title, *(cell(measure, arm.figures.get(measure.name)) for arm in result.arms)]
        for measure in MEASURES
        if any(measure.name in arm.figures for arm in result.arms)
    ]
    return head, rows


def differences_table(result: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of what the fullest arm has over each other, on the same questions."""
    others = list(dict.fromkeys(item.second for item in result.differences))
    found = {(item.measure, item.second): item.difference for item in result.differences}
    main = result.differences[0].first if result.differences else ""
    head = ["", *(f"{main} − {other}" for other in others)]
    rows = [
        [measure.title, *(change(measure, found.get((measure.name, other))) for other in others)]
        for measure in MEASURES
        if any((measure.name, other) in found for other in others)
    ]
    return head, rows


def cell(measure: Measure, figure: Estimate | None) -> str:
    """Return a figure with its interval, which one that is the same for every question has not; a dash for none."""
    if figure is None:
        return "-"
    if figure.low == figure.high:
        return measure.shown(figure.value)
    return f"{measure.shown(figure.value)} ({measure.shown(figure.low)} to {measure.shown(figure.high)})"


def change(measure: Measure, difference: PairedDifference | None) -> str:
    """Return a difference with its interval; a dash where it does not apply."""
    if difference is None:
        return "-"
    if not difference.unlike:
        return "same"
    ends = f"({measure.shown_change(difference.low)} to {measure.shown_change(difference.high)})"
    return f"{measure.shown_change(difference.value)} {ends}{'' if difference.tells else ', unsure'}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its columns aligned for the terminal."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |" for line in lines
    )


def broken_lines(result: Evaluation) -> list[str]:
    """Say what breaks under each perturbation."""
    lines = []
    for item in result.perturbed:
        lines.append(
            f"{item.name.capitalize()}: of {item.right} right answers to {item.asked} questions {len(item.broken)} "
            f"break, and {item.mended} others come right."
        )
        lines += [f"  {broken.why}: {broken.asked}" for broken in item.broken]
    return lines


def short_form(result: Evaluation) -> str:
    """Return all that the terminal shows of an evaluation."""
    parts = ["\n".join([*summary_lines(result), *brought_lines(result)])]
    if not result.details:
        parts.append("No questions were asked: name a file as evaluation.questions, or give one with --questions FILE.")
    if len(result.arms) > 1:
        asked = len(result.details)
        parts.append(f"{len(result.arms)} arms on the same {asked} questions, with 95% intervals:")
        parts.append(markdown(*arms_table(result)))
        parts.append("Differences on the same questions (of shares in points):")
        parts.append(markdown(*differences_table(result)))
    parts += ["\n".join(broken_lines(result))] if result.perturbed else []
    return "\n\n".join(part for part in parts if part)
