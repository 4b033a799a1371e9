"""Text out of a model: one reply at a time or many at once, adapter on or off per call."""

from toolkit.engines.chat_model import HouseChatModel
from toolkit.engines.text_engine import Decoding, TextEngine

__all__ = ["Decoding", "HouseChatModel", "TextEngine"]
