"""One thing that the doctor looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.errors import HousevoiceError
from toolkit.examples import Finding

# A text in stretches, each with whether there is a loss on it.
Marked = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: What was looked at.
        ok: Whether a build could go on.
        found: What was found, with the remedy where it is not as it should be.
        note: Whether it is worth a second look, though a build could go on.
        prompts: Training rows as the model will see them.
    """

    what: str
    ok: bool
    found: str
    note: bool = False
    prompts: tuple[Marked, ...] = ()


def attempt(what: str, look: Callable[[], str]) -> Check:
    """Return what a look found, or the error it ended in."""
    try:
        return Check(what, True, look())
    except HousevoiceError as error:
        return Check(what, False, str(error))


def of_finding(finding: Finding) -> Check:
    """Return what was found of the example replies as a check."""
    return Check(finding.what, finding.level != "bad", finding.said, finding.level == "note")
