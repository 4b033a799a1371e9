"""What the words of a text are: stems, numbers and names, and how rare each is."""

from toolkit.language.words import Lexicon, names, numbers, stems, without_stems

__all__ = ["Lexicon", "names", "numbers", "stems", "without_stems"]
