"""The trace of an answer for people: in the terminal, in the report and in the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# What each step is called where there is room for a sentence.
TITLES = {
    "route": "What kind of message it is",
    "rewrite": "The question, so that it stands alone",
    "table": "The tables of the documents",
    "search": "The passages found",
    "evidence": "The sentences picked from them",
    "thinking": "What the base thinks of them",
    "gate": "Whether to answer",
    "draft": "What the base has to say",
    "prompt": "What the model is shown",
    "reply": "What the model writes",
    "plain": "The evidence, said plainly",
    "checks": "What is let through",
    "model": "The model of the agent",
    "tool": "A tool of the agent",
    "limit": "A limit is reached",
}
# How the first item of a list begins.
_FIRST = "1. "


@dataclass(frozen=True)
class ShownStep:
    """A step as it is shown.

    Attributes:
        name: Its name.
        title: What it is.
        cost: Its seconds, whether the voice was on, and its tokens.
        rows: What went in and what came out, by name; each one text, with line breaks between the items of a list.
    """

    name: str
    title: str
    cost: str
    rows: list[tuple[str, str]]


def shown_steps(steps: Iterable[Mapping[str, Any]]) -> list[ShownStep]:
    """Return the steps of a trace, as its ``to_dict`` gives them, for showing."""
    return [
        ShownStep(
            step["name"],
            TITLES.get(step["name"], step["name"]),
            _cost(step),
            [(key, _told(value)) for part in ("inputs", "outputs") for key, value in step[part].items()],
        )
        for step in steps
    ]


def trace_lines(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a trace as lines for the terminal."""
    lines = []
    for step in shown_steps(steps):
        lines.append(f"- {step.name}: {step.title[0].lower()}{step.title[1:]} ({step.cost})")
        for key, text in step.rows:
            told = text.split("\n")
            below = text.startswith(_FIRST)  # the items of a list stand one below the other
            lines += [f"    {key}:", *(f"      {line}" for line in told)] if below else [f"    {key}: {text}"]
    return lines


def _cost(step: Mapping[str, Any]) -> str:
    seconds = step["seconds"]
    parts = [f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"]
    if step["adapter"] is not None:
        parts.append(f"voice {'on' if step['adapter'] else 'off'}")
    if step["tokens"]:
        parts.append(f"{step['tokens']['prompt']} tokens read, {step['tokens']['reply']} written")
    return ", ".join(parts)


def _told(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, list):
        return "\n".join(f"{number}. {_told(item)}" for number, item in enumerate(value, 1)) if value else "-"
    if isinstance(value, Mapping):
        if set(value) == {"role", "content"}:
            return f"{value['role']}: {_told(value['content'])}"
        return "; ".join(f"{key} {_told(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return " ".join(str(value).split()) if value not in (None, "") else "-"
