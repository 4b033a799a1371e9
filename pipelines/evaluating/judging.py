"""Judging the answers of a bot: by its questions, by its documents, and by its voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.evaluating.arms import Arm, fullest
from pipelines.evaluating.asking import Asked, Asker, Way
from toolkit.answering import Answer
from toolkit.answering.evidence import units_of
from toolkit.bot import Chatbot
from toolkit.examples import Example
from toolkit.scoring import Judged, Question, Voice, VoiceClassifier, VoiceScores, judge, score_voice

if TYPE_CHECKING:
    from toolkit.store import Knowledge, Passage

# Replies of the base that the classifier learns to tell the voice from; to prompts that the adapter was trained on,
# so that none of them is judged.
_BASE_REPLIES = 32


class Judge:
    """Judges the answers of a bot.

    Args:
        bot: The bot.
        train: Example replies that its voice was tuned on.
        held: Those that it was not tuned on.
        like: Another judge whose ear for the voice is taken: two bots are compared by one.

    Attributes:
        scores: Measures of the voice; None before :meth:`listen`, and for a bot without one.
        samples: Held-out prompts with the reply with and without the voice.
    """

    def __init__(
        self, bot: Chatbot, train: Sequence[Example], held: Sequence[Example], *, like: Judge | None = None
    ) -> None:
        self._bot = bot
        self._train = list(train)
        self._held = list(held)[: bot.config.evaluation.voice_prompts] if bot.has_voice else []
        said = [example.reply for example in self._train]
        self._own: Voice = like._own if like else Voice.of(said, bot.chain.planner.language)
        self._classifier: VoiceClassifier | None = like._classifier if like else None
        self._searched: dict[str, Sequence[Passage]] = {}
        self.scores: VoiceScores | None = None
        self.samples: list[dict[str, str]] = []

    def prompts(self) -> list[tuple[Way, list[Asked]]]:
        """Return what has to be asked to know the voice, and how.

        The gate does not decline, so that every reply is the model's.
        """
        if not self._held:
            return []
        full = fullest(self._bot)
        spoken, plain = Way(full, gated=False), Way(replace(full, adapter=False, name="plain"), gated=False)
        spread = self._train[:: max(1, len(self._train) // _BASE_REPLIES)][:_BASE_REPLIES]
        held = _prompts(self._held)
        return [(plain, _prompts(spread)), (spoken, held), (plain, held)]

    def listen(self, asker: Asker) -> None:
        """Reply to held-out prompts with and without the voice and let a classifier judge."""
        wanted = self.prompts()
        if not wanted:
            return
        base, spoken, plain = ([answer.text for answer in asker.ask(way, asked)] for way, asked in wanted)
        others = [*base, *sentences_of(self._bot.knowledge, len(self._train))]
        self._classifier = VoiceClassifier([example.reply for example in self._train], others)
        self.scores = score_voice(self._classifier, spoken, plain, [example.reply for example in self._held])
        self.samples = [
            {"prompt": example.question, "example": example.reply, "with_adapter": with_, "without_adapter": without}
            for example, with_, without in zip(self._held, spoken, plain, strict=True)
        ]

    def judged(
        self, asked: Sequence[Question], answers: Sequence[Answer], arm: Arm, timed: Sequence[Answer] = ()
    ) -> list[Judged]:
        """Judge answers, one a question.

        Args:
            asked: The questions.
            answers: Their answers.
            arm: What of the bot answered.
            timed: Answers to some of them that were asked for one by one.
        """
        seconds = {answer.question: answer.seconds for answer in timed}
        judged = [
            judge(
                question, answer, self._own, evidence=answer.passages or self._search(question.question),
                documents=arm.knowledge,
            )
            for question, answer in zip(asked, answers, strict=True)
        ]  # fmt: skip
        voices = self._recognised(answers)
        return [
            replace(one, voice=voice, first_token=took.get("first_token"), total=took.get("total"))
            for one, voice, took in zip(
                judged, voices, (seconds.get(question.question, {}) for question in asked), strict=True
            )
        ]

    def _recognised(self, answers: Sequence[Answer]) -> list[bool | None]:
        """Tell which answers are in the voice; a decline is written by people and says nothing of the model."""
        replies = [answer.text for answer in answers if not answer.abstained]
        if self._classifier is None or not replies:
            return [None] * len(answers)
        found = iter(self._classifier.recognises(replies))
        return [None if answer.abstained else next(found) for answer in answers]

    def _search(self, question: str) -> Sequence[Passage]:
        """Return what the documents hold for a question: what an arm without them is held against as well."""
        if question not in self._searched:
            self._searched[question] = self._bot.chain.planner.search(question)
        return self._searched[question]


def _prompts(examples: Sequence[Example]) -> list[Asked]:
    return [(example.question, example.history) for example in examples]


def sentences_of(knowledge: Knowledge | None, count: int) -> list[str]:
    """Return sentences of the documents: they stand in replies of either voice and must not tell them apart."""
    if knowledge is None:
        return []
    units = [unit.text for _, _, text in knowledge.texts() for unit in units_of(text)]
    return units[:: max(1, len(units) // count)][:count]
