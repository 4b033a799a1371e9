"""Text out of a model: one reply at a time or many at once, adapter on or off per call."""

from toolkit.engines.base import Abilities, Decoding, TextGenerator
from toolkit.engines.chat_model import HouseChatModel
from toolkit.engines.speaker import Speaker
from toolkit.engines.text_engine import TextEngine

__all__ = ["Abilities", "Decoding", "HouseChatModel", "Speaker", "TextEngine", "TextGenerator"]
