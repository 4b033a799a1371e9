"""The settings of a bot, ``bot.yaml``: every key with its unit, unknown keys refused, all faults at once."""

from toolkit.config.base import BaseSettings
from toolkit.config.bot import BotConfig
from toolkit.config.chain import DECLINE, ChainSettings
from toolkit.config.evaluation import EvaluationSettings
from toolkit.config.knowledge import KnowledgeSettings
from toolkit.config.reading import dump_config, load_config, parse_config
from toolkit.config.voice import VoiceSettings

__all__ = [
    "DECLINE",
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
