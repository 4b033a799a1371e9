"""The whole road on a tiny base: both halves or either, done once, and done again only where something changed."""

from __future__ import annotations

import dataclasses
import json
import signal
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipelines
from pipelines import build_chatbot
from pipelines.build import BuildResult, build, build_from
from pipelines.evaluating import evaluate
from pipelines.parts import Openers, Parts, open_base
from tests.conftest import DOCUMENTS, Sources
from toolkit.bot import BotFolder, Chatbot, read_lock
from toolkit.config import load_config
from toolkit.errors import DataError, HousevoiceError, Interrupted, ModelError, TuneRejected
from toolkit.models import Choice
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder, KeywordReader
from toolkit.tuning import Acceptance
from toolkit.tuning.acceptance import judge

QUESTIONS = (
    {"question": "How long does the Ember lamp burn on a full battery?", "facts": [["38"]], "sources": ["lamp.md"]},
    {"question": "What does the Ember lamp cost?", "facts": [["40"]], "sources": ["lamp.md"]},
    {"question": "Who wrote the opera Carmen?", "unanswerable": True},
)


@pytest.fixture
def sources(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> Sources:
    """Sources with both halves and questions to measure on."""
    made = make_sources(tiny_base)
    (made.folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    made.change(evaluation={"questions": "questions.jsonl"})
    return made


def work_done(result: BuildResult) -> dict[str, bool]:
    """Tell which steps of a build did anything."""
    return {
        "ingest": bool(result.ingest and (result.ingest.added or result.ingest.changed or result.ingest.removed)),
        "tune": bool(result.tune and result.tune.done),
        "evaluate": result.evaluation is not None,
    }


COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOTHING = {"ingest": False, "tune": False, "evaluate": False}


def test_both_halves_make_a_bot_and_a_second_build_does_nothing(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    told: list[tuple[str, int, int]] = []
    result = build(sources.config, on_note=notes.append, on_progress=lambda *args: told.append(args))
    assert result.folder == sources.output.resolve()
    assert all(work_done(result).values())
    assert all(0 <= done <= total for _, done, total in told)
    assert {"Reading and embedding documents", "Tuning the voice", "Asking the questions"} <= {
        what.partition(":")[0] for what, _, _ in told
    }
    assert any(note.startswith("Tuning on cpu (set in bot.yaml), float32") for note in notes)
    place = BotFolder(result.folder)
    report = json.loads((place.report / "report.json").read_text())
    assert report["answers"]["answerable"] == 2
    assert report["voice"]["prompts"] >= 1
    assert len(report["details"]) == 3
    assert not place.work.exists() or not list(place.work.iterdir())
    adapter = (place.adapter / "adapter_model.safetensors").stat().st_mtime_ns

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError("nothing changed, and still something was done")

    monkeypatch.setattr("toolkit.tuning.train_adapter", refuse)
    monkeypatch.setattr("toolkit.models.load_base", refuse)
    assert work_done(build(sources.config)) == NOTHING
    assert work_done(build(sources.folder)) == NOTHING
    assert (place.adapter / "adapter_model.safetensors").stat().st_mtime_ns == adapter


def test_documents_alone_make_a_bot(sources: Sources) -> None:
    sources.change(voice=None)
    result = build(sources.config)
    assert result.tune is None
    assert result.ingest is not None
    assert not BotFolder(result.folder).has_adapter()
    bot = Chatbot.load(result.folder)
    answer = bot.ask("What does the Ember lamp cost?")
    assert (bot.has_voice, answer.adapter) == (False, False)
    assert answer.passages
    bot.close()
    assert work_done(build(sources.config)) == NOTHING


def test_a_voice_alone_makes_a_bot(sources: Sources) -> None:
    sources.change(knowledge=None, evaluation={"questions": None})
    result = build(sources.config)
    assert result.ingest is None
    assert result.tune is not None
    assert result.tune.report["rows"]["alone"] > 0
    assert not (result.folder / "knowledge").exists()
    bot = Chatbot.load(result.folder)
    answer = bot.ask("Hello!")
    assert (bot.has_voice, answer.adapter, answer.passages) == (True, True, [])
    bot.close()
    assert work_done(build(sources.config)) == NOTHING


def test_what_changed_is_done_again_and_nothing_else(sources: Sources) -> None:
    build(sources.config)
    sources.change(evaluation={"voice_prompts": 8})
    assert work_done(build(sources.config)) == NOTHING | {"evaluate": True}
    sources.change(voice={"num_train_epochs": 1})
    assert work_done(build(sources.config)) == {"ingest": False, "tune": True, "evaluate": True}
    (sources.documents / "lamp.md").write_text(DOCUMENTS["lamp.md"].replace("38", "44"))
    assert work_done(build(sources.config)) == {"ingest": True, "tune": True, "evaluate": True}


def test_a_document_that_no_reply_rests_on_is_measured_and_not_trained(sources: Sources) -> None:
    build(sources.config)
    (sources.documents / "pier.txt").write_text("Zanzibar quokkas juggle purple xylophones beneath umbrellas.\n")
    done = work_done(build(sources.config))
    assert done["ingest"]
    assert done["evaluate"]


def test_a_changed_document_is_measured_again_without_voice_and_gate(sources: Sources) -> None:
    sources.change(voice=None)
    for name in ("shop.txt", "kite.md"):
        (sources.documents / name).unlink()
    lamp = sources.documents / "lamp.md"
    lamp.write_text("The Ember lamp burns for 38 hours.\n")
    first = build(sources.config)
    assert first.evaluation is not None
    assert first.evaluation.gate is None
    lamp.write_text("The Ember lamp burns for 44 hours.\n")
    assert work_done(build(sources.config)) == {"ingest": True, "tune": False, "evaluate": True}


def test_a_voice_that_is_taken_out_is_gone(sources: Sources) -> None:
    build(sources.config)
    sources.change(voice=None)
    result = build(sources.config)
    bot = Chatbot.load(result.folder)
    assert not bot.has_voice
    assert not bot.ask("What does the Ember lamp cost?").adapter
    bot.close()


def test_steps_can_be_done_alone(sources: Sources) -> None:
    with pytest.raises(DataError, match="housevoice ingest"):
        build(sources.config, steps=("tune",))
    result = build(sources.config, steps=("ingest",))
    assert work_done(result) == NOTHING | {"ingest": True}
    assert work_done(build(sources.config, steps=("tune",))) == NOTHING | {"tune": True}
    assert work_done(build(sources.config)) == NOTHING | {"evaluate": True}


def test_documents_ingested_alone_are_tuned_on_later(sources: Sources) -> None:
    build(sources.config)
    (sources.documents / "lamp.md").write_text(DOCUMENTS["lamp.md"].replace("38", "44"))
    assert work_done(build(sources.config, steps=("ingest",))) == NOTHING | {"ingest": True}
    assert work_done(build(sources.config))["tune"]
    assert work_done(build(sources.config)) == NOTHING


def test_a_build_with_nothing_to_do_embeds_nothing(sources: Sources, embedder: HashEmbedder) -> None:
    build(sources.config)
    embedder.embedded.clear()
    assert work_done(build(sources.config)) == NOTHING
    assert embedder.embedded == []


def test_another_base_is_tuned_again(sources: Sources, other_tiny_base: Path) -> None:
    before = read_lock(BotFolder(build(sources.config).folder))
    sources.change(base={"model": str(other_tiny_base)})
    result = build(sources.config)
    assert work_done(result)["tune"]
    assert read_lock(BotFolder(result.folder)).base["fingerprint"] != before.base["fingerprint"]
    Chatbot.load(result.folder).close()


def test_inputs_are_checked_before_anything_is_done(sources: Sources, embedder: HashEmbedder) -> None:
    sources.voice.write_text('{"messages": []}\n')
    with pytest.raises(DataError, match=r"voice\.jsonl has 1 bad line"):
        build(sources.config)
    assert embedder.embedded == []
    assert not sources.output.exists()


def test_a_failed_build_keeps_the_bot_that_was_there(sources: Sources) -> None:
    place = BotFolder(build(sources.config).folder)
    kept = {path: path.read_bytes() for path in (place.config, place.lock, place.adapter / "adapter_config.json")}
    sources.change(knowledge={"documents": "nowhere"})
    with pytest.raises(DataError, match="does not exist"):
        build(sources.config)
    assert {path: path.read_bytes() for path in kept} == kept
    Chatbot.load(place.root).close()


def counting(seen: Counter[str], models: list[weakref.ref[Any]] | None = None, **replaced: Any) -> Openers:
    """Return openers of doubles that count what they open; NF4 weights are given by name alone."""
    real = Openers()

    def base(settings: Any, quantization: str, on_progress: Any) -> Any:
        loaded = open_base(settings, "none", on_progress)
        if models is not None:
            models.append(weakref.ref(loaded.model))
        return dataclasses.replace(loaded, quantization=Choice(quantization, "a double"))

    openers: dict[str, Callable[..., Any]] = {
        "base": base,
        "embedder": lambda settings: HashEmbedder(256),
        "reader": lambda settings: KeywordReader(),
        "examples": real.examples,
        "questions": real.questions,
    }

    def counted(name: str, opener: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            seen[name] += 1
            return opener(*arguments)

        return call

    return Openers(**{name: counted(name, opener) for name, opener in (openers | replaced).items()})


def with_a_follow_up(sources: Sources) -> Sources:
    """Add a conversation whose follow-up a base has to rewrite before it is searched for."""
    messages = [
        {"role": role, "content": text}
        for role, text in (
            ("user", "What does the Ember lamp cost?"),
            ("assistant", "Ahoy, friend. The Ember lamp costs 40 euros. Fair winds!"),
            ("user", "And the spare line?"),
            ("assistant", "Ahoy, friend. A spare line for the kite costs 7 euros. Fair winds!"),
        )
    ]
    sources.voice.write_text(sources.voice.read_text() + json.dumps({"messages": messages}) + "\n")
    return sources


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of all the knowledge that is opened, however it is."""
    folders: list[Path] = []
    real = Knowledge.__init__

    def counted(self: Knowledge, folder: Path, *arguments: Any) -> None:
        folders.append(folder)
        real(self, folder, *arguments)

    monkeypatch.setattr(Knowledge, "__init__", counted)
    return folders


@pytest.mark.parametrize(("quantization", "bases"), [("none", 1), ("nf4", 2)])
def test_a_full_build_opens_each_part_once(
    quantization: str, bases: int, sources: Sources, stores: list[Path], embedder: HashEmbedder
) -> None:
    with_a_follow_up(sources).change(voice={"quantization": quantization, "num_train_epochs": 1})
    seen: Counter[str] = Counter()
    models: list[weakref.ref[Any]] = []
    held: list[int] = []

    def watch(what: str, done: int, total: int) -> None:
        if what == "Listening to the voice":
            held.append(sum(model() is not None for model in models))

    config, _ = load_config(sources.config)
    with Parts(config, openers=counting(seen, models), on_progress=watch) as parts:
        result = build_from(parts)
    assert all(work_done(result).values())
    assert result.opened == {"base": bases, "embedder": 1, "reader": 1, "knowledge": 1, "examples": 1, "questions": 1}
    assert seen == {"base": bases, "embedder": 1, "reader": 1, "examples": 1, "questions": 1}
    assert len(stores) == 1
    assert held, "the voice was measured"
    assert set(held) == {1}, "the weights of the tune are given back before the bot is measured"
    assert result.evaluation is not None
    bot = Chatbot.load(result.folder)  # what was measured is what opens
    for row in result.evaluation.details:
        assert bot.ask(row.question).text == row.answer
    for row in result.evaluation.samples:
        assert bot.chain.answers([(row["prompt"], ())], gated=False)[0].text == row["with_adapter"]
    bot.close()


def refuse_base(*arguments: Any) -> Any:
    raise ModelError("There is no base.")


def refuse_embedder(*arguments: Any) -> Any:
    raise ModelError("There is no embedder.")


FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "ingest": ({"knowledge": {"chunk_tokens": 64}}, {"embedder": refuse_embedder}, "no embedder"),
    "prepare": ({"chain": {"evidence_sentences": 3}}, {"base": refuse_base}, "no base"),
    "tune": ({"voice": {"max_length": 64}}, {}, "longer than voice.max_length"),
}


def whole(place: Path) -> dict[Path, bytes]:
    """Return all that makes a bot, but for the knowledge, which is in step with the documents at any time."""
    parts = ("bot.yaml", "lock.json", "adapter", "chain", "report")
    files = [file for part in parts for file in [place / part, *(place / part).rglob("*")] if file.is_file()]
    return {file: file.read_bytes() for file in files}


@pytest.mark.parametrize("step", FAILURES)
def test_a_step_that_fails_leaves_the_bot_that_was_there(step: str, sources: Sources) -> None:
    changes, refused, message = FAILURES[step]
    place = build(with_a_follow_up(sources).config).folder
    before = whole(place)
    assert len(before) > 8
    sources.change(**changes)
    parts = Parts(load_config(sources.config)[0], openers=counting(Counter(), **refused))
    with pytest.raises(HousevoiceError, match=message), parts:
        build_from(parts)
    assert whole(place) == before
    Chatbot.load(place).close()


@pytest.mark.parametrize("what", ["Reading and embedding documents", "Fitting the gate", "Listening to the voice"])
def test_a_build_that_is_stopped_lets_go_and_goes_on(what: str, sources: Sources, stores: list[Path]) -> None:
    def pull(told: str, done: int, total: int) -> None:
        if told == what:
            raise KeyboardInterrupt

    parts = Parts(load_config(sources.config)[0], openers=counting(Counter()), on_progress=pull)
    with pytest.raises(KeyboardInterrupt), parts:
        build_from(parts)
    assert parts.opened["knowledge"] == 1
    assert parts._knowledge is None
    done = work_done(build(sources.config))
    assert done["evaluate"]
    assert done["tune"] == (what != "Listening to the voice")


def test_an_interrupted_tune_goes_on(sources: Sources) -> None:
    def pull(what: str, done: int, total: int) -> None:
        if what.startswith("Tuning the voice") and done == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="after step 3"):
        build(sources.config, on_progress=pull)
    assert not BotFolder(sources.output).has_adapter()
    steps: list[int] = []
    result = build(sources.config, on_progress=lambda what, done, _: steps.append(done) if "Tuning" in what else None)
    assert result.tune is not None
    assert result.tune.done
    assert steps[0] == 4
    assert steps[-1] == result.tune.report["steps"]


def test_a_tune_that_fails_its_measures_is_kept_and_not_taken(
    sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = judge(Acceptance((3.0, 3.1), (3.0, 3.5), 5.0, None))
    monkeypatch.setattr("pipelines.tune.measure", lambda *_: failing)
    with pytest.raises(TuneRejected, match="did not learn the voice"):
        build(sources.config)
    place = BotFolder(sources.output)
    assert not place.has_adapter()
    assert (place.rejected / "adapter_config.json").is_file()
    told: list[str] = []
    with pytest.raises(TuneRejected):
        build(sources.config, on_progress=lambda what, *_: told.append(what))
    notes: list[str] = []
    result = build(sources.config, accept=True, on_note=notes.append)
    assert not any("Tuning" in what for what in told)  # what was rejected is not trained again
    assert place.has_adapter() and not place.rejected.exists()
    assert any("Taken although" in note for note in notes)
    assert result.tune is not None and result.tune.report["acceptance"]["faults"]


def test_a_base_of_the_hub_is_not_tuned_twice(
    sources: Sources, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_into_hub_cache(tmp_path / "hub", "house/tiny", tiny_base)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sources.change(base={"model": "house/tiny"}, knowledge=None, evaluation={"questions": None})
    result = build(sources.config)
    assert work_done(result)["tune"]
    assert read_lock(BotFolder(result.folder)).base["fingerprint"] == f"hub:house/tiny@{COMMIT}"
    assert work_done(build(sources.config)) == NOTHING


def put_into_hub_cache(cache: Path, name: str, model: Path) -> None:
    """Lay a model out as if the hub's client had fetched it."""
    import shutil

    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(model, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)


def test_building_from_python(sources: Sources) -> None:
    bot = build_chatbot(sources.config)
    assert bot.has_voice
    assert bot.ask("What does the Ember lamp cost?").text
    assert list(bot.stream("Hello!"))
    bot.close()


def test_the_public_names_are_functions() -> None:
    for name in pipelines.__all__:
        assert callable(getattr(pipelines, name)), name


def test_an_evaluation_can_take_other_questions(
    small_bot: Path, bot_copy: Path, embedder: HashEmbedder, tmp_path: Path
) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text(json.dumps(QUESTIONS[0] | {"split": "a"}) + "\n" + json.dumps(QUESTIONS[2] | {"split": "b"}) + "\n")
    bot = Chatbot.load(bot_copy)
    result = evaluate(bot, questions=file, split="b")
    bot.close()
    assert result.answers is not None
    assert (result.answers.answerable, result.answers.unanswerable) == (0, 1)
    assert json.loads((bot_copy / "report" / "report.json").read_text())["bot"] == "house"
    assert "other questions" not in (small_bot / "report" / "report.html").read_text()
