"""Measuring a built bot: what it answers, what it declines, how it speaks, and what each of its halves brings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluating.arms import Arm, arms_of
from pipelines.evaluating.asking import Asked, Asker, Way
from pipelines.evaluating.judging import Judge
from pipelines.evaluating.perturbing import IRRELEVANT, Variant, irrelevant_on_top, variants, what_breaks
from pipelines.report import Evaluation, render
from pipelines.report.evaluation import ArmDifference, ArmScores, Detail, Done, Found, Perturbation, Quote
from toolkit.answering import Answer
from toolkit.bot import BotFolder, Chatbot, read_lock
from toolkit.errors import Interrupted
from toolkit.examples import Example, read_examples, split_examples
from toolkit.examples.made import made_examples
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.scoring import (
    MEASURES,
    Judged,
    Question,
    declining_curve,
    estimate,
    holds_facts,
    paired_difference,
    read_questions,
    score_answers,
)

# Questions that are asked one by one for their seconds, an arm: on two cores that is half a minute. Enough to see what
# an arm costs; the interval says how little they tell of the rest.
TIMED = 8
# Questions that are made where there is no file of them: they tell a difference of 20 points where two answers in five
# come out otherwise, by questions_needed of toolkit/scoring.
_MADE = 75


@dataclass(frozen=True)
class Told:
    """What one arm answered, question by question.

    Attributes:
        arm: The arm.
        answers: Its answers.
        judged: What the measures say of them.
    """

    arm: Arm
    answers: list[Answer]
    judged: list[Judged]


def evaluate(
    bot: Chatbot,
    *,
    questions: Path | None = None,
    split: str | None = None,
    arms: Sequence[str] | None = None,
    limit: int | None = None,
    perturb: bool = False,
    fresh: bool = False,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Measure a bot and write ``report/`` into its folder.

    What was answered is kept there: a run that was stopped, or that asks more, does not ask it again.

    Args:
        bot: The bot.
        questions: Questions to ask; default: those of its ``bot.yaml``, or some that are made from its documents.
        split: Only questions of this split; default: as in ``bot.yaml``.
        arms: Which of ``neither``, ``knowledge``, ``adapter`` and ``both``; default: all that the bot has.
        limit: Most questions, spread evenly over all; default: all.
        perturb: Whether to ask the same questions with typos, in other words, and with an irrelevant passage on top.
        fresh: Whether to ask again what was answered before.
        on_progress: Called with what is being done, done, total.

    Raises:
        DataError: The question file is missing or malformed, or the bot has no such arm.
        Interrupted: Ctrl-C; what was answered is kept.
    """
    chosen = arms_of(bot, arms)
    asked = asked_of(bot, questions, split, limit)
    asker = Asker(bot, read_lock(BotFolder(bot.folder)), on_progress=on_progress, fresh=fresh)
    judge = Judge(bot, *examples_of(bot))
    with stoppable(asker):
        result = measure(asker, judge, asked, chosen, timed=TIMED, perturb=perturb)
    made = bool(asked) and questions is None and bot.config.evaluation.questions is None
    result = result.model_copy(update={"made": made})
    write(BotFolder(bot.folder), result)
    return result


def asked_of(bot: Chatbot, questions: Path | None, split: str | None, limit: int | None) -> list[Question]:
    """Return the questions of a bot; where it names no file of them, questions that are made from its documents.

    Of the made ones the file that answers is known, and no fact.

    Args:
        bot: The bot.
        questions: A file in place of its own.
        split: A split in place of its own.
        limit: Most of them, spread evenly over all.

    Raises:
        DataError: The file is missing or malformed.
    """
    settings, picker = bot.config.evaluation, bot.chain.picker
    file = questions or settings.questions
    if file is not None:
        asked = read_questions(file, split or settings.split)
    elif bot.knowledge is not None and picker is not None:
        made = made_examples(bot.knowledge.texts(), picker.lexicon, seed=0, count=_MADE)
        asked = [Question(item.question, sources=(item.passage.source,)) for item in made]
    else:
        asked = []
    return asked if limit is None else spread(asked, limit)


def examples_of(bot: Chatbot) -> tuple[list[Example], list[Example]]:
    """Return the example replies that a voice was tuned on, and those that it was not.

    None where the file is not there: a bot folder that was moved away from its sources has its report already.
    """
    voice = bot.config.voice
    if voice is None or not voice.examples.is_file():
        return [], []
    return split_examples(read_examples(voice.examples), voice.held_out, voice.seed)


def measure(
    asker: Asker,
    judge: Judge,
    asked: Sequence[Question],
    arms: Sequence[Arm],
    *,
    timed: int = 0,
    perturb: bool = False,
) -> Evaluation:
    """Measure a bot with questions and examples that were read.

    Args:
        asker: Asks the bot.
        judge: Judges its answers.
        asked: The questions.
        arms: The arms to ask, the fullest last.
        timed: Questions, an arm, that are asked one by one for their seconds.
        perturb: Whether what breaks the answers is looked for.
    """
    started, bot = time.perf_counter(), asker.bot
    items = [_prompt(question) for question in asked]
    some = spread(items, timed)
    changed = variants(asked, documents=arms[-1].knowledge) if perturb else []
    plan = [*judge.prompts(), *((Way(arm), items) for arm in arms)]
    plan += [(Way(arm, streamed=True), some) for arm in arms]
    plan += [(_way(variant, arms[-1]), [_prompt(question) for question in variant.asked]) for variant in changed]
    for way, prompts in plan:
        asker.expect(way, prompts)
    judge.listen(asker)
    told = []
    for arm in arms:
        answers = asker.ask(Way(arm), items)
        seconds = asker.ask(Way(arm, streamed=True), some)
        told.append(Told(arm, answers, judge.judged(asked, answers, arm, seconds)))
    main, chain = told[-1], bot.chain
    probabilities = [answer.answerable for answer in main.answers]
    return Evaluation(
        bot=bot.config.name,
        answers=score_answers(main.judged) if asked else None,
        voice=judge.scores,
        gate=chain.gate.report if chain.gate else None,
        seconds=time.perf_counter() - started,
        details=details_of(asked, told),
        samples=judge.samples,
        arms=[scores_of(item) for item in told] if asked else [],
        differences=[found for other in told[:-1] for found in differences_of(main, other)],
        threshold=threshold_of(bot) if main.arm.knowledge else None,
        curve=declining_curve(probabilities, [item.unanswerable for item in asked]),
        perturbed=[_perturbed(variant, asker, judge, main, asked) for variant in changed],
        settings=bot.config.model_dump(mode="json"),
    )


@contextmanager
def stoppable(asker: Asker) -> Iterator[None]:
    """Turn a Ctrl-C while a bot is asked into an error that says what is kept.

    Raises:
        Interrupted: Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped after {asker.done.total()} of {asker.total.total()} answers.",
            "Run the same command again: what was answered is kept.",
        ) from None


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return so many items, spread evenly over all.

    Example:
        >>> spread("abcdef", 3)
        ['a', 'c', 'e']
    """
    if count >= len(items):
        return list(items)
    return [items[number * len(items) // count] for number in range(count)]


def threshold_of(bot: Chatbot) -> float | None:
    """Return the probability under which a bot declines; None without a gate."""
    planner = bot.chain.planner
    if planner.gate is None:
        return None
    second = planner.gate.second
    thinks = planner.speaker is not None and planner.speaker.abilities.token_scores
    return second.threshold if second and thinks else planner.gate.threshold


def scores_of(told: Told) -> ArmScores:
    """Put what an arm answered into figures."""
    found = {measure.name: estimate(measure.of(told.judged)) for measure in MEASURES}
    figures = {name: value for name, value in found.items() if value is not None}
    return ArmScores(name=told.arm.name, adapter=told.arm.adapter, knowledge=told.arm.knowledge, figures=figures)


def differences_of(main: Told, other: Told) -> list[ArmDifference]:
    """Return what one arm has over another, measure by measure, on the same questions."""
    found = (
        (measure, paired_difference(measure.of(main.judged), measure.of(other.judged))) for measure in MEASURES
    )
    return [
        ArmDifference(measure=measure.name, first=main.arm.name, second=other.arm.name, difference=difference)
        for measure, difference in found
        if difference is not None
    ]


def details_of(asked: Sequence[Question], told: Sequence[Told]) -> list[Detail]:
    """Return one entry a question: what the fullest arm answered and which measures it met."""
    main = told[-1]
    names = [measure.name for measure in MEASURES]
    details = []
    for number, (question, answer, judged) in enumerate(zip(asked, main.answers, main.judged, strict=True)):
        values = {name: getattr(judged, name) for name in names}
        details.append(
            Detail(
                question=answer.question,
                unanswerable=question.unanswerable,
                facts=[list(fact) for fact in question.facts],
                sources=list(question.sources),
                answer=answer.text,
                abstained=answer.abstained,
                adapter=answer.adapter,
                citations=[Quote(source=item.source, page=item.page, quote=item.quote) for item in answer.citations],
                passages=[
                    Found(id=item.id, source=item.source, text=item.text, score=item.score) for item in answer.passages
                ],
                seconds=answer.seconds,
                rewritten=answer.rewritten,
                answerable=answer.answerable,
                replaced=answer.replaced,
                trace=[Done(**step) for step in answer.trace.to_dict()],
                holds_facts=None if question.unanswerable else holds_facts(answer.text, question.facts),
                first_sentence=judged.first_sentence,
                made_up=judged.made_up,
                judged={name: None if value is None else float(value) for name, value in values.items()},
                others={item.arm.name: item.answers[number].text for item in told[:-1]},
            )
        )
    return details


def _prompt(question: Question) -> Asked:
    return question.question, ()


def _way(variant: Variant, arm: Arm) -> Way:
    """Return how changed questions are asked: those that only differ in their words are kept with all others."""
    return Way(arm, note=IRRELEVANT.replace(" ", "-") if variant.name == IRRELEVANT else "")


def _perturbed(
    variant: Variant, asker: Asker, judge: Judge, main: Told, asked: Sequence[Question]
) -> Perturbation:
    """Ask the changed questions of the fullest arm and see what breaks."""
    way, items = _way(variant, main.arm), [_prompt(question) for question in variant.asked]
    if variant.name == IRRELEVANT:
        with irrelevant_on_top(asker.bot, asked):
            answers = asker.ask(way, items)
    else:
        answers = asker.ask(way, items)
    judged = judge.judged(variant.asked, answers, main.arm)
    before = list(zip(main.judged, main.answers, strict=True))
    return what_breaks(variant, before, list(zip(judged, answers, strict=True)))


def write(folder: BotFolder, result: Evaluation) -> None:
    """Write the report as data and as a page."""
    folder.report.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result.to_dict(), indent=2, ensure_ascii=False)
    write_text(folder.report / "report.json", content + "\n")
    write_text(folder.report / "report.html", render(result, folder))
