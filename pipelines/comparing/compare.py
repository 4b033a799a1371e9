"""Every way to tune on one's own rows: trained on the same, measured alike, and laid side by side."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.comparing.trial import RESULT, WITHOUT, Work, trial
from pipelines.evaluating.judging import sentences_of
from pipelines.ingest import IngestStep
from pipelines.parts import Parts
from pipelines.prepare import added_rows, unfitted_planner, weave_rows
from pipelines.steps import digest, do
from toolkit.bot import read_config, write_config, write_lock
from toolkit.config import BotConfig, load_config
from toolkit.errors import ConfigError, DataError, HousevoiceError, Interrupted
from toolkit.files import read_json, replace_folder
from toolkit.progress import Note, Progress
from toolkit.scoring import VoiceClassifier, holds_facts, mean_between
from toolkit.seam import weave

if TYPE_CHECKING:
    from toolkit.answering import RoutePlanner

# Questions whose replies are looked at for facts: enough for an interval of about a fifth, in seconds a method.
_QUESTIONS = 24
_WAIT_SECONDS = 0.5
_KILLED = -9  # exit code of a process that the system killed, where there are signals


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        bot: Name of the bot.
        folder: Where the pages were written.
        rows: Number of rows that every method was trained on.
        trials: A dictionary a method, ``none`` first: see ``docs/compare.md`` for what each figure means.
    """

    bot: str
    folder: Path
    rows: int
    trials: list[dict[str, Any]]


def compare(
    path: Path | str,
    *,
    methods: Sequence[str] | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    limit_rows: int | None = None,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> Comparison:
    """Train each method on the same rows with the same seed and passes, and measure it beside the base.

    A method that was finished with the same rows and settings is not trained again. Each runs in a process of its own.

    Args:
        path: The ``bot.yaml``, or its folder.
        methods: Names of methods; default: all. One that this machine cannot run is told with the reason.
        epochs: Passes over the rows; default: as in ``bot.yaml``.
        steps: Number of updates, in place of passes.
        limit_rows: Most rows to train on, spread evenly over all; default: all.
        on_progress: Called with what is being done, done, total.
        on_note: Called with what was found.

    Raises:
        ConfigError: ``bot.yaml`` has faults or no voice, a method is not known, or the base runs on a server.
        DataError: An input cannot be used.
        Interrupted: Ctrl-C; what is finished is kept.
    """
    from pipelines.comparing.page import write_pages
    from toolkit.tuning import METHODS

    config, _ = load_config(path)
    if config.voice is None:
        raise ConfigError(f"{path} has no voice to tune.", "Add a section voice with example replies.")
    note = on_note or (lambda text: None)
    configs = {name: _config_of(path, name, epochs) for name in methods or METHODS}
    place = config.output
    assert place is not None
    with Parts(config, on_progress=on_progress, on_note=on_note) as parts:
        parts.need_weights()
        work, facts, train, others = _prepare(parts, steps, limit_rows)
        fingerprint = parts.fingerprint()
    trials = []
    for number, (name, its) in enumerate({WITHOUT: config, **configs}.items()):
        if isinstance(its, str):
            found: dict[str, Any] = {"method": name, "failed": its}
        else:
            found = _tried(name, its, work, place / "compare" / name, fingerprint, on_progress)
        if name == WITHOUT:
            work = replace(work, plain_losses=found.get("losses", ()))
        trials.append(found)
        note(f"{name} ({number} of {len(configs)}): {found.get('failed') or 'measured'}")
    _judge(trials, facts, train, others)
    result = Comparison(config.title or config.name, place / "report" / "compare", len(work.rows), trials)
    write_pages(result)
    return result


def install(path: Path | str, method: str, *, on_note: Note | None = None) -> Path:
    """Put the adapter of a finished method into the bot's place.

    The lock then names what it was trained from: a build with ``voice.method`` set to it, and the same rows and
    settings, trains nothing, and measures the bot anew.

    Args:
        path: The ``bot.yaml``, or its folder.
        method: The method's name.
        on_note: Called with what speaks against the adapter.

    Returns:
        The adapter's folder.

    Raises:
        AdapterMismatch: It was trained on another base than the bot's.
        ConfigError: ``bot.yaml`` has faults, or does not go with the method.
        DataError: The method was not finished, or the bot was not built.
    """
    from toolkit.tuning import check_base

    config, _ = load_config(path, method=method)
    with Parts(config) as parts:
        place = parts.folder.root / "compare" / method
        found = read_json(place / RESULT) or {}
        if "failed" in found or not _is_whole(method, place):
            raise DataError(f"{method} was not tuned yet.", f"Run: housevoice compare {path} --methods {method}")
        if not parts.folder.is_fitted() or not parts.folder.lock.is_file():
            raise DataError(f"{parts.folder.root} is not a built bot.", f"Build it first: housevoice build {path}")
        base = parts.lock.base
        check_base(place / "adapter", name=base["name"], fingerprint=base["fingerprint"])
        fresh = parts.folder.tuned
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(place / "adapter", fresh)
        replace_folder(fresh, parts.folder.adapter)
        built = read_config(parts.folder).model_dump(mode="json")
        write_config(parts.folder, BotConfig.model_validate(built | {"voice": found["settings"]}))
        parts.lock.inputs.tune = found["tuned_from"]
        parts.lock.inputs.evaluate = ""  # the report is of the voice that was there before
        write_lock(parts.folder, parts.lock)
        note = on_note or (lambda text: None)
        for said in _reservations(found, config):
            note(said)
        return parts.folder.adapter


def _reservations(found: dict[str, Any], config: BotConfig) -> Iterator[str]:
    """Yield what is to be known of an adapter before it is used."""
    faults = found.get("acceptance", {}).get("faults")
    if faults:
        yield f"A build would not take it: {' '.join(faults)}"
    trained, there = found["rows"]
    assert config.voice is not None
    if trained < there or found["settings"] != config.voice.model_dump(mode="json"):
        yield (
            f"It was trained with other settings than those of bot.yaml, on {trained} of {there} rows: a build with "
            f"'method: {found['method']}' trains it anew."
        )


def _config_of(path: Path | str, method: str, epochs: float | None) -> BotConfig | str:
    """Return the settings of a method, or why ``bot.yaml`` or this machine does not go with it.

    Raises:
        ConfigError: There is no such method.
    """
    from toolkit.models import choose_device
    from toolkit.tuning import METHODS, check_method

    try:
        config, _ = load_config(path, method=method)
        assert config.voice is not None
        check_method(config.voice, choose_device(config.base.device).value)
    except HousevoiceError as error:
        if method not in METHODS:
            raise
        return " ".join(line.strip(" -") for line in error.message.splitlines())
    if epochs is None:
        return config
    return config.model_copy(update={"voice": config.voice.model_copy(update={"num_train_epochs": epochs})})


def _prepare(
    parts: Parts, steps: int | None, limit_rows: int | None
) -> tuple[Work, list[list[list[str]]], list[str], list[str]]:
    """Weave the rows once for all.

    Returns:
        The work, the facts of each question that is asked, the replies in the voice, and sentences that are in none.
    """
    parts.check_inputs()
    if parts.config.knowledge:
        do(IngestStep(), parts, {})
    planner, voice = unfitted_planner(parts), parts.config.voice
    assert voice is not None
    examples = weave_rows(planner, parts)
    rows = [row for row in [*examples, *added_rows(examples, planner, parts)] if row.trains]
    count = len(rows)
    if limit_rows is not None and limit_rows < count:
        rows = [rows[number * count // limit_rows] for number in range(limit_rows)]
    train, held = parts.examples()
    woven = weave(held[: parts.config.evaluation.voice_prompts], planner, voice, on_progress=parts.on_progress)
    asked, facts = _asked(parts, planner)
    others = sentences_of(parts.knowledge(), len(train))
    work = Work(rows, woven, asked, steps, count)
    return work, facts, [example.reply for example in train], others


def _asked(parts: Parts, planner: RoutePlanner) -> tuple[list[Any], list[list[list[str]]]]:
    """Return the prompts of questions that the documents answer, and their facts."""
    told = [item for item in parts.questions(parts.config.evaluation.split) if item.facts and not item.unanswerable]
    chosen = told[:: max(1, len(told) // _QUESTIONS)][:_QUESTIONS]
    routes = planner.plan_many([(item.question, ()) for item in chosen])
    return [route.messages for route in routes], [[list(fact) for fact in item.facts] for item in chosen]


def _tried(
    name: str, config: BotConfig, work: Work, folder: Path, fingerprint: str, on_progress: Progress | None
) -> dict[str, Any]:
    """Return what a trial found, from before if nothing changed."""
    assert config.voice is not None
    settings = config.voice.model_dump(mode="json") if name != WITHOUT else None
    rows = [[row.messages, row.example.reply] for row in [*work.rows, *work.held]]
    made_from = digest(settings, rows, work.asked, fingerprint, *_settings(config), work.steps)
    kept = read_json(folder / RESULT) or {}
    if kept.get("made_from") == made_from and "failed" not in kept and _is_whole(name, folder):
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    if kept.get("made_from") != made_from:
        shutil.rmtree(folder / "work", ignore_errors=True)  # checkpoints of other rows
    for file in (RESULT, "progress.json"):  # of a run before: it says nothing of one that is killed
        (folder / file).unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(target=trial, args=(config, name, work, folder, made_from))
    process.start()
    try:
        _wait(process, name, folder / "progress.json", on_progress)
    except KeyboardInterrupt:
        process.terminate()  # while it trains it takes this as the wish to stop, and keeps a checkpoint
        process.join()
        raise Interrupted(
            f"The comparison was stopped at {name}.", "Run the same command again: what is finished is kept."
        ) from None
    found = read_json(folder / RESULT) or {}
    if found.get("made_from") != made_from:
        return {"method": name, "made_from": made_from, "failed": _ended(process.exitcode)}
    return found


def _ended(code: int | None) -> str:
    """Say how a process ended that left no word."""
    if code == _KILLED:
        return "its process was killed, as a system does that runs out of memory"
    return f"its process ended with {code}"


def _settings(config: BotConfig) -> tuple[Any, ...]:
    """Return the settings beside those of the voice that a trial depends on."""
    return config.base.model_dump(mode="json"), config.chain.max_new_tokens, config.chain.system


def _is_whole(name: str, folder: Path) -> bool:
    """Tell whether the adapter of a method is there; the base alone has none."""
    return name == WITHOUT or (folder / "adapter" / "adapter_config.json").is_file()


def _wait(process: Any, name: str, progress: Path, on_progress: Progress | None) -> None:
    while process.is_alive():
        process.join(_WAIT_SECONDS)
        told = read_json(progress)
        if on_progress and told:
            on_progress(f"{name}: {told[0]}", told[1], told[2])


def _judge(trials: list[dict[str, Any]], facts: Sequence[Any], train: Sequence[str], others: Sequence[str]) -> None:
    """Add the figures that need all replies, and the intervals: the voice, the facts and the held-out loss.

    The voice is told from the base's own, and from sentences of the documents, which stand in replies of either.
    """
    base = trials[0].get("base")
    classifier = VoiceClassifier(list(train), [*base, *others]) if train and base else None
    for found in trials:
        if "failed" in found:
            continue
        if classifier and found["spoken"]:
            found["voice"] = mean_between(classifier.recognises(found["spoken"]))
        if facts:
            held = [holds_facts(reply, wanted) for reply, wanted in zip(found["answers"], facts, strict=True)]
            found["facts"] = mean_between(held)
        if found["losses"]:
            losses, tokens = zip(*found["losses"], strict=True)
            found["held_out_loss"] = mean_between(losses, tokens)
