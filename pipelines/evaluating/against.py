"""Two bots on the same questions: which is better in what, or how many questions would tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pipelines.evaluating.arms import fullest
from pipelines.evaluating.asking import Asker, Way
from pipelines.evaluating.judging import Judge
from pipelines.evaluating.measuring import TIMED, Told, asked_of, examples_of, scores_of, spread, stoppable
from pipelines.report.evaluation import ArmScores, Record
from pipelines.report.render import fill
from pipelines.report.summary import cell, change
from toolkit.bot import BotFolder, Chatbot, read_config, read_lock
from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.scoring import MEASURES, Measure, PairedDifference, Question, paired_difference


class Duel(Record):
    """What was found of two bots on the same questions."""

    first: str = Field(description="folder of the one bot")
    second: str = Field(description="folder of the other")
    asked: int = Field(description="number of questions")
    scores: list[ArmScores] = Field(description="what each comes to")
    differences: dict[str, PairedDifference] = Field(description="by measure: first minus second")
    verdicts: list[str] = Field(description="a sentence a measure")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self.model_dump(mode="json")


def against(
    first: Path,
    second: Path,
    load: Callable[[Path], Chatbot],
    *,
    questions: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    fresh: bool = False,
    on_progress: Progress | None = None,
) -> Duel:
    """Ask two bots the same questions, each with all that it has, and write what was found into the first one's report.

    One is closed before the other is opened. Both are held to the voice of the first.

    Args:
        first: The folder of a bot, whose questions are asked.
        second: The folder of another.
        load: Opens a bot.
        questions: Questions in place of those of the first.
        split: Only questions of this split.
        limit: Most questions, spread evenly over all.
        fresh: Whether to ask again what was answered before.
        on_progress: Called with what is being done, done, total.

    Raises:
        DataError: A folder is no bot, the bots are one and the same, or there are no questions.
        Interrupted: Ctrl-C; what was answered is kept.
    """
    if first.resolve() == second.resolve():
        raise DataError(f"{first} is to be compared with itself.", "Name another bot after --against.")
    for place in (first, second):
        read_config(BotFolder(place))  # before the first is asked: the second is opened minutes later
    asked: list[Question] = []
    judge: Judge | None = None
    told = []
    for place in (first, second):
        bot = load(place)
        try:
            if judge is None:
                asked = asked_of(bot, questions, split, limit)
                if questions is None and bot.config.evaluation.questions is None:  # made ones favour it
                    raise DataError(f"{first} has no questions to compare on.", "Give some with --questions FILE.")
            judge, answered = _answered(bot, asked, judge, fresh, on_progress)
            told.append(answered)
        finally:
            bot.close()
    result = _duel(first, second, asked, told)
    _write(BotFolder(first), second.resolve().name, result)
    return result


def _answered(
    bot: Chatbot, asked: Sequence[Question], like: Judge | None, fresh: bool, on_progress: Progress | None
) -> tuple[Judge, Told]:
    """Ask a bot as it is served."""
    asker = Asker(bot, read_lock(BotFolder(bot.folder)), on_progress=on_progress, fresh=fresh)
    judge, arm = Judge(bot, *examples_of(bot), like=like), fullest(bot)
    items = [(item.question, ()) for item in asked]
    some, whole, timed = spread(items, TIMED), Way(arm), Way(arm, streamed=True)
    with stoppable(asker):
        for way, prompts in ([] if like else judge.prompts()) + [(whole, items), (timed, some)]:
            asker.expect(way, prompts)
        if like is None:
            judge.listen(asker)
        answers, seconds = asker.ask(whole, items), asker.ask(timed, some)
    return judge, Told(arm, answers, judge.judged(asked, answers, arm, seconds))


def _duel(first: Path, second: Path, asked: Sequence[Question], told: Sequence[Told]) -> Duel:
    one, other = told
    names = _names(first, second)
    differences, verdicts = {}, []
    for measure in MEASURES:
        found = paired_difference(measure.of(one.judged), measure.of(other.judged))
        if found is not None:
            differences[measure.name] = found
            verdicts.append(verdict(measure, found, names))
    return Duel(
        first=str(first), second=str(second), asked=len(asked), scores=[scores_of(item) for item in told],
        differences=differences, verdicts=verdicts,
    )  # fmt: skip


def verdict(measure: Measure, found: PairedDifference, names: tuple[str, str]) -> str:
    """Say in a sentence which bot is better, or how many questions would tell.

    Args:
        measure: What was measured.
        found: What the first has over the second.
        names: What the two are called.
    """
    if not found.unlike:
        return f"{measure.title}: the two came out alike on each of {found.of} questions."
    told = f"{measure.title}: {change(measure, found).removesuffix(', unsure')} on {found.of} questions"
    if found.tells:
        better = names[(found.value > 0) != measure.more_is_better]
        return f"{told}: {better} is better."
    if found.needed is None:
        return f"{told}: too few to tell, and nothing to reckon from how many would."
    enough = max(found.needed, found.of + 1)
    return f"{told}: too few to tell; about {enough} would, if the difference is as large as it looks."


def duel_lines(result: Duel) -> list[str]:
    """Return what the terminal shows."""
    one, other = _names(Path(result.first), Path(result.second))
    return [f"{one} against {other} on the same {result.asked} questions, with 95% intervals:", *result.verdicts]


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Return what two bots are called: by their folders, with those above where they are the same."""
    one, other = first.resolve(), second.resolve()
    return (one.name, other.name) if one.name != other.name else (str(one), str(other))


def _write(folder: BotFolder, other: str, result: Duel) -> None:
    """Write what was found as data and as a page."""
    names = _names(Path(result.first), Path(result.second))
    rows = [
        [
            measure.title, *(cell(measure, scores.figures.get(measure.name)) for scores in result.scores),
            change(measure, result.differences.get(measure.name)),
        ]
        for measure in MEASURES
        if measure.name in result.differences
    ]  # fmt: skip
    folder.report.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result.to_dict(), indent=2, ensure_ascii=False)
    write_text(folder.report / f"against-{other}.json", content + "\n")
    head = ["", *names, "difference"]
    page = fill("against.html.j2", names=names, result=result, head=head, rows=rows)
    write_text(folder.report / f"against-{other}.html", page)
