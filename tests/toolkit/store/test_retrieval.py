"""Search: the two sides fused, filters, duplicates, variety, neighbours, and LangChain's retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document

from toolkit.errors import DataError, ModelError
from toolkit.store import Knowledge, SearchOptions, ranking, search
from toolkit.store.filters import read_filter, sql_condition
from toolkit.store.lexical import LexicalIndex
from toolkit.store.manifest import Manifest
from toolkit.store.search import exact_nearest
from toolkit.store.vocabulary import Vocabulary
from toolkit.testing import HashEmbedder


def document(text: str, source: str = "a.md", **metadata: object) -> Document:
    return Document(page_content=text, metadata={"source": source, **metadata})


@pytest.fixture
def knowledge(tmp_path: Path) -> Iterator[Knowledge]:
    with Knowledge.create(tmp_path / "knowledge", HashEmbedder(256)) as made:
        made.add_documents(
            [
                document(
                    "Invoices are sent by mail on Monday.",
                    "billing.md",
                    type="md",
                    date="2024-03-01",
                    tags=["a", "b"],
                ),
                document(
                    "Refunds take nine days.",
                    "billing.pdf",
                    type="pdf",
                    date="2025-01-01",
                    tags=["b"],
                    page=2,
                ),
                document(
                    "The error code is E4711 and means no paper.", "printer.md", type="md", date="2023-01-01"
                ),
                document(
                    "Paper trays hold two hundred sheets.", "printer.pdf", type="pdf", page=9, weight=1.5
                ),
            ]
        )
        yield made


def sources(knowledge: Knowledge, query: str, filter: dict[str, object]) -> set[str]:
    return {hit.source for hit in knowledge.search(query, k=10, filter=filter)}


def test_one_rare_word_is_enough(knowledge: Knowledge) -> None:
    assert knowledge.search("E4711", k=1)[0].source == "printer.md"


def test_words_are_found_in_other_forms(knowledge: Knowledge) -> None:
    assert knowledge.search("refunding", k=1)[0].metadata["bm25"] > 0


def test_query_without_words_finds_nothing(knowledge: Knowledge) -> None:
    assert knowledge.search("  ", k=5) == []
    assert knowledge.search("paper", k=0) == []


def test_empty_store_finds_nothing(tmp_path: Path) -> None:
    with Knowledge.create(tmp_path, HashEmbedder()) as empty:
        assert empty.search("anything", k=5) == []


def test_best_comes_first_and_scores_say_so(knowledge: Knowledge) -> None:
    scores = [hit.score for hit in knowledge.search("paper trays hold sheets", k=4)]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"source": "billing.md"}, {"billing.md"}),
        ({"type": "pdf"}, {"billing.pdf", "printer.pdf"}),
        ({"type": ["pdf", "html"]}, {"billing.pdf", "printer.pdf"}),
        ({"tags": "b"}, {"billing.md", "billing.pdf"}),
        ({"tags": "a", "type": "md"}, {"billing.md"}),
        ({"date": {"$gte": "2024-01-01"}}, {"billing.md", "billing.pdf"}),
        ({"date": {"$gte": "2023-01-01", "$lt": "2025-01-01"}}, {"billing.md", "printer.md"}),
        ({"page": {"$gt": 2}}, {"printer.pdf"}),
        ({"type": {"$ne": "pdf"}}, {"billing.md", "printer.md"}),
        ({"source": {"$nin": ["billing.md", "billing.pdf"]}}, {"printer.md", "printer.pdf"}),
        ({"$or": [{"page": 9}, {"tags": "a"}]}, {"billing.md", "printer.pdf"}),
        ({"weight": {"$lte": 1.5}}, {"printer.pdf"}),
        ({"nothing": "here"}, set()),
    ],
)
def test_filter(knowledge: Knowledge, filter: dict[str, object], expected: set[str]) -> None:
    assert sources(knowledge, "paper invoices refunds", filter) == expected


@pytest.mark.parametrize(
    "filter", [{"page": {"$near": 3}}, {"$xor": []}, {"$or": []}, {"page": {"$gt": None}}, {"$and": [3]}]
)
def test_filter_that_cannot_be_understood_is_refused(knowledge: Knowledge, filter: dict[str, object]) -> None:
    with pytest.raises(DataError, match="filter"):
        knowledge.search("paper", filter=filter)


def test_filter_keys_cannot_break_out(knowledge: Knowledge) -> None:
    assert sources(knowledge, "paper", {'x") OR 1=1 --': "y"}) == set()
    assert sql_condition({}) == ("1", [])


def test_wide_filter_asks_the_collection(knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.store.search.EXACT_BELOW", 0)
    assert sources(knowledge, "paper invoices", {"type": "md"}) == {"billing.md", "printer.md"}


def test_near_duplicates_are_shown_once_but_not_where_a_number_or_a_not_differs() -> None:
    long = (
        "the pump of the second house runs on week days from morning to evening and is serviced by the town "
    )
    texts = [long + "in may", long + "in june", long + "in 2024", long + "in 2025", long + "but not in may"]
    assert ranking.without_duplicates(texts, 10) == [0, 2, 3, 4]
    assert ranking.without_duplicates(texts, 2) == [0, 2]


def test_fusion_takes_what_stands_out() -> None:
    dense = np.array([0.50, 0.49, 0.48, 0.47], dtype=np.float32)
    words = np.array([0.0, 0.0, 9.0, 0.0], dtype=np.float32)
    fused = ranking.fuse(dense, words, dense, np.concatenate([words, np.zeros(50)]))
    assert int(fused.argmax()) == 2


def test_fusion_of_one_candidate_is_finite() -> None:
    one = np.array([0.3], dtype=np.float32)
    assert np.isfinite(ranking.fuse(one, np.zeros(1), one, np.zeros(1))).all()


def test_smoothing_lifts_the_neighbour_of_good_hits() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(20, 16))
    vectors[:6] = vectors[0] + 0.01 * generator.normal(size=(6, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.zeros(20)
    scores[:5], scores[5], scores[6] = 1.0, 0.2, 0.2
    smoothed = ranking.smooth(scores, vectors)
    assert smoothed[5] > smoothed[6]


def test_variety_prefers_the_unlike() -> None:
    vectors = np.array([[1.0, 0.0], [0.999, 0.04], [0.0, 1.0]])
    scores = np.array([1.0, 0.9, 0.5])
    assert ranking.diversify(scores, vectors, 2, 0.5) == [0, 2]
    assert ranking.diversify(scores, vectors, 3, 1.0) == [0, 1, 2]


def test_reranker_has_the_last_word(knowledge: Knowledge) -> None:
    class ByLength:
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [float(len(text)) for text in texts]

    hits = knowledge.search("paper", k=4, reranker=ByLength())
    assert [len(hit.text) for hit in hits] == sorted((len(hit.text) for hit in hits), reverse=True)


def test_cross_encoder_is_loaded_by_name_once(tmp_path: Path, knowledge: Knowledge) -> None:
    from sentence_transformers import CrossEncoder
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "paper", "trays"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    config = BertConfig(
        vocab_size=6,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "cross")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(tmp_path / "cross")

    knowledge.options = SearchOptions(reranker=str(tmp_path / "cross"))
    hits = knowledge.search("paper trays", k=4)
    model = CrossEncoder(str(tmp_path / "cross"), device="cpu")
    wanted = model.predict([("paper trays", hit.text) for hit in hits], show_progress_bar=False)
    assert [hit.score for hit in hits] == pytest.approx(sorted(wanted.tolist(), reverse=True), abs=1e-5)
    first = knowledge._own_reranker()
    assert first is knowledge._own_reranker()


def test_cross_encoder_that_is_not_there_is_named(tmp_path: Path, knowledge: Knowledge) -> None:
    knowledge.options = SearchOptions(reranker=str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="cross-encoder"):
        knowledge.search("paper")


def test_options_hold_for_every_way_to_search(knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float | None] = []
    real = search.hybrid_search

    def noting(*arguments: object, **named: object) -> object:
        seen.append(named["mmr"])  # type: ignore[arg-type]
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("toolkit.store.knowledge.hybrid_search", noting)
    knowledge.search("paper")
    knowledge.options = SearchOptions(mmr=0.5)
    knowledge.search("paper")
    knowledge.as_retriever().invoke("paper")
    knowledge.as_retriever(mmr=1.0).invoke("paper")
    assert seen == [None, 0.5, 0.5, 1.0]


@pytest.mark.parametrize(
    ("conditions", "choices", "expected"),
    [
        ((), {"source": ["billing.md", "printer.md"]}, {"billing.md", "printer.md"}),
        (("date>=2024",), {"type": ["md"]}, {"billing.md"}),
        (("page=9",), {}, {"printer.pdf"}),
        (("page != 9", "type=pdf"), {}, {"billing.pdf"}),
        (("tags=a",), {}, {"billing.md"}),
        (("weight<2",), {"source": [], "type": []}, {"printer.pdf"}),
    ],
)
def test_filter_of_the_command_line(
    knowledge: Knowledge, conditions: Sequence[str], choices: dict[str, list[str]], expected: set[str]
) -> None:
    wanted = read_filter(conditions, **choices)
    assert wanted is not None
    assert sources(knowledge, "paper invoices refunds", wanted) == expected


def test_filter_of_the_command_line_may_be_empty_but_not_unclear() -> None:
    assert read_filter((), source=()) is None
    for unclear in ("date", "=3", "a="):
        with pytest.raises(DataError, match="no condition"):
            read_filter((unclear,))


def test_exact_search_agrees_with_the_collection(knowledge: Knowledge) -> None:
    vector = knowledge.embedder.encode(["paper trays"])[0]
    manifest = Manifest(knowledge.folder)
    exact = [candidate.id for candidate in exact_nearest(manifest, vector, 4)]
    manifest.close()
    assert list(knowledge.nearest(vector, 4)) == exact


def test_word_index_follows_changes_like_one_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.store.lexical.MIN_CHANGES", 10)
    with Knowledge.create(tmp_path / "k", HashEmbedder()) as knowledge:
        knowledge.add_documents([document(f"alpha common word{i}", f"{i}.md") for i in range(100)])
        knowledge.add_documents([document(f"beta common word{i}", f"{i}.md") for i in range(100, 108)])
        knowledge.remove("3.md")
        knowledge.search("common", k=1)
        manifest = Manifest(knowledge.folder)
        fresh = LexicalIndex(tmp_path / "nowhere", manifest, Vocabulary(manifest))
        fresh._main = None
        fresh.refresh()
        for query in ("beta", "common word5", "word103 alpha", "word3"):
            followed = dict(zip(*map(np.ndarray.tolist, knowledge._lexical.scores(query)), strict=True))
            anew = dict(zip(*map(np.ndarray.tolist, fresh.scores(query)), strict=True))
            assert {number for number, score in followed.items() if score < 0}.isdisjoint(anew)
            for number, score in anew.items():
                assert followed[number] == pytest.approx(score, rel=0.05, abs=1e-6)
        manifest.close()


def test_opening_does_not_build_the_word_index_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.store.lexical.MIN_CHANGES", 10)
    with Knowledge.create(tmp_path, HashEmbedder()) as knowledge:
        knowledge.add_documents([document(f"word{i} here", f"{i}.md") for i in range(50)])
    monkeypatch.setattr("toolkit.store.lexical.Part.build", None)
    with Knowledge.open(tmp_path, HashEmbedder()) as knowledge:
        assert knowledge.search("word7", k=1)[0].source == "7.md"


def test_neighbours_that_continue_a_hit_are_joined(tmp_path: Path) -> None:
    text = "First the lid is opened. Then the filter is taken out. Then the new filter goes in."
    spans = [(0, 24), (25, 54), (55, len(text))]
    pieces = [
        document(text[start:end], heading="Filter", sha256="s", start=start, end=end, id=f"s:{start}")
        for start, end in spans
    ]
    other = document("Shipping costs nothing.", heading="Shipping", sha256="s", start=90, end=113, id="s:90")
    with Knowledge.create(tmp_path, HashEmbedder()) as knowledge:
        knowledge.replace_source("a.md", "s", [*pieces, other], "1")
        hits = [hit for hit in knowledge.search("filter taken out", k=4) if hit.heading == "Filter"]
        joined = knowledge.expand(hits)
        assert joined[0].text == text
        assert (joined[0].metadata["start"], joined[0].metadata["end"]) == (0, len(text))
        assert len(joined) == 1
        knowledge.options = SearchOptions(expand=1)
        assert knowledge.search("filter taken out", k=4)[0].text == text
        assert knowledge.search("filter taken out", k=4, expand=0)[0].text != text


def test_retriever_is_langchains(knowledge: Knowledge) -> None:
    retriever = knowledge.as_retriever(k=2, filter={"type": "pdf"})
    found = retriever.invoke("paper trays")
    assert len(found) == 2
    assert found[0].metadata["source"] == "printer.pdf"
    assert {"id", "score", "page", "heading", "dense", "bm25"} <= set(found[0].metadata)
    assert [len(batch) for batch in retriever.batch(["paper", "refunds"])] == [2, 2]
    assert len(asyncio.run(retriever.ainvoke("paper"))) == 2
    assert len(knowledge.as_retriever(k=3, mmr=0.5, expand=1).invoke("paper")) == 3
