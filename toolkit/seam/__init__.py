"""Where the two halves meet: example replies woven with what the bot finds, and the chain fitted on them."""

from toolkit.seam.fit import fit_checking, fit_on_bot, subjects_of, voice_words
from toolkit.seam.weave import SeamRow, typical_declines, weave

__all__ = ["SeamRow", "fit_checking", "fit_on_bot", "subjects_of", "typical_declines", "voice_words", "weave"]
