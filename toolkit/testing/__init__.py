"""Doubles for tests, of housevoice itself and of what is built on it: no bundled weights, no network, no waiting."""

from toolkit.testing.doubles import CHATML_TEMPLATE, ScriptedCall, ScriptedChatModel, tiny_model
from toolkit.testing.hash_embedder import HashEmbedder

__all__ = ["CHATML_TEMPLATE", "HashEmbedder", "ScriptedCall", "ScriptedChatModel", "tiny_model"]
