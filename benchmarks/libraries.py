"""Measures what a kept library would do in the place of a part of ours.

    python benchmarks/libraries.py sentences DOCUMENTS...   sentence ends: sentencex
    python benchmarks/libraries.py variety SET...           maximal marginal relevance: langchain-core
    python benchmarks/libraries.py words SET... [--chunks]  BM25: SQLite's FTS5

A set is a folder as ``benchmarks/retrieval.py`` reads it. What came out is in docs/measurements.md.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.retrieval import TestSet, documents_of, find_sets, first_of_each, grown_documents, ndcg, read_set
from toolkit.documents import find_files, parse_files
from toolkit.embedding import load_embedder
from toolkit.language import sentences
from toolkit.store import Knowledge, ranking
from toolkit.store.lexical import LexicalIndex
from toolkit.store.manifest import Manifest
from toolkit.store.vocabulary import Vocabulary

Order = Callable[[str], Sequence[Any]]


def measure_sentences(folders: Sequence[Path]) -> None:
    """Print whether sentencex's offsets are exact, what it cuts that is one piece, and where the two differ."""
    from sentencex import get_sentence_boundaries

    texts = [document.page_content for file in parse_files(find_files(folders)) for document in file.documents]
    wrong = cut = whole = glued = items = both = library = ours = 0
    for text in texts:
        spans = get_sentence_boundaries("en", text)
        edges = [0, *(span["end_index"] for span in spans)]
        wrong += sum(
            (span["start_index"], span["text"]) != (edge, text[edge : span["end_index"]])
            for span, edge in zip(spans, edges, strict=False)
        )
        wrong += edges[-1] != len(text)
        starts = {edge + len(text[edge:]) - len(text[edge:].lstrip()) for edge in edges}
        for start, end, rank, kept_whole in sentences._blocks(text):
            piece = text[start:end].strip()
            first = text.index(piece, start)
            if kept_whole:
                whole += 1
                cut += any(first < edge < first + len(piece) for edge in starts)
                continue
            if rank == 2:
                items += 1
                glued += first not in starts
            # Within a paragraph or an item, the mark of the item left out.
            mark = sentences._ITEM.match(piece)
            body = piece[mark.end() - 1 :] if mark else piece
            offset = first + len(piece) - len(body)
            theirs = {
                offset + len(body[: span["end_index"]].rstrip())
                for span in get_sentence_boundaries("en", body)
                if span["text"].strip()
            }
            own = {end for _, end in sentences._sentences(text, start, end)}
            both, library, ours = both + len(theirs & own), library + len(theirs - own), ours + len(own - theirs)
    print(f"{len(texts)} texts, {sum(map(len, texts))} characters: {wrong} offsets are not exact")
    print(f"rows and code blocks cut: {cut} of {whole}; items and lines glued to what is before: {glued} of {items}")
    print(f"ends within paragraphs and items: {both} found by both, {library} by sentencex alone, {ours} by ours alone")


def measure_variety(data: TestSet, embedder: Any) -> None:
    """Print nDCG@10 and the likeness of the first ten passages to each other, by ours and by langchain-core's."""
    from langchain_core.vectorstores.utils import maximal_marginal_relevance

    own = ranking.diversify
    asked = {query: np.asarray(embedder.embed_query(query), np.float32) for query in data.queries.values()}
    with tempfile.TemporaryDirectory() as folder, Knowledge.create(folder, embedder) as knowledge:
        knowledge.add_documents(documents_of(data))
        for name in ("housevoice", "langchain"):
            for balance in (0.5, 0.7, 0.9, 1.0):
                scores, alike, seconds = [], [], []
                for number, query in data.queries.items():

                    def choose(fits: Any, vectors: Any, limit: int, balance: float, query: str = query) -> list[int]:
                        started = time.perf_counter()
                        chosen = (
                            own(fits, vectors, limit, balance)
                            if name == "housevoice"  # noqa: B023 - called before the loop goes on
                            else maximal_marginal_relevance(asked[query], list(vectors), balance, limit)
                        )
                        seconds.append(time.perf_counter() - started)  # noqa: B023
                        return chosen

                    with mock.patch.object(ranking, "diversify", choose):
                        hits = knowledge.search(query, k=10, mmr=balance)
                    scores.append(ndcg(first_of_each([hit.source for hit in hits]), data.judged[number]))
                    vectors = embedder.encode([hit.text for hit in hits])
                    alike.append((float((vectors @ vectors.T).sum()) - len(hits)) / (len(hits) * (len(hits) - 1)))
                print(
                    f"{data.name:10} {name:10} balance {balance:.1f}: nDCG@10 {np.mean(scores):.3f}, likeness "
                    f"{np.mean(alike):.3f}, {1e3 * np.median(seconds):.2f} ms",
                    flush=True,
                )


def word_orders(texts: Sequence[str], root: Path, embedder: Any) -> Iterator[tuple[str, Order]]:
    """Index texts by their stems both ways, and yield what returns the 100 best of them for a question."""
    from langchain_core.documents import Document

    with Knowledge.create(root / "knowledge", embedder) as knowledge:
        rows = [Document(page_content=text, metadata={"source": str(n)}) for n, text in enumerate(texts)]
        knowledge.add_documents(rows)
    manifest = Manifest(root / "knowledge")
    vocabulary = Vocabulary(manifest)
    started = time.perf_counter()
    index = LexicalIndex(root / "elsewhere", manifest, vocabulary)
    print(f"bm25s indexes in {time.perf_counter() - started:.1f} s")
    sources = dict(manifest._all("SELECT number, source FROM chunk"))

    def ours(query: str) -> list[int]:
        numbers, scores = index.scores(query)
        best = np.argpartition(-scores, min(100, len(scores) - 1))[:100]
        return [int(sources[numbers[row]]) for row in best[np.argsort(-scores[best])] if scores[row] > 0]

    db = sqlite3.connect(root / "words.sqlite3")
    db.execute(f"PRAGMA mmap_size={1 << 32}")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(stems, content='', tokenize='unicode61 remove_diacritics 0')")
    stems = [" ".join(vocabulary.stems(text)) for text in texts]
    started = time.perf_counter()
    with db:
        db.executemany("INSERT INTO words (rowid, stems) VALUES (?, ?)", enumerate(stems))
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    print(f"FTS5 indexes in {time.perf_counter() - started:.1f} s")

    def fts5(query: str) -> list[int]:
        asked = " OR ".join(f'"{stem}"' for stem in vocabulary.stems(query))
        found = db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 100", (asked,))
        return [row[0] for row in found]

    yield "housevoice", ours
    yield "FTS5", fts5
    manifest.close()
    db.close()


def measure_words(data: TestSet, chunks: int | None) -> None:
    """Print nDCG@10 of the words alone, or with ``chunks`` the time of a question at that size."""
    from toolkit.testing import HashEmbedder

    # The vectors are not looked at: short ones, and every text one chunk.
    embedder = HashEmbedder(8, max_tokens=1 << 20)
    names, texts = list(data.corpus), list(data.corpus.values())
    if chunks:
        texts = [document.page_content for document in grown_documents(data, chunks)]
    with tempfile.TemporaryDirectory() as root:
        for name, order in word_orders(texts, Path(root), embedder):
            seconds, scores = [], []
            for number, query in data.queries.items():
                started = time.perf_counter()
                found = order(query)
                seconds.append(time.perf_counter() - started)
                if not chunks:
                    scores.append(ndcg(first_of_each([names[row] for row in found]), data.judged[number]))
            p50, p95 = (1e3 * np.percentile(seconds, share) for share in (50, 95))
            quality = f"nDCG@10 {np.mean(scores):.3f}, " if scores else ""
            print(f"{data.name:10} {name:10}: {quality}p50 {p50:.1f} ms, p95 {p95:.1f} ms", flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["sentences", "variety", "words"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--chunks", type=int, help="for words: measure the speed at this size instead")
    options = parser.parse_args()
    if options.part == "sentences":
        measure_sentences(options.folders)
        return
    for folder in find_sets(options.folders):
        if options.part == "variety":
            measure_variety(read_set(folder), load_embedder("bundled"))
        else:
            measure_words(read_set(folder), options.chunks)


if __name__ == "__main__":
    main()
