"""Example replies: read from the formats people have, checked row by row, split by conversation and source."""

from toolkit.examples.checks import Finding, PlainRow, check_examples, enough_held_out, marked
from toolkit.examples.general import general_examples
from toolkit.examples.preferences import Preference, read_preferences
from toolkit.examples.replies import Example, read_examples
from toolkit.examples.splits import split_examples

__all__ = [
    "Example",
    "Finding",
    "PlainRow",
    "Preference",
    "check_examples",
    "enough_held_out",
    "general_examples",
    "marked",
    "read_examples",
    "read_preferences",
    "split_examples",
]
