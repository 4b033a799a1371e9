"""The knowledge folder: what goes in comes back, what goes out is gone, and nothing is embedded twice."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from tests.conftest import use_embedder
from toolkit.errors import DataError, IndexMismatch, ModelError, StoreLocked
from toolkit.store import Knowledge, SourceUpdate
from toolkit.store.locking import refuse_if_locked
from toolkit.testing import HashEmbedder

TEXTS = {
    "pump.md": ["The pump needs oil every month.", "Open the valve before the pump starts."],
    "roof.md": ["The roof is red and steep.", "Snow slides off the roof in winter."],
}


def chunk(source: str, text: str, start: int = 0, **more: object) -> Document:
    span = {"start": start, "end": start + len(text), "id": f"{source}:{start}-{start + len(text)}"}
    return Document(
        page_content=text, metadata={"source": source, "sha256": "0", "heading": "", **span, **more}
    )


def chunks(source: str, texts: list[str]) -> list[Document]:
    return [chunk(source, text, index * 100) for index, text in enumerate(texts)]


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def knowledge(tmp_path: Path, embedder: HashEmbedder) -> Iterator[Knowledge]:
    with Knowledge.create(tmp_path / "knowledge", embedder) as made:
        for source, texts in TEXTS.items():
            made.replace_source(source, f"sha of {source}", chunks(source, texts), "1")
        yield made


def collection_ids(folder: Path) -> list[str]:
    """Read the collection as anybody would with LangChain."""
    from chromadb import PersistentClient
    from langchain_chroma import Chroma

    client = PersistentClient(str(folder))
    try:
        return sorted(Chroma(client=client, embedding_function=HashEmbedder()).get(include=[])["ids"])
    finally:
        client.close()


def manifest_ids(knowledge: Knowledge) -> list[str]:
    return sorted(item for record in knowledge.sources().values() for item in record.chunk_ids)


def test_hit_carries_its_metadata(knowledge: Knowledge) -> None:
    knowledge.add_documents(
        [Document(page_content="Cats purr.", metadata={"source": "cat.pdf", "page": 3, "tags": ["a"]})]
    )
    hit = knowledge.search("cats purr", k=1)[0]
    assert (hit.text, hit.source, hit.page) == ("Cats purr.", "cat.pdf", 3)
    assert hit.metadata["tags"] == ["a"]
    assert hit.metadata["dense"] == pytest.approx(1.0, abs=0.05)
    assert hit.metadata["bm25"] > 0
    assert set(hit.to_dict()) == {"id", "source", "page", "heading", "text", "score"}


def test_sources_tell_hash_parser_and_chunks(knowledge: Knowledge) -> None:
    record = knowledge.sources()["pump.md"]
    assert (record.sha256, record.parser_version, len(record.chunk_ids)) == ("sha of pump.md", "1", 2)
    assert list(knowledge.texts())[0] == ("pump.md", "", TEXTS["pump.md"][0])


def test_edited_file_embeds_its_changed_chunks_only(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    embedder.embedded.clear()
    edited = [TEXTS["pump.md"][0], "The pump is blue now."]
    moved = [chunk("pump.md", text, 500 + index * 100) for index, text in enumerate(edited)]
    knowledge.replace_source("pump.md", "new", moved, "1")
    assert len(embedder.embedded) == 1
    assert "blue" in embedder.embedded[0]
    assert not [hit for hit in knowledge.search("valve", k=10) if "valve" in hit.text]
    assert knowledge.count() == 4
    assert collection_ids(knowledge.folder) == manifest_ids(knowledge)


def test_removed_source_leaves_nothing(knowledge: Knowledge) -> None:
    folder = knowledge.folder
    knowledge.remove("pump.md")
    assert knowledge.count() == 2
    assert all(hit.source == "roof.md" for hit in knowledge.search("pump oil valve", k=10))
    assert collection_ids(folder) == manifest_ids(knowledge)
    knowledge.close()
    assert b"valve" not in (folder / "manifest.sqlite3").read_bytes()


def test_same_content_in_two_files_is_kept_twice_and_embedded_once(
    tmp_path: Path, embedder: HashEmbedder
) -> None:
    text = "One text in two files."
    with Knowledge.create(tmp_path, embedder) as knowledge:
        for source in ("a.md", "b.md"):
            knowledge.replace_source(
                source, "same", [Document(page_content=text, metadata={"id": "same:0-22"})], "1"
            )
        assert len(embedder.embedded) == 1
        assert knowledge.count() == 2
        assert len(knowledge.search("text in files", k=10)) == 1, "near-duplicates are shown once"
        knowledge.remove("a.md")
        assert [hit.source for hit in knowledge.search("text in files", k=10)] == ["b.md"]


def test_adding_again_changes_nothing(knowledge: Knowledge) -> None:
    document = Document(page_content="Bees hum.", metadata={"source": "bee.md"})
    assert knowledge.add_documents([document]) == knowledge.add_documents([document])
    assert knowledge.count() == 5


def test_long_document_is_chunked_to_the_window(tmp_path: Path) -> None:
    embedder = HashEmbedder(max_tokens=40)
    text = " ".join(f"Sentence {index} speaks of thing{index}." for index in range(60))
    with Knowledge.create(tmp_path, embedder) as knowledge:
        ids = knowledge.add_documents([Document(page_content=text, metadata={"source": "long.md"})])
        assert len(ids) == len(set(ids)) > 5
        assert max(embedder.count_tokens(embedder.embedded)) <= 40
        hit = knowledge.search("thing37", k=1)[0]
        assert text[hit.metadata["start"] : hit.metadata["end"]] == hit.text
        assert "thing37" in hit.text


def test_many_sources_are_embedded_together(tmp_path: Path, embedder: HashEmbedder) -> None:
    updates = [
        SourceUpdate(f"{i}.md", str(i), chunks(f"{i}.md", [f"text {i} a", f"text {i} b"]), "1")
        for i in range(9)
    ]
    with Knowledge.create(tmp_path, embedder) as knowledge:
        assert list(knowledge.replace_sources(updates)) == [f"{i}.md" for i in range(9)]
        assert knowledge.count() == 18


def test_opened_again_it_finds_the_same(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    before = knowledge.search("pump oil", k=3)
    knowledge.close()
    embedder.embedded.clear()
    with Knowledge.open(knowledge.folder, embedder) as again:
        assert again.search("pump oil", k=3) == before
        assert again.notes == []
    assert embedder.embedded == []  # the passages are kept in the folder, and the question by the embedder


def test_other_embedder_is_refused_with_the_remedy(knowledge: Knowledge) -> None:
    with pytest.raises(IndexMismatch, match="name 'hash', not 'other'") as caught:
        Knowledge.open(knowledge.folder, HashEmbedder(name="other"))
    assert "'hash'" in caught.value.hint
    assert str(knowledge.folder) in caught.value.hint


class Words(Embeddings):
    """A LangChain embedder of another maker: what the hash embedder gives, in lists, and twice as long."""

    def __init__(self, name: str = "hash") -> None:
        self.model = "words"
        self.inner = HashEmbedder(name=name)
        self.sign = 2.0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return (self.sign * self.inner.encode(texts)).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_any_langchain_embeddings_will_do(tmp_path: Path) -> None:
    documents = [
        Document(page_content=text, metadata={"source": source, "tag": source[0]})
        for source, texts in TEXTS.items()
        for text in texts
    ]
    with Knowledge.create(tmp_path, embedding=Words()) as knowledge:
        knowledge.add_documents(documents)
        hit = knowledge.search("snow in winter", 1)[0]
        assert (hit.text, hit.metadata["tag"]) == (TEXTS["roof.md"][1], "r")
        knowledge.remove("roof.md")
    with Knowledge.open(tmp_path, Words()) as again:
        assert again.as_retriever(k=3, filter={"tag": "p"}).invoke("oil")[0].metadata["source"] == "pump.md"
        assert again.count() == 2
    with pytest.raises(DataError, match="cannot be loaded by its name") as caught:
        Knowledge.open(tmp_path)
    assert "embedding=" in caught.value.hint


class Asymmetric(HashEmbedder):
    """Embeds questions unlike documents: the same words the other way round."""

    def _encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return -self.encode(texts)


def test_a_search_embeds_its_question_as_a_question(tmp_path: Path) -> None:
    with Knowledge.create(tmp_path, Asymmetric()) as knowledge:
        knowledge.add_documents([Document(page_content="The pump needs oil.", metadata={"source": "a"})])
        assert knowledge.search("The pump needs oil.", 1)[0].metadata["dense"] < -0.9


def test_a_knowledge_is_made_with_an_embedder_by_its_name(
    tmp_path: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        Knowledge.create(tmp_path / "other", embedding=str(tmp_path / "nothing"))
    use_embedder(monkeypatch, embedder)
    with Knowledge.create(tmp_path, embedding="bundled") as knowledge:
        assert knowledge.embedder is embedder
        knowledge.add_documents([Document(page_content="The pump needs oil.", metadata={"source": "a"})])
    with Knowledge.open(tmp_path, "bundled") as again:
        assert again.search("oil", 1)


def test_embeddings_of_the_same_name_that_give_other_vectors_are_refused(tmp_path: Path) -> None:
    with Knowledge.create(tmp_path, Words()) as knowledge:
        knowledge.add_documents([Document(page_content="The pump needs oil.", metadata={"source": "a"})])
    changed = Words()
    changed.sign = -2.0
    with pytest.raises(IndexMismatch, match="other vectors for the same text"):
        Knowledge.open(tmp_path, changed)


def test_swapped_chunk_is_noticed_though_the_number_is_right(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    from langchain_chroma import Chroma

    knowledge.replace_source("more.md", "1", chunks("more.md", [f"text number {n}" for n in range(20)]), "1")
    wanted = manifest_ids(knowledge)
    knowledge.close()
    store = Chroma(persist_directory=str(knowledge.folder), embedding_function=embedder)
    store.delete(ids=[wanted[7]])
    store.add_texts(["a stranger"], ids=["x"])
    store._client.close()
    with Knowledge.open(knowledge.folder, embedder) as mended:
        assert mended.notes == ["Drift repaired: 1 passages written, 1 deleted."]
        assert collection_ids(mended.folder) == wanted


def test_locked_folder_says_so_before_a_model_is_loaded(knowledge: Knowledge) -> None:
    refuse_if_locked(knowledge.folder)
    with knowledge.writing(), pytest.raises(StoreLocked, match="is locked"):
        refuse_if_locked(knowledge.folder)
    refuse_if_locked(knowledge.folder / "nowhere")


def test_folder_without_knowledge_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no knowledge"):
        Knowledge.open(tmp_path, HashEmbedder())


def test_langchain_chroma_opens_the_folder(knowledge: Knowledge) -> None:
    from langchain_chroma import Chroma

    store = Chroma(persist_directory=str(knowledge.folder), embedding_function=knowledge.embedder)
    try:
        assert store.similarity_search("pump oil", k=1)[0].page_content == TEXTS["pump.md"][0]
    finally:
        store._client.close()


def test_second_writer_leaves_in_time(knowledge: Knowledge) -> None:
    code = (
        "import sys, time; from toolkit.store import Knowledge; from toolkit.errors import StoreLocked\n"
        "from toolkit.testing import HashEmbedder\n"
        "other = Knowledge.open(sys.argv[1], HashEmbedder()); began = time.perf_counter()\n"
        "assert other.search('pump', k=1)\n"
        "try: other.remove('pump.md')\n"
        "except StoreLocked: print(time.perf_counter() - began)\n"
    )
    root = Path(__file__).resolve().parents[3]
    with knowledge.writing():
        run = subprocess.run(
            [sys.executable, "-c", code, str(knowledge.folder)],
            capture_output=True,
            text=True,
            cwd=root,
            check=True,
        )
    assert float(run.stdout) < 2.0
    assert knowledge.count() == 4


def test_search_in_a_thread_does_not_wait_for_a_writer(knowledge: Knowledge) -> None:
    found: list[str] = []
    with knowledge.writing():
        thread = threading.Thread(
            target=lambda: found.extend(h.text for h in knowledge.search("pump oil", k=1))
        )
        thread.start()
        thread.join(5)
    assert found == [TEXTS["pump.md"][0]]


def test_changes_of_another_process_are_taken_up(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    with Knowledge.open(knowledge.folder, embedder) as reader:
        assert not [hit for hit in reader.search("walrus", k=10) if "walrus" in hit.text]
        knowledge.add_documents([Document(page_content="A walrus swims.", metadata={"source": "w.md"})])
        assert reader.search("walrus", k=1)[0].text == "A walrus swims."


@pytest.mark.parametrize("damage", ["chroma.sqlite3", "header", "gone"])
def test_damaged_collection_is_made_again_without_embedding(
    knowledge: Knowledge, embedder: HashEmbedder, damage: str
) -> None:
    knowledge.close()
    file = knowledge.folder / "chroma.sqlite3"
    if damage == "gone":
        file.unlink()
    else:
        keep = b"" if damage == "header" else file.read_bytes()[:4096]
        file.write_bytes(keep + b"\xff" * 20000)
    embedder.embedded.clear()
    with Knowledge.open(knowledge.folder, embedder) as mended:
        assert any("made again" in note or "repaired" in note for note in mended.notes)
        assert mended.search("pump oil", k=1)[0].text == TEXTS["pump.md"][0]
        assert collection_ids(mended.folder) == manifest_ids(mended)
    assert embedder.embedded == ["pump oil"]


def test_drift_is_repaired_and_said(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    from langchain_chroma import Chroma

    wanted = manifest_ids(knowledge)
    knowledge.close()
    store = Chroma(persist_directory=str(knowledge.folder), embedding_function=embedder)
    store.delete(ids=[wanted[0]])
    store.add_texts(["a stranger", "another"], ids=["x", "y"])
    store._client.close()
    with Knowledge.open(knowledge.folder, embedder) as mended:
        assert mended.notes == ["Drift repaired: 1 passages written, 2 deleted."]
        assert collection_ids(mended.folder) == wanted


def test_writer_mends_what_another_left_that_was_killed(knowledge: Knowledge) -> None:
    from toolkit.store.manifest import Manifest

    other = Manifest(knowledge.folder)
    other.set_setting("dirty", "1")
    other.close()
    knowledge.remove("roof.md")
    assert any("made again" in note for note in knowledge.notes)
    assert collection_ids(knowledge.folder) == manifest_ids(knowledge)


@pytest.mark.parametrize("torn", [True, False])
@pytest.mark.parametrize("name", ["data.npy", "indices.npy", "indptr.npy", "numbers.npy", "checksums.json"])
def test_damaged_word_index_is_built_again(
    tmp_path: Path, embedder: HashEmbedder, name: str, torn: bool
) -> None:
    with Knowledge.create(tmp_path, embedder) as knowledge:
        knowledge.replace_source(
            "n.md", "1", chunks("n.md", [f"number{index} is here" for index in range(30)]), "1"
        )
        assert knowledge.search("number17", k=1)[0].text == "number17 is here"
    for file in tmp_path.glob(f"bm25-*/{name}"):
        content = file.read_bytes()
        file.write_bytes(b"torn" if torn else content[:-8] + bytes(8 * [254]))
    with Knowledge.open(tmp_path, embedder) as knowledge:
        assert knowledge.search("number17", k=1)[0].text == "number17 is here"


def test_failed_write_leaves_the_source_as_it_was(knowledge: Knowledge, embedder: HashEmbedder) -> None:
    before = knowledge.sources()
    bad = [chunk("pump.md", "good", 0), Document(page_content="no id", metadata={"id": "x", "n": 1})]
    object.__setattr__(embedder, "encode", lambda texts: np.zeros((0, 64), np.float32))
    with pytest.raises(IndexError):
        knowledge.replace_source("pump.md", "new", bad, "2")
    del embedder.encode
    assert knowledge.sources() == before
    assert knowledge.search("pump oil", k=1)[0].text == TEXTS["pump.md"][0]


def test_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match="damaged"):
        Knowledge.open(tmp_path, HashEmbedder())


def test_later_version_is_refused(knowledge: Knowledge) -> None:
    knowledge.close()
    with sqlite3.connect(knowledge.folder / "manifest.sqlite3") as db:
        db.execute("UPDATE setting SET value = '99' WHERE key = 'schema_version'")
    db.close()
    with pytest.raises(DataError, match="later version"):
        Knowledge.open(knowledge.folder, HashEmbedder())
