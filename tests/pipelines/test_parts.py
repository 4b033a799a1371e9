"""The parts of a job: opened when they are needed, once, handed on, and closed at the end."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.parts import Openers, Parts, open_base
from tests.conftest import Sources
from toolkit.config import BaseSettings, BotConfig, load_config
from toolkit.errors import DataError
from toolkit.models import Choice, LoadedModel
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder, KeywordReader


@pytest.fixture
def config(make_sources: Callable[..., Sources], tiny_base: Path) -> BotConfig:
    return load_config(make_sources(tiny_base).config)[0]


def doubles(**openers: Any) -> Openers:
    return Openers(**{"embedder": lambda settings: HashEmbedder(256)} | openers)


class Bases:
    """Opens the tiny base, whatever the quantisation, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.models: list[weakref.ref[Any]] = []

    def __call__(self, settings: BaseSettings, quantization: str, on_progress: Any) -> LoadedModel:
        self.asked.append(quantization)
        loaded = open_base(settings, "none", on_progress)
        self.models.append(weakref.ref(loaded.model))
        return dataclasses.replace(loaded, quantization=Choice(quantization, "a double"))


def change(config: BotConfig, **sections: dict[str, Any]) -> BotConfig:
    """Return settings with some of them changed."""
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    )


def test_nothing_is_opened_before_it_is_needed(config: BotConfig) -> None:
    with Parts(config) as parts:
        assert not parts.opened
        assert parts.fingerprint()
        assert len(parts.documents()) == 3
        assert not parts.opened


def test_what_was_opened_is_handed_on(config: BotConfig) -> None:
    bases = Bases()
    with Parts(config, openers=doubles(base=bases, reader=lambda settings: KeywordReader())) as parts:
        parts.hand_in(Knowledge.create(parts.folder.knowledge, parts.embedder()))
        for part in (parts.base, parts.model, parts.embedder, parts.knowledge, parts.reader, parts.examples):
            assert part() is part()
        assert parts.knowledge() is not None
        assert parts.tokenizer() is parts.base().tokenizer
        assert parts.fingerprint() == parts.base().fingerprint
        assert parts.opened == {"base": 1, "embedder": 1, "knowledge": 1, "reader": 1, "examples": 1}
    assert bases.asked == ["none"]
    assert bases.models[0]() is None


def test_what_a_bot_lacks_is_not_opened(config: BotConfig) -> None:
    bare = config.model_copy(update={"knowledge": None, "voice": None})
    with Parts(bare) as parts:
        parts.check_inputs()
        assert parts.knowledge() is None
        assert (parts.documents(), parts.examples(), parts.questions(None)) == ([], ([], []), [])
        assert not parts.opened


def test_knowledge_that_was_not_ingested_is_named(config: BotConfig) -> None:
    with Parts(config, openers=doubles()) as parts, pytest.raises(DataError, match="holds no knowledge"):
        parts.knowledge()


def test_the_knowledge_is_closed_at_the_end_even_of_a_failure(config: BotConfig) -> None:
    def fail(parts: Parts) -> None:
        with parts:
            closed.append(parts.hand_in(Knowledge.create(parts.folder.knowledge, parts.embedder())))
            raise KeyboardInterrupt

    closed: list[Knowledge] = []
    with pytest.raises(KeyboardInterrupt):
        fail(Parts(config, openers=doubles()))
    with pytest.raises(Exception, match="closed"):
        closed[0].count()


def test_knowledge_is_searched_as_the_settings_say(config: BotConfig) -> None:
    with Parts(change(config, knowledge={"mmr": 0.5, "join_neighbours": 2}), openers=doubles()) as parts:
        options = parts.hand_in(Knowledge.create(parts.folder.knowledge, parts.embedder())).options
    assert (options.mmr, options.reranker, options.expand) == (0.5, None, 2)


def test_lora_tunes_the_base_that_answers(config: BotConfig) -> None:
    bases = Bases()
    with Parts(config, openers=doubles(base=bases)) as parts:
        with parts.base_for_tuning() as lent:
            assert lent.model is parts.base().model
            assert str(lent.quantization) == "none (set in bot.yaml)"
        assert parts.opened["base"] == 1


@pytest.mark.parametrize("served", [False, True])
def test_qlora_tunes_weights_of_its_own_and_drops_them(config: BotConfig, served: bool) -> None:
    bases = Bases()
    nf4 = change(config, voice={"quantization": "nf4"}, base={"load_in_4bit": served})
    with Parts(nf4, openers=doubles(base=bases)) as parts:
        answering = parts.base().model
        with parts.base_for_tuning() as lent:
            assert lent.model is not answering
            del lent
        assert bases.models[1]() is None
        assert parts.base().model is answering
        assert parts.opened["base"] == 2
    assert bases.asked == ["nf4" if served else "none", "nf4"]


def test_an_input_has_the_name_that_it_had_when_it_was_read(config: BotConfig) -> None:
    assert config.voice is not None
    file = config.voice.examples
    with Parts(config) as parts:
        parts.check_inputs()
        before = parts.input_hashes()
        file.write_text(file.read_text().splitlines()[0] + "\n")
        assert parts.input_hashes() == before
        assert len(parts.examples()[0]) > 1
    with Parts(config.model_copy(update={"voice": config.voice.model_copy(update={"min_examples": 1})})) as parts:
        assert parts.input_hashes() != before


def test_splits_of_the_questions_are_read_once(config: BotConfig, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "A?", "split": "test"}\n{"question": "B?", "split": "tune"}\n')
    asked = change(config, evaluation={"questions": file, "split": "test", "calibration_split": "tune"})
    with Parts(asked) as parts:
        parts.check_inputs()
        assert [question.question for question in parts.questions("test")] == ["A?"]
        assert [question.question for question in parts.calibration()] == ["B?"]
        assert parts.opened["questions"] == 1
        with pytest.raises(DataError, match="no questions of the split 'other'"):
            parts.questions("other")
