"""Measuring a built bot: what it answers, what it declines, and whether it speaks in its voice."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.report.evaluation import Evaluation
from toolkit.answering import Answer
from toolkit.answering.evidence import units_of
from toolkit.bot import BotFolder, Chatbot
from toolkit.examples import Example, read_examples, split_examples
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.scoring import (
    Question,
    VoiceClassifier,
    VoiceScores,
    read_questions,
    score_answers,
    score_voice,
)

# Replies of the base that the classifier learns to tell the voice from; to prompts that the adapter was trained on,
# so that none of them is judged.
_BASE_REPLIES = 32


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
    started = time.perf_counter()
    settings = bot.config.evaluation
    file = questions or settings.questions
    asked = read_questions(file, split or settings.split) if file else []
    voice, samples = _measure_voice(bot, on_progress) if bot.has_voice else (None, [])
    answers = _ask(bot, asked, on_progress)
    gate = bot.chain.gate
    result = Evaluation(
        bot=bot.config.name,
        answers=score_answers(asked, answers) if asked else None,
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


def _measure_voice(bot: Chatbot, on_progress: Progress | None) -> tuple[VoiceScores | None, list[dict[str, str]]]:
    """Reply to held-out prompts with and without the voice and let a classifier judge."""
    settings = bot.config.voice
    if settings is None or not settings.examples.is_file():
        return None, []  # a bot folder that was moved away from its sources has its report already
    train, held = split_examples(read_examples(settings.examples), settings.held_out, settings.seed)
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
    classifier = VoiceClassifier([example.reply for example in train], [*base, *_sentences(bot, len(train))])
    samples = [
        {"prompt": example.question, "example": example.reply, "with_adapter": with_, "without_adapter": without}
        for example, with_, without in zip(held, spoken, plain, strict=True)
    ]
    return score_voice(classifier, spoken, plain, [example.reply for example in held]), samples


def _sentences(bot: Chatbot, count: int) -> list[str]:
    """Return sentences of the documents: they stand in replies of either voice and must not tell them apart."""
    if bot.knowledge is None:
        return []
    units = [unit for _, _, text in bot.knowledge.texts() for unit in units_of(text)]
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
