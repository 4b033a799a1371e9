"""Every way to tune on one's own rows: trained on the same, measured alike, and laid side by side."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.comparing.trial import RESULT, WITHOUT, Work, trial
from pipelines.ingest import IngestStep
from pipelines.parts import Parts
from pipelines.prepare import unfitted_planner, weave_rows
from pipelines.steps import digest, do
from toolkit.config import BotConfig, load_config
from toolkit.errors import ConfigError, DataError, HousevoiceError, Interrupted
from toolkit.files import replace_folder
from toolkit.progress import Note, Progress
from toolkit.scoring import VoiceClassifier, holds_facts
from toolkit.seam import weave

if TYPE_CHECKING:
    from toolkit.answering import RoutePlanner

# Questions whose replies are looked at for facts: enough for an interval of about a fifth, in seconds a method.
_QUESTIONS = 24
_WAIT_SECONDS = 0.5


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
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> Comparison:
    """Train each method on the same rows with the same seed and passes, and measure it beside the base.

    A method that was finished with the same rows and settings is not trained again. Each runs in a process of its own.

    Args:
        path: The ``bot.yaml``, or its folder.
        methods: Names of methods; default: all that this machine can run.
        epochs: Passes over the rows; default: as in ``bot.yaml``.
        on_progress: Called with what is being done, done, total.
        on_note: Called with what was found.

    Raises:
        ConfigError: ``bot.yaml`` has faults or no voice, or a method is not known.
        DataError: An input cannot be used.
        Interrupted: Ctrl-C; what is finished is kept.
    """
    from pipelines.comparing.page import write_pages

    config, _ = load_config(path)
    if config.voice is None:
        raise ConfigError(f"{path} has no voice to tune.", "Add a section voice with example replies.")
    note = on_note or (lambda text: None)
    configs = {name: _config_of(path, name, epochs) for name in methods or _runnable(config, note)}
    place = config.output
    assert place is not None
    with Parts(config, on_progress=on_progress, on_note=on_note) as parts:
        work, facts, train = _prepare(parts)
        fingerprint = parts.fingerprint()
    trials = []
    for number, (name, its) in enumerate({WITHOUT: config, **configs}.items()):
        found = _tried(name, its, work, place / "compare" / name, fingerprint, on_progress)
        trials.append(found)
        note(f"{name} ({number} of {len(configs)}): {found.get('failed') or 'measured'}")
    _judge(trials, facts, train)
    result = Comparison(config.title or config.name, place / "report" / "compare", len(work.rows), trials)
    write_pages(result)
    return result


def install(path: Path | str, method: str) -> Path:
    """Put the adapter of a finished method into the bot's place.

    Args:
        path: The ``bot.yaml``, or its folder.
        method: The method's name.

    Returns:
        The adapter's folder.

    Raises:
        DataError: The method was not finished, or the bot was not built.
    """
    config, _ = load_config(path)
    with Parts(config) as parts:
        tried = parts.folder.root / "compare" / method / "adapter"
        if not (tried / "adapter_config.json").is_file():
            raise DataError(f"{method} was not tuned yet.", f"Run: housevoice compare {path} --methods {method}")
        if not parts.folder.is_fitted():
            raise DataError(f"{parts.folder.root} is not a built bot.", f"Build it first: housevoice build {path}")
        fresh = parts.folder.tuned
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(tried, fresh)
        replace_folder(fresh, parts.folder.adapter)
        return parts.folder.adapter


def _config_of(path: Path | str, method: str, epochs: float | None) -> BotConfig:
    config, _ = load_config(path, method=method)
    if epochs is None or config.voice is None:
        return config
    return config.model_copy(update={"voice": config.voice.model_copy(update={"num_train_epochs": epochs})})


def _runnable(config: BotConfig, note: Note) -> list[str]:
    """Return the methods that this machine can run; the others are named with the reason."""
    from toolkit.config import VoiceSettings
    from toolkit.models import choose_device
    from toolkit.tuning import METHODS, check_method

    device, names = choose_device(config.base.device).value, []
    for name in METHODS:
        try:
            check_method(VoiceSettings(method=name), device)
        except HousevoiceError as error:
            note(f"{name} is left out: {error.message}")
        else:
            names.append(name)
    return names


def _prepare(parts: Parts) -> tuple[Work, list[list[list[str]]], list[str]]:
    """Weave the rows once for all.

    Returns:
        The work, the facts of each question that is asked, and the replies in the voice.
    """
    parts.check_inputs()
    if parts.config.knowledge:
        do(IngestStep(), parts, {})
    planner, voice = unfitted_planner(parts), parts.config.voice
    assert voice is not None
    rows = [row for row in weave_rows(planner, parts) if row.trains]
    train, held = parts.examples()
    woven = weave(held[: parts.config.evaluation.voice_prompts], planner, voice, on_progress=parts.on_progress)
    asked, facts = _asked(parts, planner)
    return Work(rows, woven, asked), facts, [example.reply for example in train]


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
    made_from = digest(settings, rows, work.asked, fingerprint, config.base.model_dump(mode="json"))
    kept = _read(folder / RESULT)
    if kept.get("made_from") == made_from and "failed" not in kept:
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    if kept.get("made_from") != made_from:
        shutil.rmtree(folder / "work", ignore_errors=True)  # checkpoints of other rows
    process = multiprocessing.get_context("spawn").Process(target=trial, args=(config, name, work, folder, made_from))
    process.start()
    try:
        _wait(process, name, folder / "progress.json", on_progress)
    except KeyboardInterrupt:
        process.join()  # Ctrl-C reaches it too: it keeps a checkpoint
        raise Interrupted(
            f"The comparison was stopped at {name}.", "Run the same command again: what is finished is kept."
        ) from None
    found = _read(folder / RESULT)
    if found.get("made_from") != made_from:
        return {"method": name, "made_from": made_from, "failed": f"its process ended with {process.exitcode}"}
    return found


def _wait(process: Any, name: str, progress: Path, on_progress: Progress | None) -> None:
    while process.is_alive():
        process.join(_WAIT_SECONDS)
        told = _read(progress, list)
        if on_progress and told:
            on_progress(f"{name}: {told[0]}", told[1], told[2])


def _read(file: Path, kind: Callable[[], Any] = dict) -> Any:
    """Return what a file of JSON holds; nothing where it is missing or half written."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return kind()


def _judge(trials: list[dict[str, Any]], facts: Sequence[Any], train: Sequence[str]) -> None:
    """Add the shares that need all replies: the voice, told from the base's own, and the facts."""
    base = trials[0].get("base")
    classifier = VoiceClassifier(list(train), base) if train and base else None
    for found in trials:
        if "failed" in found:
            continue
        if classifier and found["spoken"]:
            found["voice"] = mean_between(classifier.recognises(found["spoken"]))
        if facts:
            held = [holds_facts(reply, wanted) for reply, wanted in zip(found["answers"], facts, strict=True)]
            found["facts"] = mean_between(held)


def mean_between(values: Sequence[bool | float], seed: int = 0) -> tuple[float, float, float]:
    """Return a mean with its 95% interval, by a percentile bootstrap (Efron 1979) over 2,000 draws.

    Example:
        >>> mean_between([True] * 4)
        (1.0, 1.0, 1.0)
    """
    import numpy as np

    drawn = np.random.default_rng(seed).choice(np.asarray(values, dtype=float), (2000, len(values))).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(np.mean(values)), float(low), float(high)
