"""Earlier exchanges, in whatever form they are handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import DataError
from toolkit.prompts import Turn

History = Sequence["Turn | tuple[str, str] | Mapping[str, Any]"]


def as_turns(history: History) -> list[Turn]:
    """Turn any form of history into exchanges; a question without a reply is left out.

    Raises:
        DataError: An entry has no known form.
    """
    turns: list[Turn] = []
    asked: str | None = None
    for entry in history:
        if isinstance(entry, Turn):
            turns.append(entry)
        elif isinstance(entry, Mapping) and isinstance(entry.get("content"), str) and "role" in entry:
            if entry["role"] == "user":
                asked = entry["content"]
            elif entry["role"] == "assistant" and asked is not None:
                turns.append(Turn(asked, entry["content"]))
                asked = None
        elif isinstance(entry, tuple | list) and len(entry) == 2:
            turns.append(Turn(str(entry[0]), str(entry[1])))
        else:
            raise DataError(
                f"A history entry has no known form: {entry!r:.80}", "Give pairs of question and reply, or messages."
            )
    return turns
