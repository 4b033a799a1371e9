"""The four arms: a bot with both of its halves, with either, and with neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import DataError

if TYPE_CHECKING:
    from toolkit.bot import Chatbot


@dataclass(frozen=True)
class Arm:
    """What of a bot answers.

    Attributes:
        name: ``neither``, ``knowledge``, ``adapter`` or ``both``.
        adapter: Whether the voice is on.
        knowledge: Whether the documents are used.
    """

    name: str
    adapter: bool
    knowledge: bool


ARMS = (
    Arm("neither", False, False), Arm("knowledge", False, True), Arm("adapter", True, False), Arm("both", True, True),
)  # fmt: skip


def arms_of(bot: Chatbot, names: Sequence[str] | None = None) -> list[Arm]:
    """Return the arms to measure, the one with the most of the bot last.

    Args:
        bot: The bot.
        names: Their names; default: all that it has.

    Raises:
        DataError: There is no arm of a name, or the bot has no voice or no documents for it.
    """
    has = [
        arm for arm in ARMS
        if (bot.has_voice or not arm.adapter) and (bot.knowledge is not None or not arm.knowledge)
    ]  # fmt: skip
    known = [arm.name for arm in ARMS]
    for name in names or ():
        if name not in known:
            raise DataError(f"No arm is called '{name}'.", f"The arms are {', '.join(known)}.")
        if name not in [arm.name for arm in has]:
            lacks = "no documents" if bot.knowledge is None and name != "adapter" else "no voice"
            raise DataError(
                f"The bot in {bot.folder} has {lacks}, so it has no arm '{name}'.",
                f"It has {', '.join(arm.name for arm in has)}.",
            )
    return [arm for arm in has if not names or arm.name in names]


def fullest(bot: Chatbot) -> Arm:
    """Return the arm with all that a bot has: how it is served."""
    return arms_of(bot)[-1]
