"""The ``agent`` section: how far an agent may go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toolkit.config.section import Section


class AgentSettings(Section):
    """How far an agent may go for one question: see ``chain.mode``."""

    model_calls: Annotated[int, Field(ge=1, le=100)] = Field(8, description="times that the model is asked at most")
    tool_calls: Annotated[int, Field(ge=1, le=500)] = Field(12, description="tools that are called at most")
    tokens: Annotated[int, Field(ge=256)] = Field(
        24000, description="tokens that the model reads and writes at most, all its calls together"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="time at most, in seconds")
    reply_tokens: Annotated[int, Field(ge=32, le=8192)] = Field(
        512, description="longest that the model writes in one call, in tokens"
    )
    result_tokens: Annotated[int, Field(ge=64)] = Field(
        1500, description="longest that a tool may return, in tokens of about four letters; the rest is cut off"
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(1, description="times that a tool which failed is tried again")
