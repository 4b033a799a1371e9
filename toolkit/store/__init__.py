"""The knowledge of a bot: chunks that are kept, found again, and never lost."""

from toolkit.store.knowledge import Knowledge
from toolkit.store.options import Reranker, SearchOptions
from toolkit.store.passages import Passage, SourceRecord
from toolkit.store.prepare import SourceUpdate

__all__ = ["Knowledge", "Passage", "Reranker", "SearchOptions", "SourceRecord", "SourceUpdate"]
