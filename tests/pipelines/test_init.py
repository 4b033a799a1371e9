"""Laying out a new bot: what is written can be read, and explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.init import commented_config, lay_out_sources
from toolkit.config import BotConfig, load_config
from toolkit.errors import DataError
from toolkit.examples import read_examples


def test_what_is_laid_out_can_be_read(tmp_path: Path) -> None:
    written = lay_out_sources(tmp_path / "My bot!")
    assert [path.name for path in written] == ["bot.yaml", "documents", "voice.jsonl"]
    config, _ = load_config(tmp_path / "My bot!")
    assert config.name == "My-bot"
    assert config.output == (tmp_path / "bots" / "My-bot").resolve()
    assert config.knowledge is not None
    assert config.voice is not None
    assert config.knowledge.documents.is_dir()
    assert len(read_examples(config.voice.examples)) == 2


def test_the_defaults_are_written_as_they_are(tmp_path: Path) -> None:
    lay_out_sources(tmp_path / "bot")
    config, _ = load_config(tmp_path / "bot")
    plain = BotConfig.model_validate({"name": "bot", "knowledge": {}, "voice": {}})
    for section in ("base", "chain", "evaluation"):
        assert getattr(config, section) == getattr(plain, section)
    assert config.voice is not None
    assert plain.voice is not None
    assert config.voice.model_dump(exclude={"examples"}) == plain.voice.model_dump(exclude={"examples"})


def test_every_key_is_there_and_explained() -> None:
    text = commented_config("bot")
    raw = yaml.safe_load(text)
    config = BotConfig.model_validate(raw)
    for name in ("base", "knowledge", "voice", "chain", "evaluation"):
        assert set(raw[name]) == set(type(getattr(config, name)).model_fields)
    settings = [line for line in text.splitlines() if line.startswith("  ")]
    assert settings
    assert all("  # " in line for line in settings)


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "bot"
    folder.mkdir()
    (folder / "voice.jsonl").write_text("mine")
    lay_out_sources(folder)
    assert (folder / "voice.jsonl").read_text() == "mine"
    with pytest.raises(DataError, match="exists already"):
        lay_out_sources(folder)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "bot").write_text("")
    with pytest.raises(DataError, match="is a file"):
        lay_out_sources(tmp_path / "bot")


@pytest.mark.parametrize(("name", "bot"), [("ä ö", "mybot"), ("--", "mybot"), (".hidden", "hidden"), ("x" * 90, None)])
def test_any_folder_name_gives_a_bots_name(name: str, bot: str | None, tmp_path: Path) -> None:
    lay_out_sources(tmp_path / name)
    config, _ = load_config(tmp_path / name)
    assert bot is None or config.name == bot
