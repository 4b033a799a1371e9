"""Base models named by the content of their weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def fingerprint(path: str, revision: str | None = None) -> str:
    """Name the weights of a base model by their content.

    A folder is named by its configuration, the header of each safetensors file and 64 blocks of 64 KiB spread
    evenly over each, so that another base of the same shape gets another name while 14 GB are not read through.
    A hub id is named by the commit in the hub's own cache.

    Args:
        path: The folder or hub id.
        revision: Branch, tag or commit of a hub id.

    Returns:
        16 hexadecimal digits, or ``hub:<id>@<commit>``; the commit is ``None`` for an id that was not fetched yet.
    """
    folder = Path(path)
    if not folder.is_dir():
        return f"hub:{path}@{_cached_commit(path, revision)}"
    digest = hashlib.sha256()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key in ("architectures", "hidden_size", "num_hidden_layers", "vocab_size"):
        digest.update(repr(config.get(key)).encode())
    for file in sorted(folder.glob("*.safetensors")):
        size, block, count = file.stat().st_size, 1 << 16, 64
        digest.update(f"{file.name}:{size}".encode())
        with file.open("rb") as handle:
            for index in range(count):
                handle.seek(max(0, (size - block) * index // (count - 1)))
                digest.update(handle.read(block))
    return digest.hexdigest()[:16]


def _cached_commit(name: str, revision: str | None) -> str | None:
    """Return the commit of a hub id that lies in the local cache, or None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    # A cached file lies in .../snapshots/<commit>/config.json.
    return Path(found).parent.name if isinstance(found, str) else None
