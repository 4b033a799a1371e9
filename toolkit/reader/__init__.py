"""The reader: does this passage answer the question, where, and does this evidence hold this sentence?"""

from toolkit.reader.base import Reader, Reading, Span
from toolkit.reader.load import BUNDLED, load_reader

__all__ = ["BUNDLED", "Reader", "Reading", "Span", "load_reader"]
