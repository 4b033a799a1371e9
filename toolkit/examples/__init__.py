"""Example replies: read from the formats people have, checked line by line, split by conversation."""

from toolkit.examples.replies import Example, read_examples, split_examples

__all__ = ["Example", "read_examples", "split_examples"]
