"""Examples split into those to train on and those to measure on, so that nothing of the one is in the other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from toolkit.examples.replies import Example


def split_examples(examples: Sequence[Example], held_out: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into rows to train on and rows to measure on, by conversation and by source.

    Conversations that begin with the same question (same words but for case and punctuation) stay together, so that no
    question is on both sides, and so do those whose rows name the same ``source``. Sources that are few are coarse:
    where an average one holds more than the share to hold out, or one side would stay empty, they are not looked at.
    The choice depends on the text and the seed only: adding rows moves no others but those that they tie together.

    Args:
        examples: Example replies.
        held_out: Share to measure on, 0 to 1; the share that comes out differs where the groups are large.
        seed: Another seed is another choice.

    Returns:
        Training examples and held-out examples, in the order of the file.
    """
    sources = {example.source for example in examples if example.source}
    if len(sources) * held_out >= 1:
        train, held = _split(examples, _groups(examples, by_source=True), held_out, seed)
        if train and held:
            return train, held
    return _split(examples, _groups(examples, by_source=False), held_out, seed)


def _split(
    examples: Sequence[Example], groups: dict[int, str], held_out: float, seed: int
) -> tuple[list[Example], list[Example]]:
    train: list[Example] = []
    held: list[Example] = []
    for example in examples:
        key = f"{seed}:{groups[example.conversation]}"
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
        (held if number < held_out else train).append(example)
    return train, held


def _groups(examples: Sequence[Example], *, by_source: bool) -> dict[int, str]:
    """Return the name of the group that each conversation is in: what ties it together first in the file."""
    parent: dict[str, str] = {}

    def root(tie: str) -> str:
        while parent.setdefault(tie, tie) != tie:
            tie = parent[tie]
        return tie

    first: dict[int, str] = {}
    for example in examples:
        asked = first.setdefault(example.conversation, asked_words(example.question))
        if by_source and example.source:
            # The source gives the group its name, for it gathers rows that have nothing else in common.
            source = root(f"source: {example.source}")  # no question has a colon left
            parent[root(asked)] = source
    return {conversation: root(asked) for conversation, asked in first.items()}


def asked_words(question: str) -> str:
    """Return a question without what two people may write differently: case, and the marks between words."""
    return re.sub(r"\W+", " ", question.lower()).strip()
