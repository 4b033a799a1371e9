"""Figures with how sure they are: means and paired differences by bootstrap, and how many questions would tell one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Draws of a bootstrap: the ends of a 95% interval then move by a tenth of its width or less from seed to seed.
_DRAWS = 2000
# With fewer questions that come out otherwise, not even a sign test in which all speak for the same side reaches 5%:
# two-sided, 2 * (1/2)^5 = .06.
_FEWEST_UNLIKE = 6
# Chance of missing a difference that is there, by the usual convention (Cohen 1988).
_POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval.

    Attributes:
        value: The mean.
        low: Lower end of the interval.
        high: Upper end of the interval.
        of: Number of questions that it was measured on.
    """

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True)
class PairedDifference:
    """What one way of answering has over another, on the same questions.

    Attributes:
        value: Mean of the differences, first minus second.
        low: Lower end of its 95% interval.
        high: Upper end of its 95% interval.
        of: Number of questions that both were measured on.
        unlike: Number of them on which the two came out otherwise.
        needed: About how many questions would tell a difference of this size in four runs of five; None where there
            is none, or nothing to reckon from.
        tells: Whether these questions tell the two apart.
    """

    value: float
    low: float
    high: float
    of: int
    unlike: int
    needed: int | None
    tells: bool


def mean_between(
    values: Sequence[bool | float], weights: Sequence[float] | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Return a mean with its 95% interval, by a percentile bootstrap (Efron 1979) over 2,000 draws.

    Args:
        values: One a prompt.
        weights: What each counts for; default: all the same.
        seed: Seed of the draws.

    Example:
        >>> mean_between([True] * 4)
        (1.0, 1.0, 1.0)
        >>> mean_between([1.0, 4.0], [2, 1])[0]
        2.0
    """
    import numpy as np

    each = np.asarray(values, dtype=float)
    share = np.ones_like(each) if weights is None else np.asarray(weights, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(each), size=(_DRAWS, len(each)))
    means = (each * share)[drawn].sum(1) / share[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(np.average(each, weights=share)), float(low), float(high)


def estimate(values: Sequence[bool | float | None]) -> Estimate | None:
    """Return the mean of what was measured, or None where nothing was.

    Args:
        values: One a question; None where the measure does not apply.

    Example:
        >>> estimate([True, None, True])
        Estimate(value=1.0, low=1.0, high=1.0, of=2)
    """
    measured = [value for value in values if value is not None]
    return Estimate(*mean_between(measured), len(measured)) if measured else None


def paired_difference(
    first: Sequence[bool | float | None], second: Sequence[bool | float | None]
) -> PairedDifference | None:
    """Return the mean of the differences on the same questions with its interval; None where no question has both.

    The questions are drawn, and not the answers of each way apart: what makes a question hard for both cancels out.

    Args:
        first: One a question; None where the measure does not apply.
        second: The same of the other way, question by question.

    Example:
        >>> found = paired_difference([True] * 8 + [False] * 2, [False] * 9 + [None])
        >>> round(found.value, 2), found.of, found.unlike, found.tells
        (0.89, 9, 8, True)
    """
    each = [
        float(one) - float(other)
        for one, other in zip(first, second, strict=True)
        if one is not None and other is not None
    ]
    if not each:
        return None
    value, low, high = mean_between(each)
    unlike = sum(one != 0 for one in each)
    tells = (low > 0 or high < 0) and unlike >= _FEWEST_UNLIKE
    return PairedDifference(value, low, high, len(each), unlike, questions_needed(each), tells)


def questions_needed(differences: Sequence[float]) -> int | None:
    """Return how many questions would tell a mean difference of the size that these have, in four runs of five.

    The sample size of a paired comparison, n = ((z(1 - a/2) + z(1 - b)) * s / d)^2, with the standard deviation s and
    the mean d of the differences, a = .05 two-sided and a power 1 - b of .8: Cohen, Statistical Power Analysis for the
    Behavioral Sciences (1988), chapter 2, in the normal form that Miller, Adding Error Bars to Evals (2024,
    arXiv:2411.00640), gives for evaluations on the same questions.

    Args:
        differences: One a question.

    Returns:
        The number; None for fewer than two questions, and where the mean is 0 or all are the same.

    Example:
        >>> questions_needed([1.0] * 30 + [0.0] * 60 + [-1.0] * 10)  # d = .2, s = .6
        72
    """
    if len(differences) < 2:
        return None
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    if not mean or not spread:
        return None
    normal = statistics.NormalDist()
    return math.ceil(((normal.inv_cdf(0.975) + normal.inv_cdf(_POWER)) * spread / mean) ** 2)
