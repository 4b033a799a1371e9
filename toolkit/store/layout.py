"""What a knowledge folder says of itself: its embedder, and where its collection is."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Literal

from filelock import Timeout
from langchain_core.documents import Document

from toolkit.documents.chunking import embedding_text
from toolkit.embedding import Embedder, EmbedderIdentity, load_embedder
from toolkit.embedding.langchain import PREFIX
from toolkit.errors import DataError, IndexMismatch
from toolkit.store import dense, derived
from toolkit.store.locking import LOCK_SECONDS, lock_of, lock_refused
from toolkit.store.manifest import FILE, SCHEMA_VERSION, Manifest

EMBEDDER = "embedder"
# Host and port of a Chroma server; "folder" for the knowledge folder itself; None leaves it where it is.
Place = tuple[str, int] | Literal["folder"] | None
# The same embedder gives the same text the same vector, but for the last digits of another processor.
_SAME = 0.99


def lay_out_store(folder: Path, embedder: Embedder, server: Place, sync_threshold: int | None) -> None:
    """Write the settings of a new folder; of an old one, where its collection is to be.

    Raises:
        StoreLocked: Another process is writing, and there is something to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = server if isinstance(server, tuple) else None
    # One that is there and stays where it is is only looked at: no reason to wait for its writer.
    stays = (folder / FILE).exists() and (server is None or _server_of(folder) == wanted)
    try:
        with lock_of(folder, 0.1 if stays else LOCK_SECONDS):
            _write_settings(folder, embedder, server, sync_threshold)
    except Timeout:
        if not stays:
            raise lock_refused(folder) from None


def _server_of(folder: Path) -> tuple[str, int] | None:
    """Return the server that a folder's collection is on, or None."""
    manifest = Manifest(folder)
    try:
        return derived.server_of(manifest)
    finally:
        manifest.close()


def _write_settings(folder: Path, embedder: Embedder, server: Place, sync_threshold: int | None) -> None:
    """Write the settings; the writer's lock must be held."""
    manifest = Manifest(folder)
    try:
        if manifest.setting(EMBEDDER) is not None:
            _move(folder, manifest, server)
            return
        with manifest.transaction():
            # The collection has still to be made, by one process alone.
            manifest.set_setting(derived.DIRTY, "1")
            manifest.set_setting("schema_version", str(SCHEMA_VERSION))
            manifest.set_setting(EMBEDDER, json.dumps(embedder.identity.to_dict()))
            if sync_threshold is not None:
                manifest.set_setting(derived.SYNC_THRESHOLD, str(sync_threshold))
            if isinstance(server, tuple):
                _put_server(manifest, server)
    finally:
        manifest.close()


def _move(folder: Path, manifest: Manifest, server: Place) -> None:
    """Let the collection be made anew in another place; the manifest holds all that it takes."""
    wanted = server if isinstance(server, tuple) else None
    if server is None or derived.server_of(manifest) == wanted:
        return
    derived.forget_collection(folder, manifest)
    with manifest.transaction():
        manifest.set_setting(derived.DIRTY, "1")
        if wanted is None:
            manifest.set_setting(derived.SERVER, "")
            manifest.set_setting(derived.COLLECTION_NAME, dense.COLLECTION)
        else:
            _put_server(manifest, wanted)


def _put_server(manifest: Manifest, server: tuple[str, int]) -> None:
    manifest.set_setting(derived.SERVER, json.dumps(server))
    # A name of its own: many bots may share a server.
    manifest.set_setting(derived.COLLECTION_NAME, f"housevoice-{uuid.uuid4().hex[:16]}")


def matching_embedder(folder: Path, manifest: Manifest, given: Embedder | None) -> Embedder:
    """Return the embedder to ask a folder with: the one given, or the one that it names.

    Raises:
        DataError: The folder was never laid out.
        IndexMismatch: Its vectors are of another embedder and cannot be compared.
    """
    raw = manifest.setting(EMBEDDER)
    if raw is None:
        raise DataError(f"{folder} holds no knowledge.", "Make it with: housevoice ingest <bot.yaml>")
    kept = EmbedderIdentity.from_dict(json.loads(raw))
    if given is None and kept.name.startswith(PREFIX):
        raise DataError(
            f"{folder} was embedded with {kept.name!r}, which cannot be loaded by its name.",
            "Hand the object over: Knowledge.open(folder, embedding=...).",
        )
    embedder = given or load_embedder(kept.name)
    remedy = (
        f"Set knowledge.embedder back to {kept.name!r}; or, to embed everything with the new one, remove "
        f"{folder} and run: housevoice ingest <bot.yaml>"
    )
    if not kept.same_as(embedder.identity):
        other = embedder.identity.to_dict()
        named = [
            f"{key} {value!r}, not {other[key]!r}"
            for key, value in kept.to_dict().items()
            if value != other[key]
        ]
        raise IndexMismatch(f"{folder} was embedded with {'; '.join(named)}.", remedy)
    if not (embedder.verified or _gives_the_same(manifest, embedder)):
        raise IndexMismatch(
            f"{folder} was embedded with {kept.name!r}, but that gives other vectors for the same text now.", remedy
        )
    return embedder


def _gives_the_same(manifest: Manifest, embedder: Embedder) -> bool:
    """Embed a text that is held and compare: an identity made from a name says little about the weights."""
    for chunk in manifest.chunks(manifest.ids(limit=1)).values():
        text = embedding_text(Document(page_content=chunk.text, metadata=chunk.metadata))
        cosine = float(embedder.encode([text])[0] @ manifest.vectors([chunk.id])[chunk.id])
        return cosine >= _SAME
    return True
