"""What another threshold would decline: rightly over wrongly, without a question asked again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CurvePoint:
    """What a threshold declines.

    Attributes:
        threshold: Questions with a lower probability of being answered by the passages are declined.
        declined_right: Share of the unanswerable questions that it declines.
        declined_wrong: Share of the answerable questions that it declines.
    """

    threshold: float
    declined_right: float
    declined_wrong: float


def declining_curve(probabilities: Sequence[float | None], unanswerable: Sequence[bool]) -> list[CurvePoint]:
    """Return what each threshold that makes a difference declines, the lowest first.

    It is a receiver operating characteristic (Fawcett 2006), with a decline in the place of an alarm.

    Args:
        probabilities: The gate's, one a question; None where it was not asked, as for small talk: never declined.
        unanswerable: Whether the documents do not tell, one a question.

    Returns:
        The points; none where all questions are of one kind.

    Example:
        >>> [(point.declined_right, point.declined_wrong) for point in declining_curve([0.2, 0.9], [True, False])]
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    """
    each = [math.inf if value is None else value for value in probabilities]
    no = [value for value, untold in zip(each, unanswerable, strict=True) if untold]
    yes = [value for value, untold in zip(each, unanswerable, strict=True) if not untold]
    given = sorted({value for value in each if value < math.inf})
    if not no or not yes or not given:
        return []

    def declined(values: Sequence[float], threshold: float) -> float:
        return sum(value < threshold for value in values) / len(values)

    ends = [*given, math.nextafter(given[-1], math.inf)]
    return [CurvePoint(end, declined(no, end), declined(yes, end)) for end in ends]
