"""One method's trial, in a process of its own: what it takes of memory is then its own as well."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.cli.exits import be_quiet
from pipelines.parts import Parts
from pipelines.tune import told_from_notes, tune_digest, without_notes
from toolkit.config import BotConfig, VoiceSettings
from toolkit.errors import HousevoiceError
from toolkit.files import write_text
from toolkit.progress import Progress
from toolkit.prompts import Message
from toolkit.seam import SeamRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Not a method: the base as it is.
WITHOUT = "none"
RESULT = "trial.json"
# Replies of the base to prompts that are trained on: what the voice is told from.
_BASE_REPLIES = 60


@dataclass(frozen=True)
class Work:
    """What every method is given.

    Attributes:
        rows: Rows to train on.
        held: Held-out replies as the bot would be asked for them.
        asked: The messages of questions that the documents answer, as they are served.
        steps: Number of updates; None for as many as the passes of the settings make.
        woven: Number of rows that a build would train on.
        plain_losses: What :func:`reply_losses` gives of the base; empty for the base's own trial, which measures it.
    """

    rows: Sequence[SeamRow]
    held: Sequence[SeamRow]
    asked: Sequence[list[Message]]
    steps: int | None = None
    woven: int = 0
    plain_losses: Sequence[tuple[float, int]] = ()


def trial(config: BotConfig, method: str, work: Work, folder: Path, made_from: str) -> None:
    """Train and measure a method and write what was found, or why it failed, into a folder.

    Args:
        config: The settings of the bot, with those of the method.
        method: Its name, or ``none``.
        work: Rows and prompts.
        folder: Where the adapter and the result go.
        made_from: Name of all that the result depends on.
    """
    # A terminal sends Ctrl-C to every process at once: the one that waits alone decides, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    be_quiet()
    found: dict[str, Any] = {"method": method, "made_from": made_from}
    report = _told_to(folder)
    try:
        with Parts(config, on_progress=report) as parts:
            found |= _train(parts, work, folder) if method != WITHOUT else {}
            found |= _measure(parts, method, work, folder)
    except HousevoiceError as error:
        found["failed"] = error.message
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ImportError, OSError) as error:
        # What a library raises over a base that a method does not fit ends this trial, and not the others.
        said = str(error).strip().partition("\n")[0]
        found["failed"] = f"{type(error).__name__}: {said}" if said else type(error).__name__
    write_text(folder / RESULT, json.dumps(found, indent=1))


def _told_to(folder: Path) -> Progress:
    """Return a progress that leaves its last word in a file: the process that waits reads it."""

    def told(what: str, done: int, total: int) -> None:
        write_text(folder / "progress.json", json.dumps([what, done, total]))

    return told


def _train(parts: Parts, work: Work, folder: Path) -> dict[str, Any]:
    from toolkit.tuning import train_adapter
    from toolkit.tuning.training import encode_rows
    from toolkit.tuning.watching import used_memory

    voice = parts.config.voice
    assert voice is not None
    with parts.base_for_tuning() as loaded:
        if work.steps is not None:
            fitting, _ = encode_rows(work.rows, loaded, voice.max_length)
            voice = voice.model_copy(update={"num_train_epochs": passes_of(work.steps, len(fitting), voice)})
        report = train_adapter(
            work.rows, loaded, voice, folder / "adapter", work=folder / "work", on_progress=parts.on_progress
        )
        trained = parts.config.model_copy(update={"voice": voice})
        # What a build compares: the adapter of a method that is installed is not taken for one of other rows.
        tuned_from = tune_digest(work.rows, trained, loaded.fingerprint)
    found = {
        "trainable": report.trainable,
        "steps": report.steps,
        "seconds": report.seconds,
        "tokens_a_second": report.tokens / report.seconds,
        "loss": report.losses[-1][1] if report.losses else None,
        "peak_bytes": used_memory(),
        "adapter_bytes": sum(file.stat().st_size for file in (folder / "adapter").glob("*.safetensors")),
        "tuned_from": tuned_from,
        "rows": [len(work.rows), work.woven],
        "settings": voice.model_dump(mode="json"),
    }
    # As a tune of the bot leaves it: an adapter that is installed has its report.
    content = report.to_dict() | {"made_from": tuned_from}
    write_text(folder / "adapter" / "tune.json", json.dumps(content, indent=2) + "\n")
    return found


def passes_of(steps: int, rows: int, settings: VoiceSettings) -> float:
    """Return the passes over so many rows that make a number of updates; the trainer rounds up to a whole one.

    Example:
        >>> passes_of(3, 12, VoiceSettings(per_device_train_batch_size=4)) * 3
        2.5
    """
    batches = math.ceil(rows / settings.per_device_train_batch_size)
    return (steps - 0.5) / math.ceil(batches / settings.gradient_accumulation_steps)


def _measure(parts: Parts, method: str, work: Work, folder: Path) -> dict[str, Any]:
    """Reply to held-out prompts and to questions, and take the losses beside those of the base."""
    from toolkit.engines import TextEngine
    from toolkit.engines.base import Decoding

    loaded, voice = parts.base(), parts.config.voice
    assert voice is not None
    engine = TextEngine(loaded, folder / "adapter" if method != WITHOUT else None)
    # Greedy whatever the bot is set to: drawn replies would differ from run to run.
    decoding = Decoding(parts.config.chain.max_new_tokens)
    prompts = [*(row.messages for row in work.held), *work.asked]
    started = time.perf_counter()
    replies = engine.generate(prompts, adapter=method != WITHOUT, decoding=decoding, on_progress=parts.on_progress)
    seconds = time.perf_counter() - started
    found: dict[str, Any] = {
        "spoken": replies[: len(work.held)],
        "answers": replies[len(work.held) :],
    }
    if prompts:
        written = sum(len(loaded.tokenizer(reply)["input_ids"]) for reply in replies)
        found |= {"served_seconds": seconds / len(prompts), "served_tokens_a_second": written / seconds}
    found["losses"] = reply_losses(engine.model, loaded.tokenizer, work.held, max_length=voice.max_length)
    if method == WITHOUT:
        spread = [row.messages for row in work.rows[:: max(1, len(work.rows) // _BASE_REPLIES)]][:_BASE_REPLIES]
        found["base"] = engine.generate(spread, adapter=False, decoding=decoding, on_progress=parts.on_progress)
    else:
        found["acceptance"] = _accepted(parts, engine.model, work, found["losses"])
    return found


def _accepted(parts: Parts, model: Any, work: Work, losses: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Judge an adapter as a tune of the bot would, but by held-out replies as the bot is asked for them."""
    from toolkit.tuning import measure_tune
    from toolkit.tuning.acceptance import judge

    voice, tokenizer = parts.config.voice, parts.base().tokenizer
    assert voice is not None
    trained = without_notes(parts.config, told_from_notes(work.rows))
    measured = measure_tune(model, tokenizer, [], trained, max_length=voice.max_length)
    if losses and work.plain_losses:
        measured = judge(replace(measured, held_out=(mean_of(work.plain_losses), mean_of(losses))))
    return measured.to_dict()


def reply_losses(
    model: Any, tokenizer: PreTrainedTokenizerBase, rows: Sequence[SeamRow], *, max_length: int
) -> list[tuple[float, int]]:
    """Return the loss of each reply, in nats per token, with its number of tokens; one by one, for an interval.

    Args:
        model: A causal language model in evaluation mode, with an adapter or without.
        tokenizer: Its tokenizer.
        rows: Replies with the messages that they answer.
        max_length: Longer rows are left out, in tokens.
    """
    from toolkit.prompts import encode_pair
    from toolkit.tuning.measuring import mean_loss

    losses = []
    for row in rows:
        pair = (row.messages, row.example.reply)
        loss = mean_loss(model, tokenizer, [pair], max_length=max_length)
        if loss is not None:
            losses.append((loss, sum(label != -100 for label in encode_pair(tokenizer, *pair)[1])))
    return losses


def mean_of(losses: Sequence[tuple[float, int]]) -> float:
    """Return the mean loss of a token.

    Example:
        >>> mean_of([(1.0, 10), (4.0, 5)])
        2.0
    """
    return sum(loss * tokens for loss, tokens in losses) / sum(tokens for _, tokens in losses)
