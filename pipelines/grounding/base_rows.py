"""Rows of the base's training: made by as many processes as there are processors, tokenised, and put into batches."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.grounding.data import read_pairs
from pipelines.grounding.rewriting import made_rows, people_rows
from pipelines.grounding.rows import GroundingRow, Notes, counts, made_note_rows, note_rows, reply_rows
from pipelines.grounding.talk import talk_rows
from toolkit.prompts import encode_pair

# Token ids of a row and its labels: see toolkit.prompts.encode_pair.
Encoded = tuple[list[int], list[int]]
# Rows of follow-ups and of manners that are made; people's own follow-ups are few and shown more often.
_MADE_FOLLOW_UPS = 9000
_TALK = 5000
_MADE_NOTES = 24000
_PEOPLE_TIMES = 4
_LONGEST = 1024


class Rows:
    """Makes rows: each pass draws other notes, other follow-ups and other manners, in parts for as many processes.

    Args:
        folder: The folder with the public rows.
        squad: ``dev_part.json`` of SQuAD 2.0.
        limit: Pairs to use at most, for a trial.
    """

    def __init__(self, folder: Path, squad: Path, limit: int | None = None) -> None:
        self.folder, self.pairs = folder, read_pairs(folder, squad)
        self.train = [pair for pair in self.pairs if pair.part == "train"]
        self._used = random.Random(0).sample(self.train, limit or len(self.train))
        self._share = len(self._used) / len(self.train)

    def part(self, seed: int, part: int, of: int) -> list[GroundingRow]:
        """Return a part of the rows of one pass."""
        chance = random.Random(f"{seed}/{part}")
        rows = note_rows(self._used[part::of], Notes(self.train, chance), chance)
        rows += made_note_rows(chance, max(4, int(_MADE_NOTES * self._share) // of))
        rows += made_rows(self.train, chance, max(4, int(_MADE_FOLLOW_UPS * self._share) // of))
        rows += talk_rows(chance, max(4, int(_TALK * self._share) // of))
        if part == 0:
            rows += people_rows(self.folder, "train") * _PEOPLE_TIMES + reply_rows(self.folder, "train", chance)
        return rows


_shared: dict[str, Any] = {}  # what the forked processes read: too large to be sent to each


def _encoded(task: tuple[int, int, int]) -> tuple[int, dict[str, int], list[Encoded]]:
    rows = _shared["rows"].part(*task)
    pairs = [encode_pair(_shared["tokenizer"], row.messages, row.reply) for row in rows]
    return task[0], counts(rows), [pair for pair in pairs if len(pair[0]) <= _LONGEST]


def encoded_passes(
    rows: Rows, tokenizer: Any, passes: int, seed: int, rank: int = 0, world: int = 1
) -> list[list[Encoded]]:
    """Make and tokenise the rows of all passes, in as many processes as there are processors.

    Args:
        rows: Makes them.
        tokenizer: The base's.
        passes: How many.
        seed: Of the first pass.
        rank: Which of the trainers this is; each makes its own share of the rows.
        world: How many trainers there are.
    """
    processes = max(1, (os.cpu_count() or 1) // world)
    _shared.update(rows=rows, tokenizer=tokenizer)
    parts = max(1, processes // passes) * world
    tasks = [(seed + number, part, parts) for number in range(passes) for part in range(rank, parts, world)]
    made: dict[int, list[Encoded]] = {seed + number: [] for number in range(passes)}
    total: Counter[str] = Counter()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for number, counted, encoded in pool.imap_unordered(_encoded, tasks):
            made[number] += encoded
            total.update(counted)
    print(f"rows of {passes} passes: {dict(total)}", flush=True)
    return list(made.values())


def batches(encoded: Sequence[Encoded], tokens: int, seed: int) -> Iterator[list[int]]:
    """Yield indices of rows of like length, together at most ``tokens`` with padding, in a drawn order."""
    chance = random.Random(seed)
    order = sorted(range(len(encoded)), key=lambda index: (len(encoded[index][0]) // 16, chance.random()))
    made: list[list[int]] = [[]]
    for index in order:
        if made[-1] and (len(made[-1]) + 1) * len(encoded[index][0]) > tokens:
            made.append([])
        made[-1].append(index)
    chance.shuffle(made)
    yield from made
