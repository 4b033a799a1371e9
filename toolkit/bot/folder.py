"""The bot folder: what is in it, and its resolved settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from toolkit.config import BotConfig, dump_config
from toolkit.errors import DataError
from toolkit.files import mend_folder, write_text


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
    def tuned(self) -> Path:
        """An adapter that is being written, or measured."""
        return self.root / "adapter.tuned"

    @property
    def rejected(self) -> Path:
        """An adapter that did not pass its measurements."""
        return self.root / "adapter.rejected"

    @property
    def voice(self) -> Path:
        """The adapter of the example replies alone, where that in its place has learnt preferences as well."""
        return self.root / "adapter.voice"

    @property
    def tune_report(self) -> Path:
        """What the tune that made the adapter did."""
        return self.adapter / "tune.json"

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
    def builds(self) -> Path:
        """A line a build: when it was, and what was measured of it."""
        return self.root / "builds.jsonl"

    @property
    def work(self) -> Path:
        """Unfinished work that a later run goes on from."""
        return self.root / ".work"

    def has_adapter(self) -> bool:
        """Tell whether a finished adapter is there; one that a killed tune left aside is brought back first."""
        mend_folder(self.adapter)
        return (self.adapter / "adapter_config.json").is_file()

    def is_fitted(self) -> bool:
        """Tell whether the settings, and what the chain was fitted with, are there."""
        fitted = [self.chain / name for name in ("lexicon.json", "voice.json", "route.json")]
        return all(path.is_file() for path in [self.config, *fitted])


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
