"""Where the two halves meet: example replies woven with what the bot finds, and the chain fitted on them."""

from toolkit.seam.added import document_rows, replay_rows
from toolkit.seam.fit import fit_checking, fit_on_bot, subjects_of, voice_words
from toolkit.seam.preferred import PreferenceRow, serve_preferences
from toolkit.seam.shown import shown_replies
from toolkit.seam.weave import SeamRow, typical_declines, weave

__all__ = [
    "PreferenceRow",
    "SeamRow",
    "document_rows",
    "fit_checking",
    "fit_on_bot",
    "replay_rows",
    "serve_preferences",
    "shown_replies",
    "subjects_of",
    "typical_declines",
    "voice_words",
    "weave",
]
