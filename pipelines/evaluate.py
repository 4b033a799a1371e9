"""Measuring a built bot: what it answers, what it declines, and whether it speaks in its voice."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.parts import Parts
from pipelines.report import Evaluation, summary_lines
from pipelines.steps import Step, digest
from toolkit.answering import Answer
from toolkit.answering.evidence import units_of
from toolkit.bot import BotFolder, Chatbot, write_lock
from toolkit.examples import Example, read_examples, split_examples
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.scoring import (
    Question,
    Voice,
    VoiceClassifier,
    VoiceScores,
    judge,
    read_questions,
    score_answers,
    score_voice,
)

if TYPE_CHECKING:
    from toolkit.store import Knowledge

# Replies of the base that the classifier learns to tell the voice from; to prompts that the adapter was trained on,
# so that none of them is judged.
_BASE_REPLIES = 32


class EvaluateStep(Step[Evaluation | None]):
    """Measures the bot; the result is None where it was measured as it is."""

    name = "evaluate"

    def made_from(self, parts: Parts) -> str:
        """Name the bot, as it was built, and what it is asked."""
        built = {name: value for name, value in vars(parts.lock.inputs).items() if name != self.name}
        files = sorted(parts.folder.chain.glob("*.json"))
        fitted = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        settings = parts.config.model_dump(mode="json")
        return digest(built, parts.lock.base, settings, parts.input_hashes(), fitted)

    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether the report is one of this very bot."""
        there = (parts.folder.report / "report.json").is_file()
        return there and parts.lock.inputs.evaluate == self.made_from(parts)

    def kept(self, parts: Parts) -> None:
        """Return nothing: the report is in the bot folder."""

    def run(self, parts: Parts) -> Evaluation:
        """Measure the bot with the base, the knowledge and the examples that are open.

        Raises:
            AdapterMismatch: The base is not the one that the bot was built on.
            ModelError: The base cannot be loaded, or renders other prompts.
        """
        made_from = self.made_from(parts)
        parts.check_lock()
        bot = Chatbot.assemble(parts.folder, parts.config, parts.speaking_model(), parts.knowledge(), parts.reader())
        asked = parts.questions(parts.config.evaluation.split)
        result = measure(bot, asked, *parts.examples(), on_progress=parts.on_progress)
        parts.lock.inputs.evaluate = made_from
        write_lock(parts.folder, parts.lock)
        return result

    def remarks(self, result: Evaluation | None, seconds: float) -> Iterator[str]:
        """Yield what was measured."""
        yield from summary_lines(result) if result else ()


def evaluate(
    bot: Chatbot,
    *,
    questions: Path | None = None,
    split: str | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Measure a bot and write ``report/`` into its folder.

    Args:
        bot: The bot.
        questions: Questions to ask; default: those of its ``bot.yaml``.
        split: Only questions of this split; default: as in ``bot.yaml``.
        on_progress: Called with what is being done, done, total.

    Raises:
        DataError: The question file is missing or malformed.
    """
    settings, voice = bot.config.evaluation, bot.config.voice
    file = questions or settings.questions
    asked = read_questions(file, split or settings.split) if file else []
    train: list[Example] = []
    held: list[Example] = []
    if voice and voice.examples.is_file():  # a bot folder that was moved away from its sources has its report already
        train, held = split_examples(read_examples(voice.examples), voice.held_out, voice.seed)
    return measure(bot, asked, train, held, on_progress=on_progress)


def measure(
    bot: Chatbot,
    asked: Sequence[Question],
    train: Sequence[Example],
    held: Sequence[Example],
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Measure a bot with questions and examples that were read, and write ``report/`` into its folder.

    Args:
        bot: The bot.
        asked: The questions.
        train: Example replies that its voice was tuned on.
        held: Those that it was not tuned on.
        on_progress: Called with what is being done, done, total.
    """
    started = time.perf_counter()
    voice, samples = _measure_voice(bot, train, held, on_progress) if bot.has_voice else (None, [])
    answers = _ask(bot, asked, on_progress)
    own = Voice.of([example.reply for example in train], bot.chain.planner.language)
    judged = [judge(question, answer, own) for question, answer in zip(asked, answers, strict=True)]
    gate = bot.chain.gate
    result = Evaluation(
        bot=bot.config.name,
        answers=score_answers(judged) if asked else None,
        voice=voice,
        gate=gate.report if gate else None,
        seconds=time.perf_counter() - started,
        details=[_detail(question, answer) for question, answer in zip(asked, answers, strict=True)],
        samples=samples,
    )
    _write(BotFolder(bot.folder), result)
    return result


def _ask(bot: Chatbot, questions: Sequence[Question], on_progress: Progress | None) -> list[Answer]:
    """Ask all questions, some at a time, so that progress can be shown."""
    answers: list[Answer] = []
    step = 32
    for start in range(0, len(questions), step):
        answers += bot.ask_many([question.question for question in questions[start : start + step]])
        if on_progress:
            on_progress("Asking the questions", len(answers), len(questions))
    return answers


def _measure_voice(
    bot: Chatbot, train: Sequence[Example], held: Sequence[Example], on_progress: Progress | None
) -> tuple[VoiceScores | None, list[dict[str, str]]]:
    """Reply to held-out prompts with and without the voice and let a classifier judge."""
    held = held[: bot.config.evaluation.voice_prompts]
    if not held:
        return None, []
    spread = train[:: max(1, len(train) // _BASE_REPLIES)][:_BASE_REPLIES]
    base = _replies(bot, spread, adapter=False)
    _tell(on_progress, 1)
    spoken = _replies(bot, held, adapter=True)
    _tell(on_progress, 2)
    plain = _replies(bot, held, adapter=False)
    _tell(on_progress, 3)
    others = [*base, *sentences_of(bot.knowledge, len(train))]
    classifier = VoiceClassifier([example.reply for example in train], others)
    samples = [
        {"prompt": example.question, "example": example.reply, "with_adapter": with_, "without_adapter": without}
        for example, with_, without in zip(held, spoken, plain, strict=True)
    ]
    return score_voice(classifier, spoken, plain, [example.reply for example in held]), samples


def sentences_of(knowledge: Knowledge | None, count: int) -> list[str]:
    """Return sentences of the documents: they stand in replies of either voice and must not tell them apart."""
    if knowledge is None:
        return []
    units = [unit.text for _, _, text in knowledge.texts() for unit in units_of(text)]
    return units[:: max(1, len(units) // count)][:count]


def _tell(on_progress: Progress | None, done: int) -> None:
    if on_progress:
        on_progress("Listening to the voice", done, 3)


def _replies(bot: Chatbot, examples: Sequence[Example], *, adapter: bool) -> list[str]:
    """Let the model reply to all prompts; the gate does not decline, so that every reply is the model's."""
    asked = [(example.question, example.history) for example in examples]
    return [answer.text for answer in bot.chain.answers(asked, adapter=adapter, gated=False)]


def _detail(question: Question, answer: Answer) -> dict[str, Any]:
    from toolkit.scoring import holds_facts

    return answer.to_dict() | {
        "unanswerable": question.unanswerable,
        "facts": question.facts,
        "sources": question.sources,
        "holds_facts": None if question.unanswerable else holds_facts(answer.text, question.facts),
        "answerable": answer.answerable,
        "rewritten": answer.rewritten,
        "replaced": answer.replaced,
    }


def _write(folder: BotFolder, result: Evaluation) -> None:
    """Write the report as data and as a page."""
    from pipelines.report import render

    folder.report.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result.to_dict(), indent=2, ensure_ascii=False)
    write_text(folder.report / "report.json", content + "\n")
    write_text(folder.report / "report.html", render(result, folder))
