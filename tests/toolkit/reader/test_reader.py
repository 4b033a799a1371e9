"""The reader: spans, the file in eight bits, the window, batches, and how a reader that is not there is named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.reader.base import Reading
from toolkit.reader.bert import BertReader, load_bert_reader
from toolkit.reader.cross_encoder import CrossEncoderReader
from toolkit.reader.encoding import MAX_FIRST_TOKENS, encode_pairs
from toolkit.reader.load import load_reader
from toolkit.reader.weights import CONFIG_FILE, HEADS, WEIGHTS_FILE, head_shapes, load_weights, save_weights

HIDDEN = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.?:"
PASSAGE = "the lamp burns for 38 hours. it costs 40 euros."


def write_embedder(folder: Path) -> Path:
    """Write a random BERT of two layers that spells words by their letters."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    words = models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=128, initializer_range=0.2,
    )  # fmt: skip
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config.save_pretrained(str(folder))
    save_file(BertModel(config, add_pooling_layer=False).state_dict(), folder / "model.safetensors")
    return folder


def write_reader(folder: Path, embedder: Path, **changes: Any) -> Path:
    """Write a reader with the embedder's own layers and random heads."""
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(1)
    layers = {key: value for key, value in load_file(embedder / "model.safetensors").items() if "encoder." in key}
    heads = {HEADS + name: torch.randn(shape) * 0.3 for name, shape in head_shapes(HIDDEN).items()}
    folder.mkdir()
    save_weights(folder / WEIGHTS_FILE, layers | heads)
    calibration = {"answerable": [1.0, 0.5, -0.2], "support": [2.0, 0.1]}
    config = {"format": 1, "name": "tiny", "max_tokens": 128, "calibration": calibration} | changes
    (folder / CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("tiny") / "embedder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, embedder: Path) -> Path:
    return write_reader(tmp_path_factory.mktemp("tiny") / "reader", embedder)


@pytest.fixture(scope="module")
def reader(folder: Path, embedder: Path) -> BertReader:
    return load_bert_reader(folder, embedder, dtype="float32")


def reading(start: list[float], end: list[float]) -> Reading:
    offsets = np.array([[at * 2, at * 2 + 1] for at in range(len(start))])
    return Reading(0.0, offsets, np.array(start), np.array(end))


def test_best_span_begins_before_it_ends_and_keeps_the_longest_length() -> None:
    one = reading([0, 5, 0, 0, 4], [9, 0, 0, 0, 5])
    assert one.best_span() == (2, 9, 10.0)
    assert one.best_span(max_tokens=2) == (0, 1, 9.0)
    assert reading([0, 5, 0], [9, 1, 0]).best_span(max_tokens=1) == (0, 1, 9.0)


def test_span_inside_a_sentence_is_scored_without_its_neighbours() -> None:
    one = reading([1, 2, 3, 9], [1, 2, 3, 9])
    assert one.within(0, 5) == 6.0
    assert one.within(0, 4) == 4.0, "a token that is not wholly inside does not count"
    assert one.within(100, 200) == -math.inf


def test_reading_without_tokens_has_no_span() -> None:
    empty = Reading(-1.0, np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    assert empty.best_span().score == -math.inf
    assert empty.within(0, 10) == -math.inf
    assert 0 < empty.probability < 0.5


def test_probability_does_not_overflow() -> None:
    none = np.zeros(0)
    assert Reading(-1e9, none, none, none).probability == pytest.approx(0)
    assert Reading(1e9, none, none, none).probability == pytest.approx(1)


def test_weights_in_eight_bits_are_close(tmp_path: Path) -> None:
    import torch

    weight = torch.randn(16, 32) * torch.logspace(-3, 1, 16).unsqueeze(1)
    zero = torch.zeros(4, 32)
    save_weights(
        tmp_path / "w", {"encoder.a": weight, "encoder.zero": zero, "heads.b": weight, "encoder.bias": weight[0]}
    )
    found = load_weights(tmp_path / "w")
    assert set(found) == {"encoder.a", "encoder.zero", "heads.b", "encoder.bias"}
    error = (found["encoder.a"] - weight).abs().amax(1)
    assert (error <= weight.abs().amax(1) / 250).all()
    assert found["encoder.zero"].eq(0).all()
    assert torch.allclose(found["heads.b"], weight, rtol=1e-3, atol=1e-6)


def test_passage_is_cut_and_the_question_is_not(reader: BertReader) -> None:
    question = "q" * 10 + " " + "w" * MAX_FIRST_TOKENS
    (pair,) = encode_pairs(reader._tokenizer, ["x y"], [PASSAGE * 20], 64)
    assert len(pair.ids) == 64
    assert len(pair.offsets) == 64 - pair.passage_at - 1
    (long,) = encode_pairs(reader._tokenizer, [" ".join(question)], [PASSAGE], 128)
    assert long.passage_at == MAX_FIRST_TOKENS + 2, "the end of a long question is kept"
    assert len(long.ids) <= 128


def test_offsets_point_into_the_passage(reader: BertReader) -> None:
    (one,) = reader.read("how long?", [PASSAGE])
    letters = "".join(PASSAGE[a:b] for a, b in one.offsets)
    assert letters == PASSAGE.replace(" ", "")
    span = one.best_span()
    assert 0 <= span.start < span.end <= len(PASSAGE)
    assert one.within(0, len(PASSAGE)) == pytest.approx(span.score)


def test_order_and_company_change_nothing(reader: BertReader) -> None:
    passages = [PASSAGE, "short.", PASSAGE * 2, "", "it costs 40 euros."]
    together = reader.read("how much?", passages)
    assert len(together) == len(passages)
    for passage, one in zip(passages, together, strict=True):
        (alone,) = reader.read("how much?", [passage])
        assert alone.answerable == pytest.approx(one.answerable, abs=1e-3)
        assert np.allclose(alone.start, one.start, atol=1e-3)


def test_nothing_to_read_gives_nothing(reader: BertReader) -> None:
    assert reader.read("how?", []) == []
    assert reader.support([]).shape == (0,)


def test_support_gives_probabilities(reader: BertReader) -> None:
    found = reader.support([("it costs 40 euros.", PASSAGE), ("it costs 50 euros.", PASSAGE)])
    assert found.shape == (2,)
    assert found.dtype == np.float32
    assert ((found > 0) & (found < 1)).all()


def test_identity_names_the_weights(reader: BertReader, tmp_path: Path, embedder: Path) -> None:
    assert reader.identity.startswith("tiny-")
    same = load_bert_reader(write_reader(tmp_path / "same", embedder, max_tokens=64), embedder)
    assert same.identity == reader.identity


def test_bfloat16_reads_alike(reader: BertReader, folder: Path, embedder: Path) -> None:
    fast = load_bert_reader(folder, embedder, dtype="bfloat16")
    (a,), (b,) = reader.read("how long?", [PASSAGE]), fast.read("how long?", [PASSAGE])
    assert a.probability == pytest.approx(b.probability, abs=0.1)


def test_reader_that_is_not_there_is_named(tmp_path: Path, embedder: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        load_bert_reader(tmp_path, embedder)
    assert load_reader("none") is None
    other = load_reader(str(tmp_path / "nothing"))
    assert isinstance(other, CrossEncoderReader)
    with pytest.raises(ModelError, match="no such folder"):
        other.read("how?", [PASSAGE])


def test_damaged_reader_is_named(tmp_path: Path, embedder: Path) -> None:
    damaged = write_reader(tmp_path / "damaged", embedder)
    (damaged / WEIGHTS_FILE).write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_bert_reader(damaged, embedder)
    assert "none" in caught.value.hint
    with pytest.raises(ModelError, match="format 9"):
        load_bert_reader(write_reader(tmp_path / "later", embedder, format=9), embedder)


class Scores:
    """Stands for a sentence-transformers cross-encoder."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> np.ndarray:
        return self.scores[: len(pairs)]


def test_cross_encoder_gives_its_score_for_every_stretch() -> None:
    reader = CrossEncoderReader("some/name")
    reader._model = Scores(np.array([2.0, -1.0]))  # type: ignore[assignment]
    first, second = reader.read("how much?", [PASSAGE, "short."])
    assert first.answerable == 2.0
    assert first.best_span() == (0, len(PASSAGE), 2.0)
    assert first.within(0, 5) == 2.0
    assert second.probability < 0.5
    assert reader.support([("a", "b")]) == pytest.approx([first.probability])
    assert reader.identity == "cross-encoder:some/name"


def test_cross_encoder_with_classes_takes_the_last_as_yes() -> None:
    reader = CrossEncoderReader("some/name")
    reader._model = Scores(np.array([[0.0, 3.0], [3.0, 0.0]]))  # type: ignore[assignment]
    assert [one.answerable for one in reader.read("how?", ["a", "b"])] == [3.0, -3.0]
