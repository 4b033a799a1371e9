"""The whole of ``bot.yaml``, put together from its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SerializeAsAny, model_validator

from toolkit.config.agent_settings import AgentSettings
from toolkit.config.base_settings import BaseSettings
from toolkit.config.chain_settings import ChainSettings
from toolkit.config.evaluation_settings import EvaluationSettings
from toolkit.config.knowledge_settings import KnowledgeSettings
from toolkit.config.section import Section
from toolkit.config.voice_settings import REPLACE_WEIGHTS, VoiceSettings


class BotConfig(Section):
    """The whole of ``bot.yaml``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(description="name of the bot")
    title: str | None = Field(None, description="what the bot calls itself; default: its name")
    language: str = Field("auto", description="'en', 'de', another code for none of the two, or 'auto' to find it out")
    output: Path | None = Field(None, description="the bot folder, relative to bot.yaml; default ../bots/<name>")
    base: BaseSettings = BaseSettings()
    knowledge: KnowledgeSettings | None = None
    voice: SerializeAsAny[VoiceSettings] | None = None
    chain: ChainSettings = ChainSettings()
    agent: AgentSettings = AgentSettings()
    tools: list[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]] = Field(
        [], description="functions of yours that the agent may call, as module:function"
    )
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _has_a_half(self) -> BotConfig:
        if self.knowledge is None and self.voice is None:
            raise ValueError("a bot needs 'knowledge', 'voice', or both")
        return self

    @model_validator(mode="after")
    def _fits_the_base(self) -> BotConfig:
        """Refuse a voice that the base, as it is served, could not take."""
        method = self.voice.method if self.voice else None
        if method in REPLACE_WEIGHTS and self.base.load_in_4bit:
            raise ValueError(f"{method} puts weights in the place of those of the base; set base.load_in_4bit to false")
        if method == "loftq" and not self.base.load_in_4bit:
            raise ValueError("loftq makes up for what 4 bits lose, so they must be served too; set base.load_in_4bit")
        return self
