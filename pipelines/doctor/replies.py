"""The example replies as the base will see them: checked before a build, and again at the start of a tune."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipelines.doctor.check import Check, Marked, of_finding
from toolkit.config import BotConfig
from toolkit.errors import HousevoiceError
from toolkit.examples import Example, PlainRow, check_examples, enough_held_out, marked
from toolkit.language import Language, Lexicon, language_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from toolkit.seam import SeamRow

_SHOWN_PROMPTS = 2


def reply_checks(
    config: BotConfig, train: Sequence[Example], held: Sequence[Example], path: str | None
) -> Iterator[Check]:
    """Check example replies without what will be retrieved for them.

    Args:
        config: The settings of the bot.
        train: Examples to train on.
        held: Examples to measure on.
        path: Folder or hub id of the base; None where its tokenizer is not here yet.
    """
    if path is None:
        yield Check("prompts", True, "seen by the next doctor, once the base was fetched", note=True)
        return
    from toolkit.models import load_tokenizer

    assert config.voice is not None
    try:
        tokenizer = load_tokenizer(config.base.model, path, config.base.revision)
    except HousevoiceError as error:
        yield Check("tokenizer", False, str(error))
        return
    rows = plain_rows(config, train)
    for finding in check_examples(rows, tokenizer, config.voice.max_length, _language(config, train)):
        yield of_finding(finding)
    yield of_finding(enough_held_out(len(held)))
    passages = "; the passages that a build finds come before the question" if config.knowledge else ""
    try:
        prompts = tuple(tuple(marked(tokenizer, row.messages, row.example.reply)) for row in rows[:_SHOWN_PROMPTS])
    except HousevoiceError:
        return  # said by the checks
    yield Check("prompts", True, f"as they are trained on{passages}", prompts=prompts)


def plain_rows(config: BotConfig, examples: Sequence[Example]) -> list[PlainRow]:
    """Lay out examples as questions are asked where nothing was found."""
    from toolkit.bot.assembly import make_planner

    planner = make_planner(config, None, None, None, Lexicon())
    return [PlainRow(example, planner.messages_for(example.question, [])) for example in examples]


def tune_notes(
    rows: Sequence[SeamRow], held: int, tokenizer: PreTrainedTokenizerBase, max_length: int, language: Language
) -> Iterator[str]:
    """Yield what is to be said of woven rows before they are trained on.

    Args:
        rows: Rows that an adapter learns from.
        held: Number of held-out examples.
        tokenizer: The tokenizer of the base.
        max_length: Longest training row, in tokens.
        language: The language of the bot.
    """
    findings = [*check_examples(rows, tokenizer, max_length, language), enough_held_out(held)]
    fine = [f"{finding.what}: {finding.said}" for finding in findings if finding.level == "ok"]
    if fine:
        yield f"Rows checked. {'; '.join(fine)}."
    for finding in findings:
        if finding.level != "ok":
            yield f"{'To be mended' if finding.level == 'bad' else 'Note'}: {finding.what}: {finding.said}"
    if rows and not any(finding.what == "training as serving" and finding.level == "bad" for finding in findings):
        shown = next((row for row in rows if row.kind == "passages"), rows[0])
        yield f"A row as it is trained on:\n{in_marks(marked(tokenizer, shown.messages, shown.example.reply))}"


def in_marks(stretches: Sequence[tuple[str, bool]] | Marked) -> str:
    """Return a training row as plain text, what is learnt from between ``[[`` and ``]]``."""
    return "".join(f"[[{text}]]" if loss else text for text, loss in stretches)


def _language(config: BotConfig, examples: Sequence[Example]) -> Language:
    return language_of([example.reply for example in examples], config.language)
