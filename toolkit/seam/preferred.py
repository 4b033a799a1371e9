"""Preferences laid out as the bot would be asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toolkit.progress import Progress
from toolkit.prompts import Message

if TYPE_CHECKING:
    from toolkit.answering import Route, RoutePlanner
    from toolkit.examples import Preference


@dataclass(frozen=True)
class PreferenceRow:
    """A preference with what serving finds for its question and shows to the model."""

    preference: Preference
    route: Route

    @property
    def messages(self) -> list[Message]:
        """The messages that the model is shown."""
        return self.route.messages


def serve_preferences(
    preferences: Sequence[Preference], planner: RoutePlanner, *, on_progress: Progress | None = None
) -> list[PreferenceRow]:
    """Lay out every preference with the very notes and words that the bot shows the model for its question.

    Unlike example replies nothing is put in or left out: a reply was judged as an answer to what was shown.

    Args:
        preferences: Preferences.
        planner: The route of the bot that will serve.
        on_progress: Called after each ten.
    """
    routes = []
    for number, item in enumerate(preferences, start=1):
        routes.append(replace(planner.plan(item.question, item.history), declines=False))
        if on_progress and (number % 10 == 0 or number == len(preferences)):
            on_progress("Finding the passages of each preference", number, len(preferences))
    return [PreferenceRow(item, route) for item, route in zip(preferences, planner.retold(routes), strict=True)]
