"""Rows of the reader in tokens, made pass after pass by several processes, in batches of like length."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.grounding.data import Pair, read_pairs, read_rows
from pipelines.grounding.reader_rows import AnswerRows, ReaderRow, handbook_rows, table_rows
from pipelines.grounding.reader_support import ReplyRows, SupportRows, human_rows, read_plausible
from toolkit.reader.encoding import encode_pairs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What the span head is told: the place of the answer, that there is none (position 0), or nothing.
NO_ANSWER, UNKNOWN = 0, -1
# Batches that are drawn from one heap of rows: within it rows are put together by length.
_HEAP_BATCHES = 24


@dataclass(frozen=True)
class TokenRow:
    """A row in tokens.

    Attributes:
        ids: Token ids, of shape (tokens,), uint16.
        passage_at: Where the passage begins in them.
        support: Whether it belongs to the support head.
        label: From 0 to 1.
        weight: How much it counts.
        start: Position of the answer's first token, 0 for no answer, -1 for unknown.
        end: Position of its last token.
    """

    ids: np.ndarray
    passage_at: int
    support: bool
    label: float
    weight: float
    start: int
    end: int


class RowMaker:
    """Makes all rows of a pass, in as many shares as there are processes.

    Args:
        data: Folder with the public rows.
        squad: SQuAD 2.0's file, or None.
        tokenizer_file: ``tokenizer.json``.
        max_tokens: Window in tokens.
        limit: Use only this many pairs, for a try.
    """

    def __init__(self, data: Path, squad: Path | None, tokenizer_file: Path, max_tokens: int, limit: int = 0) -> None:
        from tokenizers import Tokenizer

        pairs = without_test_questions([pair for pair in read_pairs(data, squad) if pair.part == "train"], data)
        if limit:
            pairs = random.Random(0).sample(pairs, min(limit, len(pairs)))
        self.answers = AnswerRows(pairs)
        self.support = SupportRows(self.answers, read_plausible(squad, "train"))
        self._data, self._limit, self._max_tokens = data, limit, max_tokens
        self._human = human_rows(data, "train")
        self._replies = ReplyRows(data, "train")
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def rows(self, seed: int, turn: int, share: int, shares: int) -> list[ReaderRow]:
        """Return one share of the rows of pass ``turn``; the same arguments give the same rows."""
        chance = random.Random(f"{seed}|{turn}|{share}")
        made: list[ReaderRow] = []
        for index in range(share, len(self.answers.pairs), shares):
            made.extend(self.answers.make(index, chance))
            made.extend(self.support.make(index, chance))
        made.extend(handbook_rows(chance, (min(self._limit, 10000) if self._limit else 10000) // shares + 1))
        made.extend(table_rows(chance, (min(self._limit, 4000) if self._limit else 4000) // shares + 1))
        # Twice a pass: they are few, and the only ones that people wrote and judged.
        human = self._human[: self._limit] if self._limit else self._human
        made.extend(human[share::shares])
        made.extend(human[shares - 1 - share :: shares])
        count = min(self._limit or len(self._replies), len(self._replies))
        for index in range(share, count, shares):
            made.extend(self._replies.make(index, chance))
        return made

    def tokens(self, seed: int, turn: int, share: int, shares: int) -> list[TokenRow]:
        """Return :meth:`rows` in tokens."""
        return in_tokens(self._tokenizer, self.rows(seed, turn, share, shares), self._max_tokens)

    def counts(self, seed: int = 0) -> Counter[str]:
        """Count the rows of one pass by how they were made."""
        return Counter(row.kind for row in self.rows(seed, 0, 0, 1))


def without_test_questions(pairs: Sequence[Pair], data: Path) -> list[Pair]:
    """Leave out pairs whose question or passage is in ClapNQ too: both draw on Natural Questions."""
    kept_for_testing: set[str] = set()
    for row in read_rows(data / "clapnq_dev.jsonl.gz"):
        kept_for_testing |= {_bare(row["question"]), _bare(row["passage"])[:200]}
    return [
        pair
        for pair in pairs
        if _bare(pair.question) not in kept_for_testing and _bare(pair.passage)[:200] not in kept_for_testing
    ]


def in_tokens(tokenizer: Tokenizer, rows: Sequence[ReaderRow], max_tokens: int) -> list[TokenRow]:
    """Encode rows. An answer that was cut off makes a row without an answer."""
    encoded = encode_pairs(tokenizer, [row.first for row in rows], [row.second for row in rows], max_tokens)
    made = []
    for row, pair in zip(rows, encoded, strict=True):
        start = end = NO_ANSWER if row.spanless else UNKNOWN
        label = row.label
        if row.span is not None:
            inside = np.flatnonzero((pair.offsets[:, 1] > row.span[0]) & (pair.offsets[:, 0] < row.span[1]))
            if len(inside) and pair.offsets[-1, 1] >= row.span[1]:
                start, end = int(inside[0]) + pair.passage_at, int(inside[-1]) + pair.passage_at
            else:
                start, end, label = NO_ANSWER, NO_ANSWER, 0.0
        ids = np.array(pair.ids, dtype=np.uint16)
        made.append(TokenRow(ids, pair.passage_at, row.task == "support", label, row.weight, start, end))
    return made


def batches(rows: Sequence[TokenRow], tokens: int, chance: random.Random) -> Iterator[list[TokenRow]]:
    """Yield rows of like length together, in random order.

    Args:
        rows: Rows in any order.
        tokens: Tokens of a batch, padding included.
        chance: Where the randomness comes from.
    """
    order = sorted(rows, key=lambda row: len(row.ids) + chance.random() * 8)
    made, batch = [], []  # type: list[list[TokenRow]], list[TokenRow]
    for row in order:
        if batch and (len(batch) + 1) * len(row.ids) > tokens:
            made.append(batch)
            batch = []
        batch.append(row)
    if batch:
        made.append(batch)
    chance.shuffle(made)
    yield from made


def padded(rows: Sequence[TokenRow], step: int = 8) -> dict[str, np.ndarray]:
    """Put rows into arrays of shape (rows, width) for ids, types and mask, and (rows,) for the rest.

    Args:
        rows: The rows of a batch.
        step: The width is a multiple of it.
    """
    width = -(-max(len(row.ids) for row in rows) // step) * step
    ids = np.zeros((len(rows), width), dtype=np.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = row.ids
    places = np.arange(width)
    lengths = np.array([len(row.ids) for row in rows])[:, None]
    begins = np.array([row.passage_at for row in rows])[:, None]
    return {
        "ids": ids,
        "types": ((places >= begins) & (places < lengths)).astype(np.int64),
        "mask": (places < lengths).astype(np.int64),
        # The passage without its closing token, and position 0, which stands for "no answer here".
        "answerable_at": ((places >= begins) & (places < lengths - 1)) | (places == 0),
        "support": np.array([row.support for row in rows]),
        "label": np.array([row.label for row in rows], dtype=np.float32),
        "weight": np.array([row.weight for row in rows], dtype=np.float32),
        "start": np.array([row.start for row in rows]),
        "end": np.array([row.end for row in rows]),
    }


class Stream:
    """Batches without end, made by processes of their own while the accelerator computes.

    Args:
        maker: Makes the rows.
        processes: How many processes; 0 for none.
        seed: The seed of everything drawn.
        tokens: Tokens of a batch.
        shares: Into how many parts a pass is cut.
    """

    def __init__(self, maker: RowMaker, processes: int, seed: int, tokens: int, shares: int = 32) -> None:
        self._maker, self._seed, self._tokens, self._shares = maker, seed, tokens, shares
        self._processes = processes
        self.rows = 0
        self.passes = 0.0
        self._pool: Any = None
        if processes:
            # Forked, so that the rows are not read again by every process; before anything runs on the accelerator.
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
            self._pool = multiprocessing.get_context("fork").Pool(processes, _keep, (maker,))
            os.environ["TOKENIZERS_PARALLELISM"] = "true"

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield padded batches for ever."""
        chance = random.Random(self._seed)
        heap: list[TokenRow] = []
        size = self._tokens * _HEAP_BATCHES
        held = 0
        for rows in self._made():
            heap.extend(rows)
            held += sum(len(row.ids) for row in rows)
            self.passes += 1 / self._shares
            if held >= size:
                for batch in batches(heap, self._tokens, chance):
                    self.rows += len(batch)
                    yield padded(batch)
                heap, held = [], 0
        raise AssertionError("the passes have no end")

    def _made(self) -> Iterator[list[TokenRow]]:
        """Yield share after share, with a few made in advance."""
        tasks = ((self._seed, turn, share, self._shares) for turn in range(10**6) for share in range(self._shares))
        if self._pool is None:
            for task in tasks:
                yield self._maker.tokens(*task)
            return
        waiting: deque[Any] = deque(self._pool.apply_async(_make, next(tasks)) for _ in range(2 * self._processes))
        while True:
            rows = waiting.popleft().get()
            waiting.append(self._pool.apply_async(_make, next(tasks)))
            yield rows

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()


_MAKER: list[RowMaker] = []


def _keep(maker: RowMaker) -> None:
    """Remember the maker in a process of the pool."""
    _MAKER[:] = [maker]


def _make(seed: int, turn: int, share: int, shares: int) -> list[TokenRow]:
    """Make one share in a process of the pool."""
    return _MAKER[0].tokens(seed, turn, share, shares)


def _bare(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())
