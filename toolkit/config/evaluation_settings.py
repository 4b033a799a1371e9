"""The ``evaluation`` section: what the bot is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from toolkit.config.section import Section


class EvaluationSettings(Section):
    """What the bot is measured on after a build."""

    questions: Path | None = Field(None, description="JSONL of questions with facts and sources, relative to bot.yaml")
    split: str | None = Field(None, description="only the questions whose 'split' is this")
    calibration_split: str | None = Field(
        None, description="the questions whose 'split' is this fit the gate, and are never reported on"
    )
    voice_prompts: Annotated[int, Field(ge=4)] = Field(32, description="held-out prompts that the voice is measured on")

    @model_validator(mode="after")
    def _reports_on_others(self) -> EvaluationSettings:
        if self.calibration_split is not None and self.split in (None, self.calibration_split):
            raise ValueError("a calibration_split needs a 'split' of its own to report on")
        return self
