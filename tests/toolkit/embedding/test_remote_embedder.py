"""An embedder on a server: the same vectors, an identity that may move, and faults with their remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from pydantic import ValidationError

from tests.model_server import ModelServer, running
from toolkit.config import KnowledgeSettings
from toolkit.embedding import load_embedder
from toolkit.errors import IndexMismatch, ModelError
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with running(ModelServer(models=["vectors"])) as served:
        yield served


def test_vectors_come_from_the_server(server: ModelServer) -> None:
    embedder = load_embedder(f"openai:vectors@{server.url}")
    assert (embedder.identity.name, embedder.identity.dimension) == ("server:vectors", 64)
    texts = [f"lamp number {number}" for number in range(150)]  # more than are asked for at once
    np.testing.assert_allclose(embedder.encode(texts), HashEmbedder(64).encode(texts), atol=1e-6)
    assert embedder.encode([]).shape == (0, 64)
    assert embedder.count_tokens(["a lamp burns"]) == [6]


def test_documents_are_found_again_and_another_model_is_noticed(server: ModelServer, tmp_path: Path) -> None:
    with Knowledge.create(tmp_path / "k", load_embedder(f"openai:vectors@{server.url}")) as knowledge:
        texts = ("a lamp", "kites")
        knowledge.add_documents([Document(page_content=text, metadata={"source": text}) for text in texts])
    with Knowledge.open(tmp_path / "k", load_embedder(f"openai:vectors@{server.url}")) as knowledge:
        assert knowledge.search("a lamp", k=1)[0].source == "a lamp"
    server.seed = "other weights under the same name "
    with pytest.raises(IndexMismatch):
        Knowledge.open(tmp_path / "k", load_embedder(f"openai:vectors@{server.url}"))


def test_what_is_wrong_is_told_with_its_remedy(server: ModelServer) -> None:
    with pytest.raises(ModelError, match="has no model 'words'; it has vectors"):
        load_embedder(f"ollama:words@{server.url}")
    server.key = "right"
    with pytest.raises(ModelError, match="refuses a request without a key"):
        load_embedder(f"openai:vectors@{server.url}")
    with pytest.raises(ValidationError, match="needs the address"):
        KnowledgeSettings(embedder="openai:vectors")
