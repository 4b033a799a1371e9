"""Where the two halves meet: example replies woven with their passages, and the chain fitted on them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor.replies import tune_notes
from pipelines.parts import Parts
from pipelines.steps import Step, digest
from toolkit.answering import Splitter, fit_router, fit_splitter
from toolkit.bot import ChainParts
from toolkit.config import PREFERENCE_KEYS
from toolkit.errors import DataError
from toolkit.language import Language, Lexicon, language_of
from toolkit.seam import (
    document_rows,
    fit_checking,
    fit_on_bot,
    replay_rows,
    subjects_of,
    typical_declines,
    voice_words,
    weave,
)

if TYPE_CHECKING:
    from toolkit.answering import RoutePlanner
    from toolkit.seam import SeamRow
    from toolkit.tables import TableSense


@dataclass(frozen=True)
class Prepared:
    """What a tune and a chat need.

    Attributes:
        rows: The training rows.
        chain: What the chain serves with.
        held: Held-out replies as the bot would be asked for them, where the tune is to stop by them.
    """

    rows: list[SeamRow]
    chain: ChainParts
    held: list[SeamRow] = field(default_factory=list)


class PrepareStep(Step["Prepared | None"]):
    """Weaves the rows and fits the chain; the result is None where both are there.

    Args:
        tuning: Whether a tune follows, and its adapter must be there.
    """

    name = "prepare"

    def __init__(self, *, tuning: bool) -> None:
        self._tuning = tuning

    def made_from(self, parts: Parts) -> str:
        """Name examples, questions, settings, base, knowledge and code.

        Raises:
            DataError: The bot is to have documents, and they were not ingested.
        """
        held = held_sources(parts.folder.knowledge) if parts.config.knowledge else None
        # Preferences are laid out in their own step.
        settings = parts.config.model_dump(mode="json", exclude={"voice": set(PREFERENCE_KEYS)})
        return digest(settings, parts.input_hashes(), parts.fingerprint(), held, code_hash())

    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether nothing of it changed, and what came of it is in the bot folder."""
        made_from = self.made_from(parts)  # first: it says where documents were not ingested
        whole = parts.folder.is_fitted() and (not self._tuning or parts.is_tuned())
        return whole and parts.lock.inputs.prepare == made_from

    def kept(self, parts: Parts) -> None:
        """Return nothing: nobody needs the rows again."""

    def run(self, parts: Parts) -> Prepared:
        """Weave and fit.

        Raises:
            DataError: The documents were not ingested.
            ModelError: Base or embedder cannot be loaded.
        """
        # Named before the work: what changes meanwhile counts as changed in the next build.
        made_from = self.made_from(parts)
        planner = unfitted_planner(parts)
        woven = weave_rows(planner, parts)
        rows = [*woven, *added_rows(woven, planner, parts)]
        if self._tuning and parts.config.voice:
            _note_rows(rows, parts, planner.language)
        # What nobody wrote says nothing of the voice, nor of what is asked.
        fitted = fit_chain(planner, woven, parts)
        inputs, knowledge = parts.lock.inputs, parts.knowledge()
        # A voice that was not tuned on these rows must not pass for one that was.
        inputs.prepare = made_from if self._tuning or not parts.tunes else ""
        inputs.knowledge = digest(held_sources(parts.folder.knowledge) if knowledge else None)
        inputs.rows = digest([[row.kind, row.messages, row.example.reply] for row in rows], fitted.decline)
        parts.lock.embedder = knowledge.embedder.identity.to_dict() if knowledge else None
        voice = parts.config.voice if self._tuning else None
        stops = voice is not None and voice.early_stopping_patience > 0
        held = weave(parts.examples()[1], planner, voice, on_progress=parts.on_progress) if voice and stops else []
        return Prepared(rows, fitted, held)


def _note_rows(rows: list[SeamRow], parts: Parts, language: Language) -> None:
    """Say what the checks find in the rows that an adapter is about to learn from."""
    assert parts.config.voice is not None
    learnt, held = [row for row in rows if row.trains], len(parts.examples()[1])
    for said in tune_notes(learnt, held, parts.tokenizer(), parts.config.voice.max_length, language):
        parts.note(said)


def unfitted_planner(parts: Parts) -> RoutePlanner:
    """Return the route as it will serve, but for what is fitted with it."""
    from toolkit.bot.assembly import make_planner

    config, knowledge = parts.config, parts.knowledge()
    held = list(knowledge.texts()) if knowledge else []
    texts = [f"{heading} {text}" for _, heading, text in held]
    said = texts or [example.reply for example in parts.examples()[0]]
    lexicon = Lexicon.of(texts, language_of(said, config.language))
    reader = parts.reader() if knowledge else None
    planner = make_planner(config, parts.model() if _needs_model(parts) else None, knowledge, reader, lexicon)
    if planner.picker:
        titles: dict[str, str] = {}
        for source, heading, _ in held:  # the first passage of a document stands under its title
            titles.setdefault(source, heading.split(" > ")[0])
        planner.subjects = subjects_of(list(titles.values()), planner)
        headings = {heading.rsplit(" > ", 1)[-1] for _, heading, _ in held}
        planner.router = fit_router(
            planner.picker.encoder, planner.language, _known_questions(parts, headings), subjects=planner.subjects
        )
    return planner


def _known_questions(parts: Parts, headings: Collection[str]) -> list[str]:
    """Return what is certain to be a question here: those to calibrate on, those declined, and the headings.

    They bring the words of the house, which no list of a language has.
    """
    declined = [example.question for example in parts.examples()[0] if example.declines]
    return [item.question for item in parts.calibration()] + declined + sorted(filter(None, headings))


def _needs_model(parts: Parts) -> bool:
    """Tell whether a model is needed: for follow-ups and small talk among the examples, or to think about questions."""
    return parts.config.knowledge is not None and bool(parts.examples()[0] or parts.calibration())


def weave_rows(planner: RoutePlanner, parts: Parts) -> list[SeamRow]:
    """Weave the examples with the passages that the route finds; no rows where there is to be no voice."""
    voice = parts.config.voice
    return weave(parts.examples()[0], planner, voice, on_progress=parts.on_progress) if voice else []


def added_rows(rows: Sequence[SeamRow], planner: RoutePlanner, parts: Parts) -> list[SeamRow]:
    """Return the rows that a tune learns from beside the examples: of the documents, and of general chat."""
    voice, knowledge = parts.config.voice, parts.knowledge()
    if voice is None:
        return []
    texts = knowledge.texts() if knowledge else ()
    asked = document_rows(rows, planner, texts, voice, on_progress=parts.on_progress)
    chat = replay_rows(rows, voice)
    if asked or chat:
        parts.note(f"Added to the examples: {len(asked)} rows of the documents and {len(chat)} of general chat.")
    return [*asked, *chat]


def fit_chain(planner: RoutePlanner, rows: list[SeamRow], parts: Parts) -> ChainParts:
    """Fit what the chain needs to serve: the gate, the weighing of sentences, the words of the voice, the decline."""
    config, knowledge = parts.config, parts.knowledge()
    plain = config.chain.decline or planner.language.decline
    decline = config.chain.decline or next(iter(typical_declines(rows, planner)), plain)
    gate = None
    if knowledge:
        try:
            texts = [(source, text) for source, _, text in knowledge.texts()]
            gate = fit_on_bot(rows, planner, texts, parts.calibration(), on_progress=parts.on_progress)
            parts.note(
                f"Gate judged on {gate.report['answerable']:.0f} answerable and {gate.report['unanswerable']:.0f} "
                f"other questions: refuses {gate.report['false_refusals']:.0%} and "
                f"{gate.report['right_refusals']:.0%} of them, out of fold."
            )
        except DataError as error:
            parts.note(f"No gate was fitted, so that every question is answered: {error.message}")
    if planner.router:
        parts.note(f"Talk is told from questions: {planner.router.report['mistaken']:.0%} mistaken, out of fold.")
    words = voice_words(rows, planner)
    lexicon = planner.picker.lexicon if planner.picker else Lexicon(language=planner.language)
    return ChainParts(
        gate=gate,
        lexicon=lexicon,
        voice=words,
        decline=decline,
        router=planner.router,
        splitter=fit_parts(planner, rows, parts),
        scales=fit_checking(rows, planner, words),
        subjects=tuple(planner.subjects),
        tables=fit_tables(planner, rows, parts),
    )


def fit_parts(planner: RoutePlanner, rows: list[SeamRow], parts: Parts) -> Splitter | None:
    """Fit what takes compound questions apart; None without documents, or where there is too little to fit it on."""
    from toolkit.language.sentences import split_sentences
    from toolkit.tables import questions_about_two, wording_of

    knowledge, language = parts.knowledge(), planner.language
    if knowledge is None:
        return None
    asked = [row.example.question for row in rows if row.route.kind == "question"]
    told = [text[start:end] for _, _, text in knowledge.texts() for start, end in split_sentences(text)]
    wording = wording_of(language)
    listed = questions_about_two(wording, planner.subjects, language.joined) if wording and planner.subjects else []
    splitter = fit_splitter(language, asked, told, planner.subjects, listed)
    if splitter:
        parts.note(
            f"Of questions that are joined by lot, {splitter.report['found']:.0%} are taken apart, and of what asks "
            f"once {splitter.report['torn apart']:.0%}, out of fold."
        )
    return splitter


def fit_tables(planner: RoutePlanner, rows: list[SeamRow], parts: Parts) -> TableSense | None:
    """Fit what understands questions over the documents' tables; None where there are none to compute over."""
    from toolkit.tables import HeldTables, Measures, fit_sense

    knowledge, picker = parts.knowledge(), planner.picker
    if knowledge is None or picker is None:
        return None
    tables = HeldTables(knowledge.folder, Measures(planner.language)).tables()
    ordinary = [item.question for item in parts.calibration()] + [row.example.question for row in rows]
    asked = list(dict.fromkeys(ordinary))
    sense = fit_sense(picker.encoder, picker.lexicon, tables, asked, on_progress=parts.on_progress)
    if sense:
        parts.note(
            f"Questions over the {len(tables)} tables: {sense.report['taken']:.0%} of those understood are taken, and "
            f"{sense.report['ordinary_taken']:.1%} of {sense.report['ordinary']:.0f} ordinary ones, out of fold."
        )
    return sense


def code_hash() -> str:
    """Name the code and the bundled weights that make rows and gate: another version may make others."""
    import toolkit

    room = Path(str(toolkit.__file__)).parent
    files = sorted([*room.rglob("*.py"), *room.rglob("*.safetensors")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def held_sources(folder: Path) -> dict[str, list[str]]:
    """Return what is held of each source, by hash and ids, without opening anything but the manifest.

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
