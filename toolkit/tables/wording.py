"""What questions over tables sound like in a language, and what is said in reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """How one kind of quantity is asked for.

    Attributes:
        least: What the smallest is called.
        most: What the largest is called.
        leastly: What the smallest does.
        mostly: What the largest does.
        less: How the smaller of two is called.
        more: How the larger of two is called.
        does: Verbs that go with an amount.
        noun: What the quantity is called.
        ask: What asks for an amount.
        amount: A few amounts.
    """

    least: tuple[str, ...]
    most: tuple[str, ...]
    leastly: tuple[str, ...]
    mostly: tuple[str, ...]
    less: tuple[str, ...]
    more: tuple[str, ...]
    does: tuple[str, ...]
    noun: tuple[str, ...]
    ask: tuple[str, ...]
    amount: tuple[str, ...]


@dataclass(frozen=True)
class Wording:
    """Questions over tables in one language, and the sentences that say what was computed.

    Attributes:
        aspects: How each kind of quantity is asked for.
        patterns: Questions by operation, with the names of an aspect's words in braces; behind ``aspect|`` where
            they go with one aspect alone.
        compared: What is said of an amount, ``{n}``, by how values are compared with it.
        row: What stands for one row.
        rows: What stands for several.
        total: A sum, with ``{parts}`` and ``{value}``.
        mean: A mean, with ``{value}``, ``{count}`` and ``{parts}``.
        difference: A difference, with ``{a}``, ``{first}``, ``{b}``, ``{second}`` and ``{value}``.
        count: A number of rows, with ``{value}`` and ``{parts}``.
        of: Facts of one row, with ``{name}`` and ``{facts}``.
    """

    aspects: dict[str, Aspect]
    patterns: dict[str, tuple[str, ...]]
    compared: dict[str, tuple[str, ...]]
    row: tuple[str, ...]
    rows: tuple[str, ...]
    total: str
    mean: str
    difference: str
    count: str
    of: str
