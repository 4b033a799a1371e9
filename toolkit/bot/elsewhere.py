"""A bot whose base runs on a server: the model, and the voice that it has there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from toolkit.bot.folder import BotFolder
from toolkit.config import BaseSettings, BotConfig
from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.prompts import ShownReply

if TYPE_CHECKING:
    from toolkit.embedding import Embedder
    from toolkit.engines import HouseChatModel

FILE = "examples.json"


def open_elsewhere(settings: BaseSettings) -> HouseChatModel:
    """Return the model on a server that the settings name, once it is sure to be there.

    Raises:
        MissingExtra: The client is not installed.
        ModelError: The server does not answer, or has no such model or adapter.
    """
    from toolkit.engines import HouseChatModel
    from toolkit.engines.remote import RemoteEngine

    assert settings.address is not None
    engine = RemoteEngine(
        settings.address,
        adapter_name=settings.adapter_name,
        timeout=settings.timeout,
        retries=settings.retries,
        extra_body=settings.extra_body,
    )
    engine.check()
    return HouseChatModel(engine=engine)


def with_voice(
    model: HouseChatModel, place: BotFolder, config: BotConfig, embedder: Embedder | None
) -> HouseChatModel:
    """Give a model on a server its voice: the adapter that it has there, or the example replies of the bot folder.

    Args:
        model: What :func:`open_elsewhere` returned.
        place: The bot folder.
        config: Its settings; one without a voice gets none.
        embedder: That of the documents; None loads the bundled one.

    Raises:
        DataError: The example replies are damaged.
    """
    from toolkit.embedding import load_embedder
    from toolkit.engines import HouseChatModel
    from toolkit.engines.few_shot import FewShotEngine

    if config.voice is None or not shows_examples(place, config.base):
        return model
    room = config.base.example_tokens
    engine = FewShotEngine(model.engine, read_shown(place), embedder or load_embedder(), room)
    return HouseChatModel(engine=engine)


def shows_examples(place: BotFolder, settings: BaseSettings) -> bool:
    """Tell whether the voice of a bot is example replies in its prompts."""
    shown = settings.address is not None and settings.adapter_name is None and settings.example_tokens > 0
    return shown and (place.chain / FILE).is_file()


def told_of_voice(settings: BaseSettings) -> str:
    """Tell, in a sentence, what the voice of a bot is whose base runs on a server."""
    if settings.adapter_name is not None:
        return f"No tune: the voice is the adapter '{settings.adapter_name}' on the server."
    told = "No tune: no adapter can be trained on a model that runs elsewhere."
    if not settings.example_tokens:
        return f"{told} It answers in its own voice, as base.example_tokens is 0."
    return f"{told} Example replies in its prompts, the nearest ones, are the voice."


def write_shown(place: BotFolder, shown: Sequence[ShownReply]) -> None:
    """Write the example replies that may be shown; none takes away what was there."""
    file = place.chain / FILE
    if not shown:
        file.unlink(missing_ok=True)
        return
    place.chain.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps([asdict(item) for item in shown], ensure_ascii=False, indent=1) + "\n")


def read_shown(place: BotFolder) -> list[ShownReply]:
    """Read the example replies that may be shown.

    Raises:
        DataError: The file is damaged.
    """
    file = place.chain / FILE
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [ShownReply(str(row["question"]), str(row["reply"]), tuple(map(str, row["notes"]))) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{file} is damaged: {error}.", "Build the bot again.") from error
