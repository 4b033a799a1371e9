"""The reader: does this passage answer the question, where, and does this evidence hold this sentence?"""

from toolkit.reader.base import Reader, Reading, Span, identity_of
from toolkit.reader.load import BUNDLED, load_reader

__all__ = ["BUNDLED", "Reader", "Reading", "Span", "identity_of", "load_reader"]
