"""Cuts documents into chunks that fit the embedder's window, at places where a reader would cut.

A chunk never mixes unrelated headings, never cuts a sentence, a row or a code block that fits, and is an
exact span of the file's extracted text: its id (file hash and span) stays as long as the file does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from langchain_core.documents import Document

from toolkit.language.sentences import Atom, atoms_of

CountTokens = Callable[[Sequence[str]], list[int]]

_TINY_TOKENS = 25  # neighbours below this are put together under their parent heading
_SEPARATOR = " > "
_GAP = "\n\n"
_WORD = re.compile(r"\S{1,40}\s*")


@dataclass
class _Piece:
    """A chunk in the making: a span of one document, or of several that were put together."""

    document: Document
    start: int
    end: int
    tokens: int
    text: str
    heading: str


def embedding_text(chunk: Document) -> str:
    """Return what is embedded and indexed for a chunk: its headings, then its text.

    The headings begin with the document's title; a file that has neither goes by its own name.
    """
    context = _context(chunk)
    return f"{context}\n{chunk.page_content}" if context else chunk.page_content


def _context(document: Document) -> str:
    metadata = document.metadata
    if "context" in metadata:  # shortened, for the full path would fill the window
        return str(metadata["context"])
    heading, title = str(metadata.get("heading") or ""), str(metadata.get("title") or "")
    if not heading and not title and metadata.get("type"):
        stem = PurePosixPath(str(metadata.get("source") or "")).stem
        title = re.sub(r"[-_.\s]+", " ", stem).strip()
    if title and heading.casefold().startswith(title.casefold()):
        title = ""
    return _SEPARATOR.join(filter(None, (title, heading)))


def chunk_documents(
    documents: Sequence[Document],
    *,
    count_tokens: CountTokens,
    max_tokens: int,
    overlap_sentences: int = 0,
) -> list[Document]:
    """Cut documents into chunks whose :func:`embedding_text` fits the window.

    Args:
        documents: Sections as the readers give them, in the order of the file, or any LangChain documents.
        count_tokens: Tokens of each text by the embedder's own tokenizer, special ones included.
        max_tokens: The embedder's window.
        overlap_sentences: How many sentences a chunk repeats of the one before it in the same section.

    Returns:
        Chunks with the document's metadata and ``id``, ``start`` and ``end`` (span in the file's text).

    Raises:
        ValueError: If ``max_tokens`` leaves no room for text.

    Example:
        >>> from toolkit.testing import HashEmbedder
        >>> page = Document(page_content="The lamp burns for 38 hours. It costs 40 euros.")
        >>> chunks = chunk_documents([page], count_tokens=HashEmbedder().count_tokens, max_tokens=7)
        >>> [(chunk.page_content, chunk.metadata["start"]) for chunk in chunks]
        [('The lamp burns for 38 hours.', 0), ('It costs 40 euros.', 29)]
    """
    special = count_tokens([""])[0]
    if max_tokens < special + 4:
        raise ValueError(f"max_tokens must be at least {special + 4}")
    filled = [_with_digest(document) for document in documents if document.page_content.strip()]
    prepared = _with_short_context(filled, count_tokens, max_tokens)
    counter = _Counter(count_tokens, special)
    atoms = [atoms_of(document.page_content) for document, _ in prepared]
    atoms = counter.measured([(doc.page_content, own) for (doc, _), own in zip(prepared, atoms, strict=True)])
    pieces: list[_Piece] = []
    for (document, context_tokens), own in zip(prepared, atoms, strict=True):
        room = max_tokens - context_tokens
        broken = counter.broken(document.page_content, own, room)
        pieces.extend(_packed(document, broken, room, overlap_sentences))
    pieces = _joined(pieces, max_tokens - special)
    return [_chunk(piece) for piece in _fitting(pieces, counter, max_tokens)]


class _Counter:
    """Counts tokens without the special ones, many texts a call: the tokenizer is what costs time."""

    def __init__(self, count_tokens: CountTokens, special: int) -> None:
        self._count_tokens = count_tokens
        self.special = special

    def measured(self, texts: Sequence[tuple[str, list[Atom]]]) -> list[list[Atom]]:
        """Return the atoms of each text with their token counts, all counted in one call."""
        spans = [text[atom.start : atom.end] for text, atoms in texts for atom in atoms]
        counts = iter([max(1, count - self.special) for count in self._count_tokens(spans)] if spans else [])
        return [[replace(atom, tokens=next(counts)) for atom in atoms] for _, atoms in texts]

    def broken(self, text: str, atoms: list[Atom], room: int) -> list[Atom]:
        """Break atoms that do not fit alone: by lines where there are several, then by words."""
        result: list[Atom] = []
        for atom in atoms:
            if atom.tokens <= room:
                result.append(atom)
                continue
            lines = _spans(r"[^\n]+", text, atom, rank=2)
            if len(lines) > 1:
                result.extend(self.broken(text, self.measured([(text, lines)])[0], room))
            else:
                result.extend(self.measured([(text, _spans(_WORD.pattern, text, atom, rank=0))])[0])
        return result

    def whole(self, texts: Sequence[str]) -> list[int]:
        """Count texts as the embedder will, special tokens included."""
        return self._count_tokens(texts) if texts else []


def _spans(pattern: str, text: str, atom: Atom, *, rank: int) -> list[Atom]:
    found = []
    for match in re.compile(pattern).finditer(text, atom.start, atom.end):
        after_blank = rank == 2 and text[max(0, match.start() - 2) : match.start()] == "\n\n"
        found.append(Atom(match.start(), match.end(), 3 if after_blank else rank))
    found = [span for span in found if text[span.start : span.end].strip()]
    return [replace(found[0], rank=atom.rank), *found[1:]] if found else [atom]


def _with_digest(document: Document) -> Document:
    """Give a document of another maker, who kept no hash of a file, one of its own for its chunks' ids."""
    if document.metadata.get("sha256"):
        return document
    whole = f"{document.metadata.get('source', '')}\n{document.page_content}".encode("utf-8", "replace")
    digest = hashlib.sha256(whole).hexdigest()
    return Document(page_content=document.page_content, metadata={**document.metadata, "own_digest": digest})


def _with_short_context(
    documents: Sequence[Document], count_tokens: CountTokens, max_tokens: int
) -> list[tuple[Document, int]]:
    """Pair each document with the tokens of its context, which may fill a quarter of the window at most.

    Where it would fill more, outer headings are dropped first, and the rest is kept as ``context``.
    """
    contexts = list(dict.fromkeys(_context(document) for document in documents))
    counts = dict(zip(contexts, count_tokens(contexts) if contexts else [], strict=True))
    result = []
    for document in documents:
        context = _context(document)
        parts = context.split(_SEPARATOR)
        while parts and counts[context] > max_tokens // 4:
            parts = parts[1:]
            context = _SEPARATOR.join(parts)
            counts.setdefault(context, count_tokens([context])[0])
        if context != _context(document):
            metadata = {**document.metadata, "context": context}
            document = Document(page_content=document.page_content, metadata=metadata)
        result.append((document, counts.get(context) or count_tokens([""])[0]))
    return result


def _packed(document: Document, atoms: list[Atom], room: int, overlap: int) -> list[_Piece]:
    """Pack atoms into pieces of at most ``room`` tokens, cutting at the best place in the second half."""
    pieces, first = [], 0
    text = document.page_content
    offset = int(document.metadata.get("start") or 0)
    while first < len(atoms):
        last, used = first + 1, atoms[first].tokens
        while last < len(atoms) and used + atoms[last].tokens <= room:
            used += atoms[last].tokens
            last += 1
        if last < len(atoms):
            last = _best_cut(text, atoms, first, last)
            used = sum(atom.tokens for atom in atoms[first:last])
        span = text[atoms[first].start : atoms[last - 1].end].rstrip()
        start = offset + atoms[first].start
        heading = str(document.metadata.get("heading") or "")
        pieces.append(_Piece(document, start, start + len(span), used, span, heading))
        first = _with_overlap(atoms, first, last, room, overlap)
    return pieces


def _best_cut(text: str, atoms: list[Atom], first: int, last: int) -> int:
    """Return where to end a piece that is followed by another: the highest rank in its second half."""
    total = sum(atom.tokens for atom in atoms[first:last])
    best, best_rank, used = last, -1, 0
    for cut in range(first + 1, last + 1):
        used += atoms[cut - 1].tokens
        if 2 * used < total:
            continue
        # What ends with a colon announces what comes next.
        announced = text[atoms[cut - 1].end - 1] in ":：" if cut - 1 > first else False
        rank = -1 if announced else atoms[cut].rank if cut < len(atoms) else 3
        if rank >= best_rank:
            best, best_rank = cut, rank
    return best


def _with_overlap(atoms: list[Atom], first: int, last: int, room: int, overlap: int) -> int:
    """Return where the next piece begins: some sentences back, if what follows them still fits."""
    if last >= len(atoms):
        return last
    begin, used = last, atoms[last].tokens
    while begin - 1 > first and last - begin < overlap and used + atoms[begin - 1].tokens <= room:
        begin -= 1
        used += atoms[begin].tokens
    return begin


def _joined(pieces: list[_Piece], room: int) -> list[_Piece]:
    """Put tiny neighbours together: same file and page, and the same heading or the same parent."""
    result: list[_Piece] = []
    for piece in pieces:
        merged = _merge(result[-2] if len(result) > 1 else None, result[-1], piece) if result else None
        # The headings move into the text and cost about as much there as in the path.
        if merged and merged.tokens + len(merged.heading.split()) * 2 <= room:
            result[-1] = merged
        else:
            result.append(piece)
    return result


def _merge(before: _Piece | None, left: _Piece, right: _Piece) -> _Piece | None:
    same = all(
        left.document.metadata.get(key) == right.document.metadata.get(key)
        for key in ("source", "sha256", "page", "member", "type")
    )
    tiny = right.tokens < _TINY_TOKENS and _average(left) < _TINY_TOKENS
    if not same or not tiny or left.document is right.document:
        return None
    own = [part for part in right.heading.split(_SEPARATOR) if part]
    if left.heading == right.heading and right.start - left.end == len(_GAP):
        text = left.text + _GAP + right.text
        return _Piece(_marked(left), left.start, right.end, left.tokens + right.tokens, text, left.heading)
    if not own or right.start - left.end != 2 * len(_GAP) + len(own[-1]):
        return None
    parent, tail = _SEPARATOR.join(own[:-1]), f"{_GAP}{own[-1]}{_GAP}{right.text}"
    if "joined" in left.document.metadata and left.heading == parent:
        start, head = left.start, left.text
    else:
        mine = [part for part in left.heading.split(_SEPARATOR) if part]
        start = left.start - len(_GAP) - len(mine[-1]) if mine else -1
        free = before.end if before and _file(before) == _file(left) else 0
        if not mine or mine[:-1] != own[:-1] or start < free:
            return None
        head = mine[-1] + _GAP + left.text
    tokens = left.tokens + right.tokens + 2 * len(own[-1].split()) + 4
    return _Piece(_marked(left), start, right.end, tokens, head + tail, parent)


def _file(piece: _Piece) -> tuple[object, object]:
    return piece.document.metadata.get("source"), piece.document.metadata.get("sha256")


def _average(piece: _Piece) -> float:
    return piece.tokens / int(piece.document.metadata.get("joined", 1))


def _marked(piece: _Piece) -> Document:
    metadata = {**piece.document.metadata, "joined": int(piece.document.metadata.get("joined", 1)) + 1}
    return Document(page_content=piece.document.page_content, metadata=metadata)


def _fitting(pieces: list[_Piece], counter: _Counter, max_tokens: int) -> list[_Piece]:
    """Count each piece as it will be embedded, and cut again what does not fit.

    The sum over sentences is exact for tokenizers that never join words, and near it for others.
    """
    doubtful = [piece for piece in pieces if 2 * piece.tokens > max_tokens - counter.special - 40]
    totals = counter.whole([embedding_text(_chunk(piece)) for piece in doubtful])
    counts = dict(zip(map(id, doubtful), totals, strict=True))
    result: list[_Piece] = []
    for piece in pieces:
        excess = counts.get(id(piece), 0) - max_tokens
        if excess <= 0 or len(piece.text) < 2:
            result.append(piece)
            continue
        metadata = {**piece.document.metadata, "start": piece.start, "heading": piece.heading}
        inner = Document(page_content=piece.text, metadata=metadata)
        room = max(1, piece.tokens - excess - 2)
        atoms = counter.measured([(piece.text, atoms_of(piece.text))])[0]
        smaller = _packed(inner, counter.broken(piece.text, atoms, room), room, 0)
        if len(smaller) < 2:
            middle = len(piece.text) // 2
            halves = [Atom(0, middle, 0, 1), Atom(middle, len(piece.text), 0, 1)]
            smaller = [part for atom in halves for part in _packed(inner, [atom], 1, 0)]
        result.extend(_fitting(smaller, counter, max_tokens))
    return result


def _chunk(piece: _Piece) -> Document:
    metadata = {key: value for key, value in piece.document.metadata.items() if key != "joined"}
    if piece.heading != str(metadata.get("heading") or ""):
        metadata.pop("context", None)
    metadata["heading"] = piece.heading
    digest = str(metadata.pop("own_digest", None) or metadata["sha256"])
    metadata.update(id=f"{digest[:16]}:{piece.start}-{piece.end}", start=piece.start, end=piece.end)
    return Document(page_content=piece.text, metadata=metadata)
