"""Laying out the sources of a new bot, with every setting explained."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.errors import DataError

_EXAMPLES = (
    ("Hello!", "Good day to you! What can we do for you?"),
    ("Do you deliver on Saturdays?", "We do, and gladly: our vans are out on Saturdays until noon."),
)


def lay_out_sources(folder: Path) -> list[Path]:
    """Write a commented ``bot.yaml``, ``documents/`` and ``voice.jsonl`` into a new or empty folder.

    Returns:
        What was written.

    Raises:
        DataError: The folder has a ``bot.yaml`` already, or its name cannot be a bot's.
    """
    config = folder / "bot.yaml"
    if config.exists():
        raise DataError(f"{config} exists already.", "Choose another folder, or edit it.")
    if folder.is_file():
        raise DataError(f"{folder} is a file.", "Choose another folder.")
    documents, voice = folder / "documents", folder / "voice.jsonl"
    documents.mkdir(parents=True, exist_ok=True)
    config.write_text(commented_config(_bot_name(folder)), encoding="utf-8")
    if not voice.exists():
        rows = (
            {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            for asked, said in _EXAMPLES
        )
        voice.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return [config, documents, voice]


def _bot_name(folder: Path) -> str:
    """Make a bot's name out of a folder's."""
    import re

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")
    return name[:64] or "mybot"


def commented_config(name: str) -> str:
    """Return a ``bot.yaml`` with every key, its default and its meaning."""
    from toolkit.config import BotConfig, ChainSettings, EvaluationSettings, KnowledgeSettings, VoiceSettings

    sections = (
        ("base", BotConfig.model_fields["base"].default, "the language model under the voice"),
        ("knowledge", KnowledgeSettings(), "the documents; leave this section out for a voice alone"),
        ("voice", VoiceSettings(), "the example replies; leave this section out for documents alone"),
        ("chain", ChainSettings(), "how a question becomes an answer"),
        ("evaluation", EvaluationSettings(), "what the bot is measured on after a build"),
    )
    lines = [
        "# The settings of this bot. Every key but `name` may be left out; the values here are the defaults.",
        f"name: {name}",
        f"output: ../bots/{name}  # the bot folder, relative to this file",
        "",
    ]
    for key, section, meaning in sections:
        lines.append(f"# {meaning}")
        lines.append(f"{key}:")
        for field_name, field in type(section).model_fields.items():
            value = getattr(section, field_name)
            shown = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
            lines.append(f"  {field_name}: {shown}  # {field.description}")
        lines.append("")
    return "\n".join(lines)
