"""A built bot: its folder, its lock, and the bot itself, ready to be asked."""

from toolkit.bot.chatbot import Chatbot, open_knowledge, open_reader
from toolkit.bot.elsewhere import open_elsewhere, told_of_voice, with_voice, write_shown
from toolkit.bot.folder import BotFolder, read_config, write_config
from toolkit.bot.history import as_turns
from toolkit.bot.lock import Inputs, Lock, check_lock, installed_versions, read_lock, write_lock
from toolkit.bot.parts import ChainParts, read_parts, write_parts
from toolkit.bot.stream import AnswerStream

__all__ = [
    "AnswerStream",
    "BotFolder",
    "ChainParts",
    "Chatbot",
    "Inputs",
    "Lock",
    "as_turns",
    "check_lock",
    "installed_versions",
    "open_elsewhere",
    "open_knowledge",
    "open_reader",
    "read_config",
    "read_lock",
    "read_parts",
    "told_of_voice",
    "with_voice",
    "write_config",
    "write_lock",
    "write_parts",
    "write_shown",
]
