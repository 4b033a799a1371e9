"""What was measured of a bot: ``report.json``, whose schema is ``docs/report.schema.json``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from toolkit.scoring import AnswerScores, CurvePoint, Estimate, PairedDifference, VoiceScores


class Record(BaseModel):
    """A part of a report: it holds what is named here, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Quote(Record):
    """Where an answer stands in the documents."""

    source: str = Field(description="the file, relative to the document folder")
    page: int | None = Field(description="the page from 1, where the file has pages")
    quote: str = Field(description="the exact words of the document")


class Found(Record):
    """A passage that was found."""

    id: str = Field(description="stable id of the chunk")
    source: str = Field(description="the file, relative to the document folder")
    text: str = Field(description="its exact text")
    score: float = Field(description="how well it fits; comparable within one question only")


class Spent(Record):
    """What a model read and wrote."""

    prompt: int = Field(description="tokens of the prompt")
    reply: int = Field(description="tokens of the reply")


class Done(Record):
    """A step that was done for an answer."""

    name: str = Field(description="what it was: route, table, rewrite, search, evidence, thinking, gate, and so on")
    inputs: dict[str, Any] = Field(description="what it was given")
    outputs: dict[str, Any] = Field(description="what came of it")
    seconds: float = Field(description="how long it took; the question's share of what was done for many at once")
    adapter: bool | None = Field(description="whether the voice was on; null where no model was asked")
    tokens: Spent | None = Field(description="what the model read and wrote, where it knows")


class Detail(Record):
    """One question, what the fullest arm answered, and what the measures say of it."""

    question: str = Field(description="what was asked")
    unanswerable: bool = Field(False, description="whether the documents do not tell")
    facts: list[list[str]] = Field(default=[], description="a right answer holds one string of each inner list")
    sources: list[str] = Field(default=[], description="files that hold the answer")
    answer: str = Field(description="the reply")
    abstained: bool = Field(description="whether the bot declined")
    adapter: bool = Field(True, description="whether the voice was on")
    citations: list[Quote] = Field(default=[], description="where it stands, the best supported first")
    passages: list[Found] = Field(default=[], description="what was retrieved, best first")
    seconds: dict[str, float] = Field(
        default={}, description="of the batch that the question was asked in; see first_token and total of the arms"
    )
    rewritten: str = Field("", description="the question as it was searched for")
    answerable: float | None = Field(None, description="the gate's probability that the passages tell")
    replaced: list[str] = Field(default=[], description="sentences of the model that the evidence did not hold")
    trace: list[Done] = Field(default=[], description="what was done for the answer, step by step")
    holds_facts: bool | None = Field(
        None, description="whether the text holds the facts, declined or not; null for an unanswerable question"
    )
    first_sentence: str | None = Field(None, description="the first sentence that states something")
    made_up: dict[str, str] = Field(default={}, description="sentences that are not grounded, with what nobody told")
    judged: dict[str, float | None] = Field(default={}, description="each measure of this answer; null: does not apply")
    others: dict[str, str] = Field(default={}, description="the replies of the other arms, by their names")


class ArmScores(Record):
    """What one arm comes to."""

    name: str = Field(description="neither, knowledge, adapter or both")
    adapter: bool = Field(description="whether the voice was on")
    knowledge: bool = Field(description="whether the documents were used")
    figures: dict[str, Estimate] = Field(description="by measure: mean, 95% interval, and of how many questions")


class ArmDifference(Record):
    """What the fullest arm has over another, on the same questions."""

    measure: str = Field(description="name of the measure")
    first: str = Field(description="the fullest arm")
    second: str = Field(description="the other arm")
    difference: PairedDifference = Field(description="first minus second")


class Broken(Record):
    """A question that was answered rightly, and no longer is."""

    question: str = Field(description="the question as it was")
    asked: str = Field(description="the question as it was asked now")
    before: str = Field(description="the reply to the one")
    after: str = Field(description="the reply to the other")
    why: str = Field(description="where it broke")


class Perturbation(Record):
    """The same questions with something done to them."""

    name: str = Field(description="typos, other words or irrelevant passage")
    asked: int = Field(description="number of questions that were asked")
    right: int = Field(description="how many of them were right before")
    mended: int = Field(description="how many are right now and were not before")
    differences: dict[str, PairedDifference] = Field(description="by measure: now minus before")
    broken: list[Broken] = Field(description="what was right and is no longer")


class Evaluation(Record):
    """What was measured of a bot."""

    bot: str = Field(description="name of the bot")
    answers: AnswerScores | None = Field(description="shares of the fullest arm, or null without questions")
    voice: VoiceScores | None = Field(description="the voice on held-out prompts, or null without one")
    gate: dict[str, float] | None = Field(description="how the gate was fitted: counts, error rates out of fold")
    seconds: float = Field(description="time that the measuring took, in seconds")
    details: list[Detail] = Field(description="one entry a question")
    samples: list[dict[str, str]] = Field(description="held-out prompts with the reply with and without the voice")
    made: bool = Field(False, description="whether the questions were made from the documents")
    arms: list[ArmScores] = Field(default=[], description="what each arm comes to, the fullest last")
    differences: list[ArmDifference] = Field(default=[], description="what the fullest arm has over each other")
    threshold: float | None = Field(None, description="probability under which the bot declines; null without a gate")
    curve: list[CurvePoint] = Field(default=[], description="what other thresholds would decline")
    perturbed: list[Perturbation] = Field(default=[], description="what breaks: `housevoice eval --perturb`")
    settings: dict[str, Any] = Field(default={}, description="the resolved bot.yaml")

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain data."""
        return self.model_dump(mode="json")
