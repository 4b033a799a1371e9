"""The embedder's identity, its batches, LangChain's embedders, and how a model that is not there is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from toolkit.embedding import EmbedderIdentity, LangChainEmbedder, as_embedder, load_embedder
from toolkit.embedding.base import WEIGHTS
from toolkit.embedding.bert import TEXTS_PER_BATCH, TOKENS_PER_BATCH, BertEmbedder, batches_of, pack_weights
from toolkit.embedding.transformer import SentenceTransformerEmbedder
from toolkit.errors import ModelError
from toolkit.testing import HashEmbedder

if TYPE_CHECKING:
    from transformers import BertModel


def test_identity_survives_json() -> None:
    identity = EmbedderIdentity("name", "3", 384, True)
    assert EmbedderIdentity.from_dict(identity.to_dict()) == identity


def test_same_weights_in_another_folder_are_the_same_embedder() -> None:
    here = EmbedderIdentity("here", f"{WEIGHTS}1", 384, True)
    assert here.same_as(EmbedderIdentity("there", f"{WEIGHTS}1", 384, True))
    assert not here.same_as(EmbedderIdentity("here", f"{WEIGHTS}2", 384, True))
    assert not EmbedderIdentity("here", "1", 384, True).same_as(EmbedderIdentity("there", "1", 384, True))


def test_batches_hold_every_text_once_and_keep_their_limits() -> None:
    lengths = [int(length) for length in np.random.default_rng(0).integers(1, 256, 1000)]
    batches = list(batches_of(lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(1000))
    for batch in batches:
        assert len(batch) <= TEXTS_PER_BATCH
        assert len(batch) * max(lengths[index] for index in batch) <= TOKENS_PER_BATCH


def test_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_embedder(str(tmp_path / "nothing"))


def test_double_is_similar_for_similar_texts() -> None:
    embedder = HashEmbedder()
    vectors = embedder.encode(["the red pump", "a red pump", "snow in winter"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert embedder.embed_query("the red pump") == pytest.approx(vectors[0].tolist())
    assert embedder.encode([]).shape == (0, 64)


class Doubling(Embeddings):
    """Stands for a remote embedder: vectors of any length, questions embedded unlike documents."""

    model = "doubling-1"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[2.0, float(len(text)), 0.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [2.0, float(len(text)), 1.0]


def test_langchain_embeddings_get_an_identity_a_window_and_unit_vectors() -> None:
    embedder = as_embedder(Doubling())
    assert embedder.identity == EmbedderIdentity("langchain:Doubling:doubling-1", "", 3, True)
    assert embedder.max_tokens == 256
    vectors = embedder.encode(["one", "seven letters"])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert embedder.embed_query("one")[2] > 0, "a question is embedded as the object embeds questions"
    assert embedder.encode([]).shape == (0, 3)
    assert as_embedder(embedder) is embedder
    assert as_embedder(DeterministicFakeEmbedding(size=8)).identity.dimension == 8


def test_questions_are_embedded_as_documents_where_the_model_makes_no_difference() -> None:
    embedder = HashEmbedder()
    assert embedder.encode_queries(["the red pump", "snow"]) == pytest.approx(embedder.encode(["the red pump", "snow"]))
    assert embedder.encode_queries([]).shape == (0, 64)


def test_the_last_questions_are_embedded_once() -> None:
    embedder = HashEmbedder()
    first = embedder.encode_queries(["a", "b", "a"])
    assert embedder.encode_queries(["b", "c"])[0] == pytest.approx(first[1])
    assert embedder.embed_query("a") == pytest.approx(first[0].tolist())
    assert embedder.embedded == ["a", "b", "c"]
    for number in range(100):
        embedder.encode_queries([str(number)])
    embedder.encode_queries(["a"])
    assert embedder.embedded.count("a") == 2, "only the last ones are kept"


def test_questions_get_the_prompt_for_questions() -> None:
    embedder = as_embedder(Doubling())
    asked, told = embedder.encode_queries(["one", "two"]), embedder.encode(["one", "two"])
    assert asked.shape == (2, 3)
    assert asked.dtype == np.float32
    assert np.linalg.norm(asked, axis=1) == pytest.approx(1.0)
    assert (asked[:, 2] > 0).all()
    assert (told[:, 2] == 0).all()

    class Prompted:
        max_seq_length = 32

        def encode_query(self, texts: list[str], **options: object) -> np.ndarray:
            return np.array([[1.0, 0.0]] * len(texts))

        def encode_document(self, texts: list[str], **options: object) -> np.ndarray:
            return np.array([[0.0, 1.0]] * len(texts))

    asymmetric = SentenceTransformerEmbedder(EmbedderIdentity("asymmetric", "1", 2, True), Prompted())  # type: ignore[arg-type]
    assert asymmetric.encode_queries(["one"]).tolist() == [[1.0, 0.0]]
    assert asymmetric.embed_query("one") == [1.0, 0.0]
    assert asymmetric.encode(["one"]).tolist() == [[0.0, 1.0]]


def test_tokens_of_an_unknown_tokenizer_are_rather_overestimated() -> None:
    embedder = LangChainEmbedder(Doubling(), max_tokens=99, name="mine")
    assert (embedder.max_tokens, embedder.identity.name) == (99, "langchain:mine")
    assert embedder.count_tokens(["", "a cat", "incomprehensible", "2024", "漢字"]) == [2, 4, 6, 4, 4]


def test_langchain_embeddings_of_the_wrong_shape_are_named() -> None:
    class Short(Doubling):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0, 0.0]]

    with pytest.raises(ModelError, match="2 texts"):
        as_embedder(Short()).encode(["a", "b"])


def test_window_and_tokens_are_those_of_a_sentence_transformer() -> None:
    import torch

    class Model:
        max_seq_length = 12

        def tokenizer(self, texts: list[str], **options: object) -> dict[str, list[list[int]]]:
            return {"input_ids": [[0] * (len(text.split()) + 2) for text in texts]}

        def state_dict(self) -> dict[str, torch.Tensor]:
            return {"layer": torch.ones(3)}

    class Local(Doubling):
        def __init__(self) -> None:
            self._client = Model()

    embedder = as_embedder(Local())
    assert embedder.max_tokens == 12
    assert embedder.count_tokens(["three short words"]) == [5]
    assert embedder.identity.revision.startswith(WEIGHTS)


def random_bert(words: int) -> BertModel:
    """Return a random two-layer encoder."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=words,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def tiny() -> BertEmbedder:
    """Return an embedder with a random encoder over a vocabulary of letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {word: index for index, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return BertEmbedder(EmbedderIdentity("tiny", "1", 16, True), random_bert(len(words)), tokenizer, 8)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_weights_give_the_same_vectors(tiny: BertEmbedder, dtype: str) -> None:
    import torch

    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    model = random_bert(12).to(getattr(torch, dtype))
    plain = BertEmbedder(tiny.identity, model, tiny._tokenizer, 8)
    texts = ["a b c d", "h g", ""]
    before = plain.encode(texts)
    pack_weights(model)
    if dtype == "float32":
        assert not [part for part in model.encoder.modules() if isinstance(part, torch.nn.Linear)]
    assert plain.encode(texts) == pytest.approx(before, abs=1e-5 if dtype == "float32" else 2e-2)


def test_padding_does_not_change_a_vector(tiny: BertEmbedder) -> None:
    together = tiny.encode(["a b c d", "a", "b c", ""])
    alone = np.concatenate([tiny.encode([text]) for text in ["a b c d", "a", "b c", ""]])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_what_is_over_the_window_is_cut_and_still_counted(tiny: BertEmbedder) -> None:
    long = " ".join("abcdefgh" * 4)
    assert tiny.count_tokens([long, "a"]) == [34, 3]
    assert tiny.encode([long])[0] == pytest.approx(tiny.encode([" ".join("abcdef")])[0], abs=1e-5)
