"""The ``chain`` section: from a question to an answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from toolkit.config.section import Section
from toolkit.prompts import DEFAULT_SYSTEM


class ChainSettings(Section):
    """How a question becomes an answer."""

    mode: Literal["chain", "agent", "auto"] = Field(
        "chain",
        description="'chain' looks once; 'agent' lets the base look with tools as often as it needs to; 'auto' does so "
        "where it can call them",
    )
    system: str = Field(
        DEFAULT_SYSTEM, description="system message of every prompt, in training and in serving alike"
    )
    decline: str | None = Field(
        None, description="the reply where the documents do not tell; default: the most typical declining example reply"
    )
    reader: str = Field(
        "bundled",
        description="what judges whether passages answer and sentences hold: 'bundled', a cross-encoder's id or "
        "folder, or 'none'",
    )
    evidence: Literal["auto", "sentences", "passages"] = Field(
        "auto", description="what the model is shown; 'auto' is sentences for the bundled base and passages for others"
    )
    evidence_sentences: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="sentences picked from the passages and shown to the model"
    )
    evidence_tokens: Annotated[int, Field(ge=64)] = Field(
        1200, description="room for whole passages, in tokens of about four letters"
    )
    rewrite: Literal["auto", "never"] = Field("auto", description="turn a follow-up into a question of its own")
    max_false_refusals: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.08, description="share of answerable questions that the gate may decline when its threshold is fitted"
    )
    max_new_tokens: Annotated[int, Field(ge=8, le=4096)] = Field(96, description="longest reply, in tokens of the base")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy: the same reply each time")
    history_turns: Annotated[int, Field(ge=0, le=20)] = Field(3, description="earlier exchanges that are looked at")
