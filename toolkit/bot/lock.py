"""The lock of a bot: what it was built with, compared when it is opened."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from toolkit.bot.folder import BotFolder
from toolkit.errors import AdapterMismatch, DataError, ModelError
from toolkit.files import write_text

LOCKED_LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "chromadb", "langchain-core")


@dataclass
class Inputs:
    """What went into each step of a build, named by its content, so that an unchanged step is not done again.

    A name that is missing in an older lock is empty, which is the name of nothing: that step is done again.

    Attributes:
        prepare: Examples, questions, settings, base, knowledge and code that rows and gate were made from; empty
            where the adapter was not tuned on them.
        knowledge: What was held of each source.
        rows: The rows that were woven, and the decline.
        tune: The rows, the settings and the base that the adapter was trained on.
        prefer: The voice and the preferences that the adapter was trained on besides; empty without any.
        evaluate: The bot that was measured, and what it was asked.
    """

    prepare: str = ""
    knowledge: str = ""
    rows: str = ""
    tune: str = ""
    prefer: str = ""
    evaluate: str = ""

    @classmethod
    def read(cls, raw: Any) -> Inputs:
        """Take up what another version wrote, as far as the names are known here.

        Raises:
            TypeError: It is no record of names.
        """
        known = {one.name for one in fields(cls)}
        if not isinstance(raw, dict) or not all(isinstance(raw[name], str) for name in known & set(raw)):
            raise TypeError("'inputs' must be an object of strings")
        return cls(**{name: raw[name] for name in known & set(raw)})


@dataclass
class Lock:
    """What a bot was built with.

    Attributes:
        base: Name and fingerprint of the base model.
        template: Name of tokenizer and chat template by their content.
        embedder: The embedder's identity, or None without knowledge.
        libraries: Versions of what wrote the folder.
        inputs: What went into each step.
    """

    base: dict[str, str] = field(default_factory=dict)
    template: str = ""
    embedder: dict[str, Any] | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    inputs: Inputs = field(default_factory=Inputs)


def read_lock(folder: BotFolder) -> Lock:
    """Read the lock; an empty one where there is none yet.

    Raises:
        DataError: It is damaged.
    """
    if not folder.lock.is_file():
        return Lock()
    try:
        raw = json.loads(folder.lock.read_text(encoding="utf-8"))
        return Lock(**raw | {"inputs": Inputs.read(raw.get("inputs", {}))})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{folder.lock} is damaged: {error}", "Remove it and build the bot again.") from error


def write_lock(folder: BotFolder, lock: Lock) -> None:
    """Write the lock with the versions of the libraries that are installed now."""
    lock.libraries = installed_versions()
    write_text(folder.lock, json.dumps(asdict(lock), indent=2) + "\n")


def installed_versions() -> dict[str, str]:
    """Return the versions of the libraries that a bot depends on, of those that are installed."""
    versions = {}
    for name in LOCKED_LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def check_lock(lock: Lock, *, fingerprint: str, template: str) -> None:
    """Compare the lock with the base model that was loaded.

    Raises:
        AdapterMismatch: The base has other weights than the bot was built with.
        ModelError: Its tokenizer or chat template renders other prompts.
    """
    if lock.base and lock.base["fingerprint"] != fingerprint:
        raise AdapterMismatch(
            f"This bot was built on '{lock.base['name']}' ({lock.base['fingerprint']}), and the base found now is "
            f"another one ({fingerprint}).",
            "Bring the old base back, or build the bot again.",
        )
    if lock.template and lock.template != template:
        raise ModelError(
            f"The chat template or the tokenizer of the base changed: the bot was built with {lock.template}, "
            f"found {template}.",
            "Bring the old tokenizer back, or build the bot again.",
        )
