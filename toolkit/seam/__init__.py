"""Where the two halves meet: example replies woven with the passages that the bot finds when it serves."""

from toolkit.seam.fit import fit_on_bot, voice_words
from toolkit.seam.weave import SeamRow, typical_declines, weave

__all__ = ["SeamRow", "fit_on_bot", "typical_declines", "voice_words", "weave"]
