"""The settings of a bot, ``bot.yaml``: every key with its unit, unknown keys refused, all faults at once."""

from toolkit.config.agent_settings import AgentSettings
from toolkit.config.base_settings import BaseSettings
from toolkit.config.bot_config import BotConfig
from toolkit.config.chain_settings import ChainSettings
from toolkit.config.evaluation_settings import EvaluationSettings
from toolkit.config.knowledge_settings import KnowledgeSettings
from toolkit.config.reading import dump_config, load_config, parse_config
from toolkit.config.voice_settings import (
    DEFAULT_METHOD,
    PREFERENCE_KEYS,
    REPLACE_WEIGHTS,
    TAKE_PREFERENCES,
    VOICES,
    WITHOUT_FOUR_BITS,
    VoiceSettings,
)

__all__ = [
    "DEFAULT_METHOD",
    "PREFERENCE_KEYS",
    "REPLACE_WEIGHTS",
    "TAKE_PREFERENCES",
    "VOICES",
    "WITHOUT_FOUR_BITS",
    "AgentSettings",
    "BaseSettings",
    "BotConfig",
    "ChainSettings",
    "EvaluationSettings",
    "KnowledgeSettings",
    "VoiceSettings",
    "dump_config",
    "load_config",
    "parse_config",
]
