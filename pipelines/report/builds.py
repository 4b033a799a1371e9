"""The history of a bot: a line a build, with what was measured of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toolkit.bot import BotFolder

if TYPE_CHECKING:
    from pipelines.report.evaluation import Evaluation
    from toolkit.bot.lock import Lock


def add_build(folder: BotFolder, lock: Lock, result: Evaluation) -> None:
    """Append a line to the history of a bot.

    Args:
        folder: The bot folder.
        lock: What the bot was built with.
        result: What was measured of it.
    """
    voice = result.settings.get("voice") or {}
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": lock.base.get("name", ""),
        "method": voice.get("method"),
        "inputs": {name: value for name, value in asdict(lock.inputs).items() if name != "evaluate"},
        "answers": asdict(result.answers) if result.answers else None,
        "voice": asdict(result.voice) if result.voice else None,
    }
    with folder.builds.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_builds(folder: BotFolder) -> list[dict[str, Any]]:
    """Return the builds, the oldest first; a line that was cut short is passed over."""
    if not folder.builds.is_file():
        return []
    builds = []
    for line in folder.builds.read_text(encoding="utf-8").splitlines():
        try:
            builds.append(json.loads(line))
        except ValueError:
            continue
    return [build for build in builds if isinstance(build, dict)]
