"""What a language is to the rest: its words, their stems, numbers and names, and what people say in it."""

from toolkit.language.languages import ENGLISH, LANGUAGES, NEUTRAL, Language, language_of
from toolkit.language.words import Lexicon, names, numbers, stems, without_stems

__all__ = [
    "ENGLISH", "LANGUAGES", "NEUTRAL", "Language", "Lexicon", "language_of", "names", "numbers", "stems",
    "without_stems",
]  # fmt: skip
