"""The embedder's identity, its batches, and how a model that is not there is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.embedding import (
    TEXTS_PER_BATCH,
    TOKENS_PER_BATCH,
    BertEmbedder,
    EmbedderIdentity,
    _batches,
    load_embedder,
)
from toolkit.errors import ModelError
from toolkit.testing_embedder import HashEmbedder


def test_identity_survives_json() -> None:
    identity = EmbedderIdentity("name", "3", 384, True)
    assert EmbedderIdentity.from_dict(identity.to_dict()) == identity


def test_batches_hold_every_text_once_and_keep_their_limits() -> None:
    lengths = [int(length) for length in np.random.default_rng(0).integers(1, 256, 1000)]
    batches = list(_batches(lengths))
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


@pytest.fixture(scope="module")
def tiny() -> BertEmbedder:
    """Return a random two-layer encoder over a vocabulary of letters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = {word: index for index, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    return BertEmbedder(EmbedderIdentity("tiny", "1", 16, True), model, tokenizer, 8)


def test_padding_does_not_change_a_vector(tiny: BertEmbedder) -> None:
    together = tiny.encode(["a b c d", "a", "b c", ""])
    alone = np.concatenate([tiny.encode([text]) for text in ["a b c d", "a", "b c", ""]])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_what_is_over_the_window_is_cut_and_still_counted(tiny: BertEmbedder) -> None:
    long = " ".join("abcdefgh" * 4)
    assert tiny.count_tokens([long, "a"]) == [34, 3]
    assert tiny.encode([long])[0] == pytest.approx(tiny.encode([" ".join("abcdef")])[0], abs=1e-5)
