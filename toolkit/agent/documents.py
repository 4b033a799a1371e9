"""The tools that look into the documents: search them, list them, read one or some of its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from toolkit.agent.found import Found, Told, told_of, whole

if TYPE_CHECKING:
    from toolkit.answering import RoutePlanner
    from toolkit.store import Passage

# Files that are named at most; there may be thousands.
_LISTED = 100


class DocumentTools:
    """Looks into the documents of a bot.

    Args:
        planner: Knows how they are searched and what is picked from them.
        letters: Letters that are read from a document in one call at most.
    """

    def __init__(self, planner: RoutePlanner, letters: int) -> None:
        assert planner.knowledge is not None
        self._planner = planner
        self._knowledge = planner.knowledge
        self._letters = letters

    def tools(self) -> list[BaseTool]:
        """Return them for a model."""
        made = (self.search_documents, self.list_documents, self.read_document)
        return [
            StructuredTool.from_function(one, response_format="content_and_artifact", handle_tool_error=True)
            for one in made
        ]

    def search_documents(self, query: Annotated[str, "A question of its own, or a few words"]) -> Told:
        """Search the documents and return the passages that fit best, each with its file and page."""
        passages = self._planner.search(query)
        picked = self._planner.pick(query, passages, self._planner.units)
        evidence = picked.evidence
        if self._planner.base.reads_passages:
            evidence = self._planner.shown_of(picked)
        return told_of(evidence), Found(evidence, passages)

    def list_documents(self, words: Annotated[str, "Words of the file's name; empty for all files"] = "") -> Told:
        """List the names of the documents."""
        wanted = words.lower().split()
        names = [name for name in sorted(self._knowledge.sources()) if all(word in name.lower() for word in wanted)]
        more = f"\n({len(names) - _LISTED} more: give words of their names)" if len(names) > _LISTED else ""
        return "\n".join(names[:_LISTED]) + more if names else "There are none.", Found()

    def read_document(
        self,
        source: Annotated[str, "The name of the file, as list_documents or search_documents give it"],
        first_page: Annotated[int, "The first page to read, from 1"] = 1,
        last_page: Annotated[int, "The last page to read; 0 reads to the end"] = 0,
    ) -> Told:
        """Read a document, or some of its pages where it has pages."""
        record = self._knowledge.sources().get(source)
        if record is None:
            raise ToolException(f"There is no document {source!r}. Look with list_documents.")
        chunks = self._chunks(record.chunk_ids)
        last = last_page or max((passage.page or 1 for passage in chunks), default=1)
        kept = [passage for passage in chunks if first_page <= (passage.page or first_page) <= last]
        if not kept:
            raise ToolException(f"{source} has no pages from {first_page} to {last}.")
        room = self._letters
        read: list[Passage] = []
        for passage in kept:
            if read and len(passage.text) > room:
                break
            room -= len(passage.text)
            read.append(passage)
        evidence = whole(read, self._planner.language)
        rest = f"\n({len(kept) - len(read)} more parts: search for what you need)" if len(read) < len(kept) else ""
        return told_of(evidence) + rest, Found(evidence, read)

    def _chunks(self, ids: tuple[str, ...]) -> list[Passage]:
        """Return passages by their ids, in the order of the document."""
        from toolkit.store.manifest import Manifest

        manifest = Manifest(self._knowledge.folder)
        try:
            found = manifest.chunks(list(ids))
        finally:
            manifest.close()
        return [found[name].passage(0.0) for name in ids if name in found]
