"""The ``chain`` section: from a question to an answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from toolkit.config.section import Section

DECLINE = "I am sorry, the documents I have do not say anything about that."


class ChainSettings(Section):
    """How a question becomes an answer."""

    system: str = Field(
        "You answer customers in the voice of the house. Use only the notes.",
        description="system message of every prompt, in training and in serving alike",
    )
    decline: str | None = Field(
        None, description="the reply where the documents do not tell; default: the most typical declining example reply"
    )
    evidence_sentences: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="sentences picked from the passages and shown to the model"
    )
    rewrite: Literal["auto", "never"] = Field("auto", description="turn a follow-up into a question of its own")
    max_false_refusals: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.08, description="share of answerable questions that the gate may decline when its threshold is fitted"
    )
    max_new_tokens: Annotated[int, Field(ge=8, le=4096)] = Field(96, description="longest reply, in tokens of the base")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy: the same reply each time")
    history_turns: Annotated[int, Field(ge=0, le=20)] = Field(3, description="earlier exchanges that are looked at")
