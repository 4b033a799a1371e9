"""One method's trial, in a process of its own: what it takes of memory is then its own as well."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.parts import Parts
from toolkit.config import BotConfig
from toolkit.errors import HousevoiceError
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.prompts import Message
from toolkit.seam import SeamRow

# Not a method: the base as it is.
WITHOUT = "none"
RESULT = "trial.json"
# Longest reply that is drawn for a measure, in tokens: as long as those that serving writes.
_REPLY_TOKENS = 96
# Replies of the base to prompts that are trained on: what the voice is told from.
_BASE_REPLIES = 60


@dataclass(frozen=True)
class Work:
    """What every method is given.

    Attributes:
        rows: Rows to train on.
        held: Held-out replies as the bot would be asked for them.
        asked: The messages of questions that the documents answer, as they are served.
    """

    rows: Sequence[SeamRow]
    held: Sequence[SeamRow]
    asked: Sequence[list[Message]]


def trial(config: BotConfig, method: str, work: Work, folder: Path, made_from: str) -> None:
    """Train and measure a method and write what was found, or why it failed, into a folder.

    Args:
        config: The settings of the bot, with those of the method.
        method: Its name, or ``none``.
        work: Rows and prompts.
        folder: Where the adapter and the result go.
        made_from: Name of all that the result depends on.
    """
    found: dict[str, Any] = {"method": method, "made_from": made_from}
    report = _told_to(folder)
    try:
        with Parts(config, on_progress=report) as parts:
            found |= _train(parts, work, folder) if method != WITHOUT else {}
            found |= _measure(parts, method, work, folder)
    except HousevoiceError as error:
        found["failed"] = error.message
    except (RuntimeError, ValueError, TypeError) as error:
        # What a library raises over a base that a method does not fit ends this trial, and not the others.
        found["failed"] = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    write_text(folder / RESULT, json.dumps(found, indent=1))


def _told_to(folder: Path) -> Progress:
    """Return a progress that leaves its last word in a file: the process that waits reads it."""

    def told(what: str, done: int, total: int) -> None:
        write_text(folder / "progress.json", json.dumps([what, done, total]))

    return told


def _train(parts: Parts, work: Work, folder: Path) -> dict[str, Any]:
    from toolkit.tuning import train_adapter
    from toolkit.tuning.watching import used_memory

    voice = parts.config.voice
    assert voice is not None
    with parts.base_for_tuning() as loaded:
        report = train_adapter(
            work.rows, loaded, voice, folder / "adapter", work=folder / "work", on_progress=parts.on_progress
        )
    # As a tune of the bot leaves it: an adapter that is installed has its report.
    write_text(folder / "adapter" / "tune.json", json.dumps(report.to_dict(), indent=2) + "\n")
    return {
        "trainable": report.trainable,
        "seconds": report.seconds,
        "tokens_a_second": report.tokens / report.seconds,
        "loss": report.losses[-1][1] if report.losses else None,
        "peak_bytes": used_memory(),
        "adapter_bytes": sum(file.stat().st_size for file in (folder / "adapter").glob("*.safetensors")),
    }


def _measure(parts: Parts, method: str, work: Work, folder: Path) -> dict[str, Any]:
    """Reply to held-out prompts and to questions, and take the losses beside those of the base."""
    from toolkit.engines import TextEngine
    from toolkit.engines.base import Decoding
    from toolkit.prompts import render_prompt
    from toolkit.tuning import measure_tune, takes_padding

    loaded = parts.base()
    engine = TextEngine(loaded, folder / "adapter" if method != WITHOUT else None)
    prompts = [*(row.messages for row in work.held), *work.asked]
    started = time.perf_counter()
    replies = engine.generate(
        prompts, adapter=method != WITHOUT, decoding=Decoding(_REPLY_TOKENS), on_progress=parts.on_progress
    )
    seconds = time.perf_counter() - started
    tokens = sum(len(loaded.tokenizer(reply)["input_ids"]) for reply in replies)
    read = sum(len(loaded.tokenizer(render_prompt(loaded.tokenizer, prompt))["input_ids"]) for prompt in prompts)
    found: dict[str, Any] = {
        "spoken": replies[: len(work.held)],
        "answers": replies[len(work.held) :],
        "served_seconds": seconds / max(1, len(prompts)),
        "served_tokens_a_second": (tokens + read) / seconds,
    }
    if method == WITHOUT:
        spread = [row.messages for row in work.rows[:: max(1, len(work.rows) // _BASE_REPLIES)]][:_BASE_REPLIES]
        found["base"] = engine.generate(
            spread, adapter=False, decoding=Decoding(_REPLY_TOKENS), on_progress=parts.on_progress
        )
    else:
        assert parts.config.voice is not None
        model = engine.model
        measured = measure_tune(
            model,
            loaded.tokenizer,
            [(row.messages, row.example.reply) for row in work.held],
            _bare(parts, work.rows),
            max_length=parts.config.voice.max_length,
            batch_rows=4 if takes_padding(model) else 1,
        )
        found["acceptance"] = measured.to_dict()
    return found


def _bare(parts: Parts, rows: Sequence[SeamRow]) -> list[tuple[list[Message], str]]:
    from toolkit.prompts import answer_messages

    told = [row.example for row in rows if row.kind == "passages"]
    return [(answer_messages(parts.config.chain.system, item.question), item.reply) for item in told]
