"""Texts in, unit vectors out, and an identity that says which embedder it was."""

from toolkit.embedding.base import Embedder, EmbedderIdentity
from toolkit.embedding.langchain import LangChainEmbedder, as_embedder
from toolkit.embedding.load import BUNDLED, BUNDLED_NAME, load_embedder

__all__ = [
    "BUNDLED",
    "BUNDLED_NAME",
    "Embedder",
    "EmbedderIdentity",
    "LangChainEmbedder",
    "as_embedder",
    "load_embedder",
]
