"""Doubles for tests, of housevoice itself and of what is built on it: no bundled weights, no network, no waiting."""

from toolkit.testing.doubles import CHATML_TEMPLATE, ScriptedCall, ScriptedChatModel, tiny_model
from toolkit.testing.hash_embedder import HashEmbedder
from toolkit.testing.keyword_reader import KeywordReader

__all__ = ["CHATML_TEMPLATE", "HashEmbedder", "KeywordReader", "ScriptedCall", "ScriptedChatModel", "tiny_model"]
