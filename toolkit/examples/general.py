"""General chat, to be mixed into a tune against forgetting: everyday help, small sums, rewriting, lists, small talk."""

from __future__ import annotations

from pathlib import Path

from toolkit.examples.replies import Example, read_examples

# Of our own writing, in plain words and in nobody's voice.
FILE = Path(__file__).parent / "general.jsonl"


def general_examples() -> list[Example]:
    """Return exchanges of general chat, each with what a plain assistant replies.

    A voice that is tuned on replies over notes alone forgets what else the base could do. Such rows are shown as they
    are, without notes; a few of them are enough to be reminded of it.

    Example:
        >>> general_examples()[0].reply
        'Seventeen plus twenty-five is forty-two.'
    """
    return read_examples(FILE)
