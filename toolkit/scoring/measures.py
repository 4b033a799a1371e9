"""The measures of a bot by name, with what each tells: what a table of figures is laid out by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.scoring.answers import Judged


@dataclass(frozen=True)
class Measure:
    """One measure of an answer.

    Attributes:
        name: The attribute of :class:`Judged` that holds it.
        title: What people call it.
        tells: What it is the share, or the mean, of.
        more_is_better: Whether a higher figure is the better one.
        unit: ``share``, ``score`` between 0 and 1, or ``seconds``.
    """

    name: str
    title: str
    tells: str
    more_is_better: bool = True
    unit: Literal["share", "score", "seconds"] = "share"

    def of(self, judged: Sequence[Judged]) -> list[bool | float | None]:
        """Return what it says of each answer; None where it does not apply."""
        return [getattr(one, self.name) for one in judged]

    def shown(self, value: float) -> str:
        """Return a figure as people read it.

        Example:
            >>> MEASURES[0].shown(0.825)
            '82%'
        """
        return {"share": f"{value:.0%}", "score": f"{value:.2f}", "seconds": f"{value:.2f} s"}[self.unit]

    def shown_change(self, value: float) -> str:
        """Return a difference as people read it; of shares in points.

        Example:
            >>> MEASURES[0].shown_change(0.071)
            '+7'
        """
        return {"share": f"{100 * value:+.0f}", "score": f"{value:+.2f}", "seconds": f"{value:+.2f} s"}[self.unit]


MEASURES = (
    Measure("facts", "facts held", "answerable questions whose answer holds every fact that was asked for"),
    Measure("first_fact", "first factual sentence right", "the same, in the first sentence that states a fact"),
    Measure("grounded", "sentences grounded",
            "sentences of a reply that state nothing but what the passages, the question and the voice hold"),
    Measure("cited_first", "right source cited first", "answerable questions whose answer cites a right file first"),
    Measure("cited", "right source cited", "answerable questions whose answer cites a right file at all"),
    Measure("declined_right", "declined rightly", "unanswerable questions that were declined"),
    Measure("declined_wrong", "declined wrongly", "answerable questions that were declined", more_is_better=False),
    Measure("voice", "voice", "replies that a classifier takes for the voice; declines are no replies"),
    Measure("found", "right source found", "answerable questions with a right file among the first five passages"),
    Measure("rank", "rank of the right source", "mean of 1 / rank of the first passage from a right file",
            unit="score"),
    Measure("first_token", "seconds to the first word", "mean of some questions asked one by one",
            more_is_better=False, unit="seconds"),
    Measure("total", "seconds in all", "mean of the same questions", more_is_better=False, unit="seconds"),
)  # fmt: skip
