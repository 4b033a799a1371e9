"""Writing sources into the manifest: embedded first, then all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.embedding import Embedder
from toolkit.store.manifest import Manifest
from toolkit.store.prepare import PreparedSource
from toolkit.store.vocabulary import Vocabulary


def store_batch(
    manifest: Manifest, vocabulary: Vocabulary, embedder: Embedder, batch: Sequence[PreparedSource], *, keep: bool
) -> list[list[str]]:
    """Write sources together, or none of them.

    Args:
        manifest: Where they are written; the writer's lock must be held.
        vocabulary: Numbers their words.
        embedder: Embeds those texts that were not before.
        batch: What to write.
        keep: Whether chunks that a source has besides stay.

    Returns:
        The ids of each source's chunks.

    Raises:
        StoreFull: The disk is full; nothing was written.
    """
    new = _unknown(manifest, batch)
    # Embedded outside of the transaction: it takes long, and searches must not wait for it.
    vectors = embedder.encode(list(new.values()))
    with manifest.transaction():
        manifest.put_embedded(list(new), vectors, vocabulary.learn(list(new.values())))
        ids = [_put(manifest, prepared, keep=keep) for prepared in batch]
        manifest.sweep()
    return ids


def _unknown(manifest: Manifest, batch: Sequence[PreparedSource]) -> dict[str, str]:
    """Return the texts that have to be embedded, by their hash."""
    texts = {
        digest: text
        for prepared in batch
        for digest, text in zip(prepared.digests, prepared.texts, strict=True)
    }
    known = manifest.known_digests(list(texts))
    return {digest: text for digest, text in texts.items() if digest not in known}


def _put(manifest: Manifest, prepared: PreparedSource, *, keep: bool) -> list[str]:
    """Write the chunks of one source; what embeds them is kept already."""
    old = manifest.ids_of(prepared.source)
    chunks = prepared.chunks(
        manifest.owner([str(document.metadata["id"]) for document in prepared.documents])
    )
    new = [chunk.id for chunk in chunks]
    if not (keep and old):
        manifest.put_source(prepared.source, prepared.sha256, prepared.parser_version)
    manifest.put_chunks(chunks, manifest.next_position(prepared.source) if keep else 0)
    if not keep:
        manifest.drop_chunks(sorted(set(old) - set(new)))
    return new
