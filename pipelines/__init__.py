"""The jobs that housevoice does: each a plain function with a typed result, to be called from anywhere.

Example:
    >>> from pipelines import build_chatbot
    >>> bot = build_chatbot("mybot/bot.yaml")
    >>> bot.has_voice
    True
    >>> bot.close()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.build import build_chatbot
    from pipelines.exporting import export_bot

# No other job is offered here: `pipelines.build` and its like are the modules that hold them.
__all__ = ["build_chatbot", "export_bot"]

_HOMES = {"build_chatbot": "pipelines.build", "export_bot": "pipelines.exporting"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``housevoice --help`` stays quick."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
