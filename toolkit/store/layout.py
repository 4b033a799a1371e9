"""What a knowledge folder says of itself: its embedder, and where its collection is."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from toolkit.embedding import Embedder, EmbedderIdentity, load_embedder
from toolkit.errors import DataError, IndexMismatch
from toolkit.store import derived
from toolkit.store.manifest import SCHEMA_VERSION, Manifest

EMBEDDER = "embedder"


def lay_out(
    folder: Path, embedder: Embedder, server: tuple[str, int] | None, sync_threshold: int | None
) -> None:
    """Write the settings of a new folder; those of an old one stay. The writer's lock must be held."""
    manifest = Manifest(folder)
    try:
        if manifest.setting(EMBEDDER) is not None:
            return
        with manifest.transaction():
            # The collection has still to be made, by one process alone.
            manifest.set_setting(derived.DIRTY, "1")
            manifest.set_setting("schema_version", str(SCHEMA_VERSION))
            manifest.set_setting(EMBEDDER, json.dumps(embedder.identity.to_dict()))
            if sync_threshold is not None:
                manifest.set_setting(derived.SYNC_THRESHOLD, str(sync_threshold))
            if server is not None:
                manifest.set_setting(derived.SERVER, json.dumps(server))
                manifest.set_setting(derived.COLLECTION_NAME, f"housevoice-{uuid.uuid4().hex[:16]}")
    finally:
        manifest.close()


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
    embedder = given or load_embedder(kept.name)
    if kept != embedder.identity:
        other = embedder.identity.to_dict()
        named = [
            f"{key} {value!r}, not {other[key]!r}"
            for key, value in kept.to_dict().items()
            if value != other[key]
        ]
        raise IndexMismatch(
            f"{folder} was embedded with {'; '.join(named)}.",
            f"Open it with the embedder {kept.name!r}, or ingest the documents into a new folder.",
        )
    return embedder
