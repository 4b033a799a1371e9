"""The whole road: documents and example replies in, a measured bot folder out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.evaluate import evaluate
from pipelines.ingest import IngestReport, find_documents, ingest
from pipelines.report import Evaluation, summary_lines
from pipelines.tune import TuneResult, kept, read_voice, report_of, tune
from toolkit.bot import (
    BotFolder,
    ChainParts,
    Chatbot,
    Lock,
    default_decline,
    read_lock,
    write_config,
    write_lock,
    write_parts,
)
from toolkit.config import BotConfig, load_config
from toolkit.errors import DataError
from toolkit.progress import Note, Progress
from toolkit.scoring import Question, read_questions

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from toolkit.answering import Chain
    from toolkit.examples import Example
    from toolkit.seam import SeamRow
    from toolkit.store import Knowledge

STEPS = ("ingest", "tune", "evaluate")


@dataclass
class BuildResult:
    """What a build did.

    Attributes:
        folder: The bot folder.
        ingest: What the ingest did, or None.
        tune: What the tune did, or None.
        evaluation: What was measured, or None.
        seconds: Time of each step, in seconds.
    """

    folder: Path
    ingest: IngestReport | None = None
    tune: TuneResult | None = None
    evaluation: Evaluation | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def build_chatbot(path: Path | str, **options: Any) -> Chatbot:
    """Build the bot of a ``bot.yaml`` as far as anything changed, and open it.

    Args:
        path: The ``bot.yaml``, or its folder.
        **options: Passed on to :func:`build`.

    Raises:
        HousevoiceError: As :func:`build` and :meth:`toolkit.Chatbot.load`.
    """
    return Chatbot.load(build(path, **options).folder)


def build(
    path: Path | str,
    *,
    steps: Collection[str] = STEPS,
    on_progress: Progress | None = None,
    on_note: Note | None = None,
) -> BuildResult:
    """Build a bot; steps whose inputs did not change are not done again.

    Every input is checked before any model is loaded.

    Args:
        path: The ``bot.yaml``, or its folder.
        steps: Which of ``ingest``, ``tune`` and ``evaluate`` to do.
        on_progress: Called with what is being done, done, total.
        on_note: Called with each automatic choice and its reason, and what was found.

    Raises:
        ConfigError: ``bot.yaml`` has faults.
        DataError: An input cannot be used.
        ModelError: A model cannot be loaded.
        StoreLocked: Another process is building the same bot.
    """
    config, _ = load_config(path)
    assert config.output is not None
    folder = BotFolder(config.output)
    note = on_note or (lambda text: None)
    _check_inputs(config)
    result = BuildResult(folder.root)
    lock = read_lock(folder)
    if config.knowledge and "ingest" in steps:
        started = time.perf_counter()
        result.ingest = ingest(config.knowledge, folder.knowledge, on_progress=on_progress)
        result.seconds["ingest"] = time.perf_counter() - started
        _note_ingest(result.ingest, note)
    tuning = config.voice is not None and "tune" in steps
    made_from = _made_from(config, folder, on_progress)
    if lock.inputs.get("made_from") == made_from and folder.is_fitted() and (not tuning or _is_tuned(folder, lock)):
        if tuning:
            result.tune = kept(folder)
            _note_tune(result.tune, 0.0, note)
    else:
        started = time.perf_counter()
        rows, parts = _prepare(config, folder, lock, on_progress, note)
        result.seconds["prepare"] = time.perf_counter() - started
        if tuning:
            _tune(config, folder, lock, rows, result, on_progress, note)
        # Only now, when all that can fail has been done: a build that fails leaves the bot that was there.
        write_config(folder, config)
        write_parts(folder, parts)
        lock.inputs["made_from"] = made_from if tuning or not config.voice else ""
        write_lock(folder, lock)
    if "evaluate" in steps:
        _evaluate(config, folder, lock, result, on_progress, note)
    return result


def _check_inputs(config: BotConfig) -> None:
    """Read every input once, so that a mistake in one shows before the long work."""
    if config.knowledge:
        find_documents(config.knowledge)
    if config.voice:
        read_voice(config.voice)
    if config.evaluation.questions:
        read_questions(config.evaluation.questions, config.evaluation.split)
        _calibration(config)


def _made_from(config: BotConfig, folder: BotFolder, on_progress: Progress | None) -> str:
    """Name all that rows, gate and adapter are made from, without embedding or loading anything.

    Raises:
        DataError: The bot is to have documents, and they were not ingested.
    """
    from toolkit.models import fingerprint, locate_base

    files = [config.voice.examples] if config.voice else []
    files += [config.evaluation.questions] if config.evaluation.questions else []
    base = fingerprint(locate_base(config.base.model, on_progress=on_progress), config.base.revision)
    held = _held(folder.knowledge) if config.knowledge else None
    read = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return _digest(config.model_dump(mode="json"), read, base, held, _code())


def _code() -> str:
    """Name the code that makes rows and gate: another version may make others."""
    import toolkit

    files = sorted(Path(str(toolkit.__file__)).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _held(folder: Path) -> dict[str, list[str]]:
    """Return what is held of each source, by hash and ids.

    Raises:
        DataError: There is no knowledge in the folder.
    """
    from toolkit.store.manifest import FILE, Manifest

    if not (folder / FILE).is_file():
        raise DataError(f"{folder} does not exist yet.", "Ingest first: housevoice ingest <bot.yaml>")
    manifest = Manifest(folder)
    try:
        return {name: [record.sha256, *record.chunk_ids] for name, record in manifest.sources().items()}
    finally:
        manifest.close()


def _is_tuned(folder: BotFolder, lock: Lock) -> bool:
    """Tell whether the adapter that is there was made by a tune of this bot."""
    return folder.has_adapter() and bool(lock.inputs.get("tune")) and report_of(folder).is_file()


def _prepare(
    config: BotConfig, folder: BotFolder, lock: Lock, on_progress: Progress | None, note: Note
) -> tuple[list[SeamRow], ChainParts]:
    """Weave the examples with their passages and fit what the chain serves with."""
    from toolkit.bot import open_knowledge
    from toolkit.seam import weave

    train: list[Example] = read_voice(config.voice)[0] if config.voice else []
    knowledge = open_knowledge(folder, config)
    try:
        model = _thinking_model(config, train, on_progress)
        chain = _unfitted_chain(config, knowledge, model)
        rows = weave(train, chain, config.voice, on_progress=on_progress) if config.voice else []
        parts = _fit(config, chain, rows, knowledge, on_progress, note)
        lock.embedder = knowledge.embedder.identity.to_dict() if knowledge else None
        lock.inputs["knowledge"] = _digest(_held(folder.knowledge) if knowledge else None)
    finally:
        if knowledge:
            knowledge.close()
    lock.inputs["prepare"] = _digest([[row.kind, row.messages, row.example.reply] for row in rows], parts.decline)
    _lock_base(config, lock, on_progress)
    return rows, parts


def _tune(
    config: BotConfig,
    folder: BotFolder,
    lock: Lock,
    rows: list[SeamRow],
    result: BuildResult,
    on_progress: Progress | None,
    note: Note,
) -> None:
    """Train the adapter, unless the one that is there is up to date."""
    started = time.perf_counter()
    result.tune, lock.inputs["tune"] = tune(
        config, folder, rows, known_digest=lock.inputs.get("tune"), on_progress=on_progress, on_note=note
    )
    result.seconds["tune"] = time.perf_counter() - started
    _note_tune(result.tune, result.seconds["tune"], note)


def _thinking_model(
    config: BotConfig, train: list[Example], on_progress: Progress | None
) -> BaseChatModel | None:
    """Load the base to rewrite follow-ups among the examples; nothing where there are none."""
    from pipelines.tune import needs_rewriting

    if not (config.knowledge and needs_rewriting(train, config)):
        return None
    from toolkit.engines import HouseChatModel, TextEngine
    from toolkit.models import load_base

    loaded = load_base(
        config.base.model,
        revision=config.base.revision,
        device=config.base.device,
        dtype=config.base.dtype,
        on_progress=on_progress,
    )
    return HouseChatModel(engine=TextEngine(loaded))


def _unfitted_chain(config: BotConfig, knowledge: Knowledge | None, model: BaseChatModel | None) -> Chain:
    """Return the chain as it will serve, but for what is fitted with it."""
    from toolkit.answering import Chain, EvidencePicker
    from toolkit.language import Lexicon

    picker = None
    if knowledge:
        lexicon = Lexicon.of(f"{heading} {text}" for _, heading, text in knowledge.texts())
        picker = EvidencePicker(knowledge.embedder, lexicon)
    return Chain(
        model,
        config.chain,
        decline=default_decline(config),
        knowledge=knowledge,
        k=config.knowledge.k if config.knowledge else 0,
        picker=picker,
    )


def _fit(
    config: BotConfig,
    chain: Chain,
    rows: list[SeamRow],
    knowledge: Knowledge | None,
    on_progress: Progress | None,
    note: Note,
) -> ChainParts:
    """Fit what the chain needs to serve: the gate, the words of the voice, the decline."""
    from toolkit.language import Lexicon
    from toolkit.seam import fit_on_bot, typical_declines, voice_words

    decline = config.chain.decline or next(iter(typical_declines(rows, chain)), default_decline(config))
    gate = None
    if knowledge:
        try:
            texts = [(source, text) for source, _, text in knowledge.texts()]
            gate = fit_on_bot(rows, chain, texts, _calibration(config), on_progress=on_progress)
            note(
                f"Gate judged on {gate.report['answerable']:.0f} answerable and {gate.report['unanswerable']:.0f} "
                f"other questions: refuses {gate.report['false_refusals']:.0%} and "
                f"{gate.report['right_refusals']:.0%} of them, out of fold."
            )
        except DataError as error:
            note(f"No gate was fitted, so that every question is answered: {error.message}")
    lexicon = chain.picker.lexicon if chain.picker else Lexicon()
    return ChainParts(gate, lexicon, voice_words(rows), decline)


def _calibration(config: BotConfig) -> list[Question]:
    """Return the questions that the gate is fitted on beside the bot's own rows."""
    settings = config.evaluation
    if settings.questions is None or settings.calibration_split is None:
        return []
    return read_questions(settings.questions, settings.calibration_split)


def _lock_base(config: BotConfig, lock: Lock, on_progress: Progress | None) -> None:
    """Write down the base and its template; only its tokenizer is loaded."""
    from toolkit.models import fingerprint, load_tokenizer, locate_base
    from toolkit.prompts import template_hash

    path = locate_base(config.base.model, on_progress=on_progress)
    lock.template = template_hash(load_tokenizer(config.base.model, path, config.base.revision))
    lock.base = {"name": config.base.model, "fingerprint": fingerprint(path, config.base.revision)}


def _evaluate(
    config: BotConfig, folder: BotFolder, lock: Lock, result: BuildResult, on_progress: Progress | None, note: Note
) -> None:
    """Measure the bot, unless nothing changed since it was measured."""
    questions = config.evaluation.questions
    digest = _digest(
        lock.inputs,
        lock.base,
        config.model_dump(mode="json"),
        questions.read_text(encoding="utf-8") if questions else "",
        (folder.chain / "gate.json").read_text() if (folder.chain / "gate.json").is_file() else "",
    )
    if lock.inputs.get("evaluate") == digest and (folder.report / "report.json").is_file():
        return
    started = time.perf_counter()
    bot = Chatbot.load(folder.root, on_progress=on_progress)
    try:
        result.evaluation = evaluate(bot, on_progress=on_progress)
    finally:
        bot.close()
    result.seconds["evaluate"] = time.perf_counter() - started
    lock.inputs["evaluate"] = digest
    write_lock(folder, lock)
    for line in summary_lines(result.evaluation):
        note(line)


def _digest(*parts: Any) -> str:
    """Name what went into a step by its content."""
    kept = [
        {key: value for key, value in part.items() if key != "evaluate"} if isinstance(part, dict) else part
        for part in parts
    ]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _note_ingest(report: IngestReport, note: Note) -> None:
    note(
        f"Documents: {len(report.added)} new, {len(report.changed)} changed, {len(report.unchanged)} unchanged, "
        f"{len(report.removed)} removed, {len(report.failed)} unreadable; {report.chunks} passages."
    )
    for source, reason in report.failed:
        note(f"Could not read {source}: {reason}")
    for remark in report.mended:
        note(remark)


def _note_tune(result: TuneResult, seconds: float, note: Note) -> None:
    if not result.done:
        note("The voice is up to date.")
        return
    rows = result.report["rows"]
    note(
        f"Tuned on {rows['passages']} replies with their passages, {rows['decline']} that decline and "
        f"{rows['alone']} without passages, in {seconds:.0f} s."
    )
