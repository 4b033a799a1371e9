"""What stands beside an adapter: its base, and the content of its files, checked before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from toolkit.errors import AdapterMismatch, DataError

BASE_RECORD = "housevoice_base.json"
# Beside the weights, what says how they are put on the base.
_SETTINGS = ("adapter_config.json", "config.json")

_AGAIN = "Bring the folder back from a copy, or tune it again with: housevoice tune <bot.yaml>"


def record_base(folder: Path, *, name: str, fingerprint: str, template: str) -> None:
    """Write beside a saved adapter which base it was trained on, and what its files hold.

    Args:
        folder: A PEFT folder that is written to its end.
        name: What the base is called in ``bot.yaml``.
        fingerprint: See :func:`toolkit.models.fingerprint`.
        template: See :func:`toolkit.prompts.template_hash`.
    """
    kept = [*folder.glob("*.safetensors"), *(folder / name for name in _SETTINGS if (folder / name).is_file())]
    files = {file.name: sha256_of(file) for file in sorted(kept)}
    record = {"base": name, "fingerprint": fingerprint, "template": template, "sha256": files}
    (folder / BASE_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def check_base(folder: Path, *, name: str, fingerprint: str) -> None:
    """Compare an adapter with its record, and the record with the base that it is about to be put on.

    PEFT itself loads an adapter of another base of the same shape without a word, and one with flipped bits as well.
    Nothing is loaded here: the files are read through once.

    Raises:
        DataError: Its files are not those that were written, or would run code when they are opened.
        AdapterMismatch: It was trained on another base.
    """
    check_files(folder)
    record = _read_record(folder)
    if record and record["fingerprint"] != fingerprint:
        raise AdapterMismatch(
            f"The adapter in {folder} was trained on '{record['base']}' ({record['fingerprint']}), "
            f"not on '{name}' ({fingerprint}).",
            "Open it with the base it was trained on, or tune it again with: housevoice tune <bot.yaml>",
        )


def check_files(folder: Path) -> None:
    """Compare the files of an adapter with its record.

    An adapter made elsewhere has no record, and one of an older version none of its files: nothing to compare with.

    Raises:
        DataError: They are not those that were written, or would run code when they are opened.
    """
    for file in sorted(folder.glob("adapter_model*")):
        # PEFT falls back to a pickle where there are no safetensors, and what runs code when opened has no place
        # beside them either: another tool may choose it.
        if file.suffix != ".safetensors":
            raise DataError(
                f"{file} is not safetensors: a pickle can run any code when it is opened.",
                "Save the adapter with PEFT's save_pretrained(..., safe_serialization=True) where you trust it.",
            )
    for name, written in _read_record(folder).get("sha256", {}).items():
        file = folder / name
        if not file.is_file():
            raise DataError(f"The adapter in {folder} is not whole: {name} is missing.", _AGAIN)
        if sha256_of(file) != written:
            raise DataError(f"{file} is not what the tune wrote: it was damaged or exchanged.", _AGAIN)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the record beside an adapter; an empty one where there is none.

    Raises:
        DataError: It is damaged.
    """
    file = folder / BASE_RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is damaged: {error}", _AGAIN) from error
    known = isinstance(record, dict) and all(isinstance(record.get(name), str) for name in ("base", "fingerprint"))
    files = record.get("sha256", {}) if known else None
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise DataError(f"{file} is damaged: it names no base.", _AGAIN)
    return dict(record)
