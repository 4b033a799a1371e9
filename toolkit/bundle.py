"""The bot folder: what is in it, how it is written, and the lock that is compared when it is opened."""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolkit.config import BotConfig, dump_config
from toolkit.errors import AdapterMismatch, DataError, ModelError
from toolkit.gate import Gate
from toolkit.words import Lexicon

LOCKED_LIBRARIES = ("torch", "transformers", "peft", "trl", "bitsandbytes", "chromadb", "langchain-core")


@dataclass(frozen=True)
class BotFolder:
    """The places in a bot folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "bot.yaml"

    @property
    def lock(self) -> Path:
        """What the bot was built with."""
        return self.root / "lock.json"

    @property
    def adapter(self) -> Path:
        """A plain PEFT folder."""
        return self.root / "adapter"

    @property
    def knowledge(self) -> Path:
        """Chroma and the manifest."""
        return self.root / "knowledge"

    @property
    def chain(self) -> Path:
        """What the chain was fitted with: gate, lexicon, voice."""
        return self.root / "chain"

    @property
    def report(self) -> Path:
        """The evaluation."""
        return self.root / "report"

    @property
    def work(self) -> Path:
        """Unfinished work that a later run goes on from."""
        return self.root / ".work"

    def has_adapter(self) -> bool:
        """Tell whether a finished adapter is there."""
        return (self.adapter / "adapter_config.json").is_file()

    def is_fitted(self) -> bool:
        """Tell whether the settings, and what the chain was fitted with, are there."""
        return all(path.is_file() for path in (self.config, self.chain / "lexicon.json", self.chain / "voice.json"))


@dataclass
class Lock:
    """What a bot was built with.

    Attributes:
        base: Name and fingerprint of the base model.
        template: Name of tokenizer and chat template by their content.
        embedder: The embedder's identity, or None without knowledge.
        libraries: Versions of what wrote the folder.
        inputs: A digest of what went into each step, so that an unchanged step is not done again.
    """

    base: dict[str, str] = field(default_factory=dict)
    template: str = ""
    embedder: dict[str, Any] | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


def read_lock(folder: BotFolder) -> Lock:
    """Read the lock; an empty one where there is none yet.

    Raises:
        DataError: It is damaged.
    """
    if not folder.lock.is_file():
        return Lock()
    try:
        return Lock(**json.loads(folder.lock.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder.lock} is damaged: {error}", "Remove it and build the bot again.") from error


def write_lock(folder: BotFolder, lock: Lock) -> None:
    """Write the lock with the versions of the libraries that are installed now."""
    lock.libraries = installed_versions()
    write_text(folder.lock, json.dumps(lock.__dict__, indent=2) + "\n")


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


def write_config(folder: BotFolder, config: BotConfig) -> None:
    """Write the resolved configuration into the bot folder."""
    folder.root.mkdir(parents=True, exist_ok=True)
    write_text(folder.config, dump_config(config))


def read_config(folder: BotFolder) -> BotConfig:
    """Read the resolved configuration of a bot.

    Raises:
        DataError: The folder is not a bot, or was written by another version.
    """
    if not folder.config.is_file() or not folder.lock.is_file():
        looks = " It looks like a bot's sources." if folder.config.is_file() else ""
        raise DataError(f"{folder.root} is not a built bot.{looks}", "Build one with: housevoice build <bot.yaml>")
    try:
        return BotConfig.model_validate(yaml.safe_load(folder.config.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise DataError(f"{folder.config} cannot be read: {error}", "Build the bot again.") from error


@dataclass
class ChainParts:
    """What the chain was fitted with at build time.

    Attributes:
        gate: The fitted gate, or None where there was too little to fit it on.
        lexicon: How rare words are in the documents.
        voice: Stems that the example replies use of their own.
        decline: The reply where the documents do not tell.
    """

    gate: Gate | None
    lexicon: Lexicon
    voice: frozenset[str]
    decline: str


def write_parts(folder: BotFolder, parts: ChainParts) -> None:
    """Write what the chain was fitted with."""
    folder.chain.mkdir(parents=True, exist_ok=True)
    gate = folder.chain / "gate.json"
    if parts.gate:
        parts.gate.save(gate)
    else:
        gate.unlink(missing_ok=True)
    lexicon = {"passages": parts.lexicon.passages, "holding": dict(parts.lexicon.holding)}
    write_text(folder.chain / "lexicon.json", json.dumps(lexicon, ensure_ascii=False) + "\n")
    voice = {"decline": parts.decline, "words": sorted(parts.voice)}
    write_text(folder.chain / "voice.json", json.dumps(voice, ensure_ascii=False, indent=2) + "\n")


def read_parts(folder: BotFolder) -> ChainParts:
    """Read what the chain was fitted with.

    Raises:
        DataError: The folder lacks it.
    """
    from collections import Counter

    try:
        lexicon = json.loads((folder.chain / "lexicon.json").read_text(encoding="utf-8"))
        voice = json.loads((folder.chain / "voice.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing.", "Build the bot again.") from error
    gate = folder.chain / "gate.json"
    return ChainParts(
        gate=Gate.load(gate) if gate.is_file() else None,
        lexicon=Lexicon(lexicon["passages"], Counter(lexicon["holding"])),
        voice=frozenset(voice["words"]),
        decline=voice["decline"],
    )


def nearest_folder(path: Path) -> Path:
    """Return the nearest path at or above one that exists: the disk that it will lie on."""
    while not path.exists():
        path = path.parent
    return path


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
