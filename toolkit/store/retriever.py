"""A knowledge as LangChain's retriever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from toolkit.store.options import Reranker
from toolkit.store.passages import Passage


@runtime_checkable
class Searchable(Protocol):
    """What the retriever asks of a knowledge; the knowledge itself imports the retriever, and not the other way."""

    def search(
        self,
        query: str,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        mmr: float | None = None,
        reranker: Reranker | None = None,
        expand: int | None = None,
    ) -> list[Passage]:
        """Find the passages that fit a query, best first."""
        ...


class KnowledgeRetriever(BaseRetriever):
    """A :class:`~toolkit.store.Knowledge` as LangChain's retriever.

    Attributes:
        knowledge: What is searched.
        k: Passages wanted.
        filter: What their metadata must be.
        mmr: Balance of fit (1) and variety (0).
        reranker: Reads the best candidates again and orders them; see :func:`load_reranker`.
        expand: Chunks before and after a hit that are joined with it; 0 for none.

    What is None is done as the knowledge's own options say.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    knowledge: Searchable
    k: int = 10
    filter: dict[str, Any] | None = None
    mmr: float | None = None
    reranker: Any = None
    expand: int | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        found = self.knowledge.search(
            query, self.k, self.filter, mmr=self.mmr, reranker=self.reranker, expand=self.expand
        )
        return [passage.to_document() for passage in found]
