"""Asking a bot many questions in several ways: with progress, and kept, so that a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.evaluating.arms import Arm
from pipelines.prepare import code_hash
from pipelines.steps import digest
from toolkit.answering import Answer, Citation, Trace
from toolkit.bot import BotFolder, Chatbot
from toolkit.bot.lock import Lock
from toolkit.errors import DataError
from toolkit.files import read_json, write_text
from toolkit.progress import Progress
from toolkit.prompts import Turn
from toolkit.store import Passage

if TYPE_CHECKING:
    from toolkit.engines import HouseChatModel

# Asked at once, and then kept: the most that a stop costs.
_AT_ONCE = 32
_ASKING, _LISTENING = "Asking the questions", "Listening to the voice"
Asked = tuple[str, Sequence[Turn]]


@dataclass(frozen=True)
class Way:
    """A way to ask a bot.

    Attributes:
        arm: What of it answers.
        gated: Whether it may decline.
        streamed: Whether questions are asked one by one, for their seconds.
        note: What else is done to it, such as an irrelevant passage on top; part of the name.
    """

    arm: Arm
    gated: bool = True
    streamed: bool = False
    note: str = ""

    @property
    def doing(self) -> str:
        """What is being done, as the progress names it: only where the voice is measured nothing is declined."""
        return _ASKING if self.gated else _LISTENING

    @property
    def name(self) -> str:
        """What the answers are kept under."""
        parts = (self.arm.name, "" if self.gated else "ungated", "streamed" if self.streamed else "", self.note)
        return "-".join(part for part in parts if part)


class Asker:
    """Asks a bot, and keeps what it answered in its folder.

    Tell it all that is to be asked with :meth:`expect` first, so that the time left is that of all of it.

    Args:
        bot: The bot.
        lock: What it was built with: answers of another bot are not taken for its own.
        on_progress: Called with what is being done, done, total.
        fresh: Whether what was answered before is asked again.

    Attributes:
        bot: The bot.
        done: Answers that this run has asked for so far, by what it was doing.
        total: Answers that it has to ask for, by what it is doing.
    """

    def __init__(
        self, bot: Chatbot, lock: Lock, *, on_progress: Progress | None = None, fresh: bool = False
    ) -> None:
        self.bot = bot
        self.done: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self._on_progress = on_progress
        self._started: dict[str, float] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._folder = self._place(lock)
        if fresh and self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def expect(self, way: Way, asked: Sequence[Asked]) -> None:
        """Count questions that will be asked."""
        self.total[way.doing] += len(self._missing(way, asked))

    def ask(self, way: Way, asked: Sequence[Asked]) -> list[Answer]:
        """Return the answers, those that were kept from before and those that are asked for now.

        Args:
            way: How they are asked.
            asked: Pairs of question and history.
        """
        self._started.setdefault(way.doing, time.perf_counter())
        kept, missing = self._answers(way), self._missing(way, asked)
        step = 1 if way.streamed else _AT_ONCE
        for start in range(0, len(missing), step):
            some = list(missing.items())[start : start + step]
            answers = self._answered(way, [item for _, item in some])
            kept |= {key: to_row(answer) for (key, _), answer in zip(some, answers, strict=True)}
            self._keep(way)
            self.done[way.doing] += len(some)
            self._tell(way)
        return [from_row(kept[_key(item)]) for item in asked]

    def _answered(self, way: Way, asked: Sequence[Asked]) -> list[Answer]:
        adapter = way.arm.adapter and self.bot.has_voice
        if not way.streamed:
            return self.bot.chain.answers(asked, adapter=adapter, knowledge=way.arm.knowledge, gated=way.gated)
        answers = []
        for question, history in asked:
            stream = self.bot.stream(question, history, adapter=adapter, knowledge=way.arm.knowledge)
            for _ in stream:
                pass
            assert stream.answer is not None
            answers.append(stream.answer)
        return answers

    def _tell(self, way: Way) -> None:
        """Say how far the work is, and of the questions how long the rest takes if it goes on as until now."""
        if self._on_progress is None:
            return
        what, done, total = way.doing, self.done[way.doing], self.total[way.doing]
        if what == _ASKING:
            seconds = (time.perf_counter() - self._started[what]) / done * (total - done)
            left = f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
            what = f"{what}: {way.arm.name}, about {left} left"
        self._on_progress(what, done, total)

    def _missing(self, way: Way, asked: Sequence[Asked]) -> dict[str, Asked]:
        """Return what has no answer yet, each once."""
        kept = self._answers(way)
        return {key: item for item in asked if (key := _key(item)) not in kept}

    def _answers(self, way: Way) -> dict[str, Any]:
        """Return the answers by question; of this run alone where none are kept."""
        if way.name not in self._kept:
            there = read_json(self._folder / f"{way.name}.json") if self._folder else None
            self._kept[way.name] = there if isinstance(there, dict) else {}
        return self._kept[way.name]

    def _keep(self, way: Way) -> None:
        if self._folder is None:
            return
        if not self._folder.is_dir():
            shutil.rmtree(self._folder.parent, ignore_errors=True)  # answers of a bot that is no more
            self._folder.mkdir(parents=True)
        content = json.dumps(self._kept[way.name], ensure_ascii=False)
        write_text(self._folder / f"{way.name}.json", content + "\n")

    def _place(self, lock: Lock) -> Path | None:
        """Return where answers are kept; nowhere for those of a model that was handed in and has no name."""
        model = own_model(self.bot)
        if model is None:
            return None
        folder, config = BotFolder(self.bot.folder), self.bot.config
        inputs = {name: value for name, value in vars(lock.inputs).items() if name != "evaluate"}
        settings = config.model_dump(mode="json", exclude={"output", "evaluation"})
        fitted = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.chain.glob("*.json"))]
        device = str(getattr(getattr(model.engine, "model", None), "device", ""))
        return folder.report / "answers" / digest(inputs, lock.base, settings, fitted, device, code_hash())


def own_model(bot: Chatbot) -> HouseChatModel | None:
    """Return the model that a bot was built with; None where another was handed in, or there is none."""
    from toolkit.engines import HouseChatModel

    speaker = bot.chain.planner.speaker
    return speaker.model if speaker and isinstance(speaker.model, HouseChatModel) else None


def _key(asked: Asked) -> str:
    question, history = asked
    return digest(question, [[turn.question, turn.reply] for turn in history])


def to_row(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain data that :func:`from_row` makes one of again."""
    row = {item.name: getattr(answer, item.name) for item in fields(answer)}
    return row | {
        "citations": [citation.to_dict() for citation in answer.citations],
        "passages": [passage.to_dict() for passage in answer.passages],
        "seconds": {name: float(value) for name, value in answer.seconds.items()},
        "trace": answer.trace.to_dict(),
    }


def from_row(row: dict[str, Any]) -> Answer:
    """Return the answer that :func:`to_row` wrote; of the metadata of its passages only page and headings are left.

    Raises:
        DataError: It was written by another version.
    """
    try:
        citations = [Citation(**citation) for citation in row["citations"]]
        passages = [Passage(**passage) for passage in row["passages"]]
        trace = Trace.from_dict(row["trace"])
        return Answer(**row | {"citations": citations, "passages": passages, "trace": trace})
    except (KeyError, TypeError) as error:
        raise DataError(
            f"An answer that was kept cannot be read: {error}.", "Ask anew: housevoice eval BOT --fresh"
        ) from error
