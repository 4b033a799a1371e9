"""The steps of a build: each is fresh as long as nothing that it is made from changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.build import build_from
from pipelines.evaluating import EvaluateStep
from pipelines.ingest import IngestStep
from pipelines.parts import Openers, Parts
from pipelines.prepare import Prepared, PrepareStep
from pipelines.steps import do
from pipelines.tune import TuneStep, tune_digest
from tests.conftest import Sources, write_sources
from toolkit.answering import Route
from toolkit.bot import BotFolder, ChainParts, read_lock, write_lock
from toolkit.config import load_config
from toolkit.embedding import BUNDLED_NAME
from toolkit.examples import Example
from toolkit.language import Lexicon
from toolkit.seam import SeamRow
from toolkit.testing import HashEmbedder, KeywordReader

ALL_FRESH = {"ingest": True, "prepare": True, "tune": True, "evaluate": True}
QUESTIONS = '{"question": "What does the Ember lamp cost?", "facts": [["40"]], "sources": ["lamp.md"]}\n'


def opened(sources: Sources) -> Parts:
    """Return the parts of a bot; its embedder passes for the bundled one, which is known without loading it."""
    openers = Openers(
        embedder=lambda settings: HashEmbedder(256, name=BUNDLED_NAME), reader=lambda settings: KeywordReader()
    )
    return Parts(load_config(sources.config)[0], openers=openers)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Sources:
    """Sources whose bot was built."""
    sources = write_sources(tmp_path_factory.mktemp("steps") / "sources", tiny_base)
    (sources.folder / "questions.jsonl").write_text(QUESTIONS)
    sources.change(evaluation={"questions": "questions.jsonl"}, voice={"num_train_epochs": 1})
    with opened(sources) as parts:
        build_from(parts)
    return sources


@pytest.fixture
def sources(built: Sources) -> Iterator[Sources]:
    """The same sources, to be changed: what was changed is put back, but for the weights."""
    places = (built.folder, built.output)
    kept = {file: file.read_bytes() for place in places for file in place.rglob("*") if file.is_file()}
    yield built
    for place in places:
        for file in place.rglob("*"):
            if file.is_file() and file not in kept:
                file.unlink()
    for file, content in kept.items():
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def freshness(sources: Sources) -> dict[str, bool]:
    """Tell which steps have nothing to do."""
    with opened(sources) as parts:
        fresh = {
            step.name: step.is_fresh(parts)  # type: ignore[attr-defined]
            for step in (IngestStep(), PrepareStep(tuning=True), TuneStep(None), EvaluateStep())
        }
        assert not {"base", "embedder", "knowledge"} & set(parts.opened), "a look at what changed loads nothing"
    return fresh


def stale(sources: Sources) -> set[str]:
    return {name for name, fresh in freshness(sources).items() if not fresh}


def test_all_is_fresh_after_a_build(sources: Sources) -> None:
    assert freshness(sources) == ALL_FRESH


def test_a_build_of_what_did_not_change_opens_nothing_but_the_inputs(sources: Sources) -> None:
    notes: list[str] = []
    with opened(sources) as parts:
        parts.note = notes.append
        result = build_from(parts)
    assert result.opened == {"examples": 1, "questions": 1}
    assert result.seconds == {}
    assert result.ingest is not None
    assert len(result.ingest.unchanged) == 3
    assert result.ingest.chunks >= 3
    assert result.tune is not None
    assert not result.tune.done
    assert result.evaluation is None
    assert [note.split(":")[0] for note in notes] == ["Documents", "The voice is up to date."]


INPUTS: dict[str, tuple[Callable[[Sources], Any], set[str]]] = {
    "a document changed": (lambda it: (it.documents / "lamp.md").write_text("The lamp is off."), {"ingest"}),
    "a document was added": (lambda it: (it.documents / "new.md").write_text("A new one."), {"ingest"}),
    "a document is gone": (lambda it: (it.documents / "lamp.md").unlink(), {"ingest"}),
    "passages are cut shorter": (
        lambda it: it.change(knowledge={"chunk_tokens": 64}), {"ingest", "prepare", "evaluate"}
    ),
    "an example reply is gone": (
        lambda it: it.voice.write_text("".join(it.voice.read_text().splitlines(keepends=True)[:-1])),
        {"prepare", "evaluate"},
    ),
    "a question was added": (
        lambda it: (it.folder / "questions.jsonl").write_text(QUESTIONS * 2), {"prepare", "evaluate"}
    ),
    "a setting of the chain changed": (lambda it: it.change(chain={"max_new_tokens": 13}), {"prepare", "evaluate"}),
    "another reader is named": (lambda it: it.change(chain={"reader": "none"}), {"prepare", "evaluate"}),
    "the bot has another title": (lambda it: it.change(title="The house"), {"prepare", "evaluate"}),
    "the bot is told its language": (lambda it: it.change(language="de"), {"prepare", "evaluate"}),
    "a setting of the voice changed": (lambda it: it.change(voice={"r": 8}), {"prepare", "evaluate"}),
}  # fmt: skip


@pytest.mark.parametrize("what", INPUTS)
def test_a_step_is_done_again_where_an_input_changed(what: str, sources: Sources) -> None:
    change, expected = INPUTS[what]
    change(sources)
    assert stale(sources) == expected


def test_another_base_makes_rows_and_gate_stale(sources: Sources, other_tiny_base: Path) -> None:
    sources.change(base={"model": str(other_tiny_base)})
    assert stale(sources) == {"prepare", "evaluate"}


def test_other_weights_in_the_place_of_the_base_are_noticed(sources: Sources, other_tiny_base: Path) -> None:
    with opened(sources) as parts:
        parts._fingerprint = "0" * 16
        assert not PrepareStep(tuning=True).is_fresh(parts)


def test_another_version_of_the_code_makes_rows_and_gate_stale(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.prepare.code_hash", lambda: "another")
    assert stale(sources) == {"prepare"}


RESULTS: dict[str, tuple[str, set[str]]] = {
    "the adapter": ("adapter/adapter_config.json", {"prepare", "tune"}),
    "the report of the tune": ("adapter/tune.json", {"prepare", "tune"}),
    "the lexicon": ("chain/lexicon.json", {"prepare", "evaluate"}),
    "the route": ("chain/route.json", {"prepare", "evaluate"}),
    "the voice": ("chain/voice.json", {"prepare", "evaluate"}),
    "the settings": ("bot.yaml", {"prepare"}),
    "the gate": ("chain/gate.json", {"evaluate"}),
    "the report": ("report/report.json", {"evaluate"}),
    "the lock": ("lock.json", {"prepare", "tune", "evaluate"}),
}


@pytest.mark.parametrize("what", RESULTS)
def test_a_step_is_done_again_where_its_result_is_gone(what: str, sources: Sources) -> None:
    name, expected = RESULTS[what]
    (sources.output / name).unlink()
    assert stale(sources) == expected


def test_a_lost_adapter_matters_only_to_a_tune(sources: Sources) -> None:
    (sources.output / "adapter" / "adapter_config.json").unlink()
    with opened(sources) as parts:
        assert PrepareStep(tuning=False).is_fresh(parts)
        assert not PrepareStep(tuning=True).is_fresh(parts)


def test_the_lock_of_an_older_version_is_not_fresh(sources: Sources) -> None:
    lock = json.loads((sources.output / "lock.json").read_text())
    lock["inputs"] = {"made_from": "1", "prepare": "2", "knowledge": "3", "evaluate": "4"}
    (sources.output / "lock.json").write_text(json.dumps(lock))
    assert stale(sources) == {"prepare", "tune", "evaluate"}


def test_documents_that_were_ingested_meanwhile_make_rows_and_gate_stale(sources: Sources) -> None:
    (sources.documents / "lamp.md").write_text("The Ember lamp burns for 44 hours.\n")
    with opened(sources) as parts:
        do(IngestStep(), parts, {})
    assert stale(sources) == {"prepare"}


def test_a_tune_is_fresh_for_the_same_rows_settings_and_base(sources: Sources) -> None:
    def row(reply: str) -> SeamRow:
        route = Route("Hi?", "talk", "Hi?", [], [], [{"role": "user", "content": "Hi?"}])
        return SeamRow(Example("Hi?", reply, (), 1, 1), "alone", route)

    def step(reply: str) -> TuneStep:
        return TuneStep(Prepared([row(reply)], ChainParts(None, Lexicon(), frozenset(), "No.")))

    place = BotFolder(sources.output)
    lock = read_lock(place)
    with opened(sources) as parts:
        lock.inputs.tune = tune_digest([row("Ahoy!")], parts.config, parts.fingerprint())
    write_lock(place, lock)
    with opened(sources) as parts:
        assert step("Ahoy!").is_fresh(parts)
        assert not step("Hello!").is_fresh(parts)
        parts._fingerprint = "0" * 16
        assert not step("Ahoy!").is_fresh(parts)
    sources.change(voice={"learning_rate": 0.02})
    with opened(sources) as parts:
        assert not step("Ahoy!").is_fresh(parts)
