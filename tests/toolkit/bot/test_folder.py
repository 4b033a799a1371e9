"""The bot folder: written whole, read back, and refused by name where it does not fit what is there."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from toolkit.answering import Gate, Router, Scales
from toolkit.answering.checking import Frames
from toolkit.answering.gate import FEATURES
from toolkit.bot import (
    BotFolder,
    ChainParts,
    Inputs,
    Lock,
    check_lock,
    installed_versions,
    read_config,
    read_lock,
    read_parts,
    write_config,
    write_lock,
    write_parts,
)
from toolkit.config import parse_config
from toolkit.errors import AdapterMismatch, DataError, ModelError
from toolkit.files import write_text
from toolkit.language import ENGLISH, LANGUAGES, NEUTRAL, Language, Lexicon


def folder(place: Path) -> BotFolder:
    place.mkdir(exist_ok=True)
    return BotFolder(place)


def test_a_lock_reads_back_with_the_versions(tmp_path: Path) -> None:
    place = folder(tmp_path)
    assert read_lock(place) == Lock()
    lock = Lock({"name": "b", "fingerprint": "f"}, "t", {"name": "hash"}, {}, Inputs(tune="1"))
    write_lock(place, lock)
    assert read_lock(place) == lock
    assert lock.libraries == installed_versions()
    assert {"torch", "peft", "transformers"} <= set(lock.libraries)


def test_another_base_is_refused_with_both_named() -> None:
    lock = Lock(base={"name": "mine", "fingerprint": "aaa"}, template="t")
    check_lock(lock, fingerprint="aaa", template="t")
    with pytest.raises(AdapterMismatch) as caught:
        check_lock(lock, fingerprint="bbb", template="t")
    assert all(part in caught.value.message for part in ("mine", "aaa", "bbb"))
    assert caught.value.hint


def test_another_template_is_refused_with_both_named() -> None:
    with pytest.raises(ModelError, match="chat template") as caught:
        check_lock(Lock(base={"name": "m", "fingerprint": "a"}, template="old"), fingerprint="a", template="new")
    assert "old" in caught.value.message
    assert "new" in caught.value.message


def test_an_empty_lock_compares_with_nothing() -> None:
    check_lock(Lock(), fingerprint="a", template="b")


def test_a_lock_of_another_version_names_nothing_that_is_not_known(tmp_path: Path) -> None:
    old = {"base": {"name": "b", "fingerprint": "f"}, "inputs": {"made_from": "1", "tune": "2"}}
    (tmp_path / "lock.json").write_text(json.dumps(old))
    lock = read_lock(BotFolder(tmp_path))
    assert lock.inputs == Inputs(tune="2")
    assert lock.base["name"] == "b"
    (tmp_path / "lock.json").write_text(json.dumps({"template": "t"}))
    assert read_lock(BotFolder(tmp_path)).inputs == Inputs()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"surprise": 1}', '{"inputs": ["1"]}', '{"inputs": {"tune": 1}}']
)
def test_a_damaged_lock_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text(content)
    with pytest.raises(DataError, match=r"lock\.json"):
        read_lock(BotFolder(tmp_path))


def test_settings_read_back(tmp_path: Path) -> None:
    config = parse_config({"name": "a", "knowledge": {}, "voice": {}}, tmp_path / "bot.yaml")
    place = BotFolder(tmp_path / "bots" / "a")
    write_config(place, config)
    with pytest.raises(DataError, match="looks like a bot's sources"):
        read_config(place)
    write_lock(place, Lock())
    assert read_config(place) == config


def test_a_folder_that_is_no_bot_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a built bot") as caught:
        read_config(BotFolder(tmp_path / "none"))
    assert "housevoice build" in caught.value.hint


@pytest.mark.parametrize("content", ["name: a\nvoice: {zzz: 1}\n", "name: [", "3"])
def test_damaged_settings_are_named(content: str, tmp_path: Path) -> None:
    write_lock(folder(tmp_path), Lock())
    (tmp_path / "bot.yaml").write_text(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_config(BotFolder(tmp_path))


def parts(gate: Gate | None, router: Router | None = None, language: Language = ENGLISH) -> ChainParts:
    return ChainParts(
        gate,
        Lexicon(3, Counter({"lamp": 2, "öl": 1}), language),
        frozenset({"ahoy", "fair"}),
        "Nay, frænd.",
        router,
        Scales(0.5, -1.0, -2.0, -3.0, 4.0, Frames(("Ahøy!", "Fair winds."), 0.75) if router else None),
        ("Lamps", "Öl"),
    )


def test_parts_of_the_chain_read_back(tmp_path: Path) -> None:
    zeros = [0.0] * len(FEATURES)
    gate = Gate(zeros, 0.5, zeros, zeros, 0.25, near=0.5, reader="bundled@1", report={"answerable": 3.0})
    router = Router([[0.5, 1.0]] * 3, [0.0, 1.0, 2.0], {"talk": 7.0})
    german, neutral = LANGUAGES["de"], NEUTRAL
    for fitted in (parts(gate, router), parts(None), parts(gate, None, german), parts(None, router, neutral)):
        write_parts(folder(tmp_path), fitted)
        back = read_parts(BotFolder(tmp_path))
        assert back == fitted
        assert back.lexicon.language is fitted.lexicon.language
        assert (tmp_path / "chain" / "gate.json").exists() is (fitted.gate is not None)


def test_a_bot_is_fitted_when_all_of_it_is_there(tmp_path: Path) -> None:
    place = folder(tmp_path)
    write_config(place, parse_config({"name": "a", "voice": {}}, tmp_path / "bot.yaml"))
    assert not place.is_fitted()
    write_parts(place, parts(None))
    assert place.is_fitted()
    for name in ("lexicon.json", "voice.json", "route.json"):
        (place.chain / name).unlink()
        assert not place.is_fitted()
        write_parts(place, parts(None))


@pytest.mark.parametrize("name", ["lexicon.json", "voice.json", "route.json"])
def test_missing_parts_are_named(name: str, tmp_path: Path) -> None:
    write_parts(folder(tmp_path), parts(None))
    (tmp_path / "chain" / name).unlink()
    with pytest.raises(DataError, match=name):
        read_parts(BotFolder(tmp_path))


def test_parts_of_another_version_are_named(tmp_path: Path) -> None:
    write_parts(folder(tmp_path), parts(None))
    file = tmp_path / "chain" / "voice.json"
    voice = json.loads(file.read_text())
    del voice["scales"]["frames"]
    file.write_text(json.dumps(voice))
    with pytest.raises(DataError, match="another version") as caught:
        read_parts(BotFolder(tmp_path))
    assert "housevoice build" in caught.value.hint


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    write_text(file, "old")
    assert file.stat().st_mode & 0o777 == 0o644

    def fail(*args: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_built_bot_holds(small_bot: Path) -> None:
    place = BotFolder(small_bot)
    assert place.has_adapter()
    lock = json.loads(place.lock.read_text())
    assert set(lock) == {"base", "template", "embedder", "libraries", "inputs"}
    assert lock["base"]["fingerprint"]
    assert lock["template"]
    assert lock["embedder"]["dimension"] == 256
    fitted = [place.chain / name for name in ("gate.json", "lexicon.json", "route.json", "voice.json")]
    for part in (place.config, place.adapter / "tune.json", *fitted, place.report / "report.json"):
        assert part.is_file(), part
    assert not [path for path in place.adapter.rglob("*") if path.suffix in (".bin", ".pkl", ".pt")]
