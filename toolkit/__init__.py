"""The parts that housevoice is put together from.

Example:
    >>> from toolkit import Chatbot
    >>> bot = Chatbot.load("bots/mybot")
    >>> answer = bot.ask("How long does the Ember lamp burn?")
    >>> bot.search("kite")[0].source
    'kite.md'
    >>> bot.close()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.answering import Answer
    from toolkit.bot import Chatbot
    from toolkit.store import Knowledge, Passage

__all__ = ["Answer", "Chatbot", "Knowledge", "Passage"]

_HOMES = {
    "Answer": "toolkit.answering",
    "Chatbot": "toolkit.bot",
    "Knowledge": "toolkit.store",
    "Passage": "toolkit.store",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``housevoice --help`` stays quick."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
