"""What 50 preferences do to the sample's voice: ``python benchmarks/preferences.py bots/sample /tmp/preferences``.

The preference is one that a person may have: replies without the sign-off that the voice puts under each. A pair is an
example reply without its last sentence, which is wanted, and the reply as it is. 50 pairs are learnt, by DPO and, as
labelled rows, by KTO, with the settings that ``bot.yaml`` has by default; the others are held out, among them all
whose reply the voice was not tuned on. A pair counts as preferred where the wanted reply is likelier, end of turn
included. With ``--evaluate`` the bots are asked the questions of the sample as well; it takes minutes more for each.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluating import evaluate
from pipelines.parts import Parts
from pipelines.prefer import PreferStep
from pipelines.prepare import unfitted_planner
from pipelines.steps import do
from toolkit.answering.checking import sentences_of_reply
from toolkit.bot import BotFolder, Chatbot, write_config, write_lock
from toolkit.bot.folder import read_config
from toolkit.config import BotConfig
from toolkit.examples import Example, Preference
from toolkit.seam import serve_preferences

ROWS = 50
HELD_OUT = 60
# A reply of fewer sentences (greeting, fact, sign-off) would have nothing left but a greeting.
_FEWEST_SENTENCES = 3


@dataclass(frozen=True)
class Shares:
    """What was measured of a bot: shares of pairs, of replies, and the replies and answers that they are taken from."""

    preferred: float
    signed_off: float | None = None
    voice: float | None = None
    facts: float | None = None
    seconds: float | None = None

    def row(self, name: str) -> str:
        """Return it as a row of a Markdown table."""
        shares = [self.preferred, self.signed_off, self.voice, self.facts]
        told = ["" if share is None else f"{share:.0%}" for share in shares]
        return f"| {name} | {' | '.join(told)} | {'' if self.seconds is None else f'{self.seconds:.0f}'} |"


def without_last_sentence(example: Example) -> str | None:
    """Return a reply without its last sentence, or None where too little would be left."""
    sentences = sentences_of_reply(example.reply)
    if example.declines or len(sentences) < _FEWEST_SENTENCES:
        return None
    return example.reply[: example.reply.rindex(sentences[-1])].rstrip() or None


def pairs_of(examples: Sequence[Example]) -> list[Preference]:
    """Make a pair of each example reply that has a sign-off to spare."""
    made = []
    for item in examples:
        shorter = without_last_sentence(item)
        if shorter:
            made.append(Preference(item.question, item.history, shorter, item.reply, item.conversation, item.line))
    return made


def split_pairs(
    tuned: Sequence[Example], held: Sequence[Example], seed: int
) -> tuple[list[Preference], list[Preference]]:
    """Draw the pairs to learn; hold out those of unseen replies, and as many others as are wanted."""
    seen = pairs_of(tuned)
    random.Random(seed).shuffle(seen)
    unseen = pairs_of(held)
    return seen[:ROWS], [*unseen, *seen[ROWS:]][:HELD_OUT]


def lines(pairs: Sequence[Preference], loss: str) -> Iterator[dict[str, Any]]:
    """Yield pairs as rows of a file of preferences, for KTO with a label each."""
    for pair in pairs:
        if loss == "dpo":
            yield {"prompt": pair.question, "chosen": pair.chosen, "rejected": pair.rejected}
        else:
            for reply, label in pair.labelled():
                yield {"prompt": pair.question, "completion": reply, "label": label}


def preferred_share(parts: Parts, pairs: Sequence[Preference], adapter: Path) -> float:
    """Return the share of pairs whose chosen reply is likelier than the other, on the weights that answer."""
    from toolkit.tuning import attach_adapter, lent_for_tuning
    from toolkit.tuning.measuring import log_likelihood

    loaded, rows = parts.base(), serve_preferences(pairs, unfitted_planner(parts))
    found = []
    with lent_for_tuning(loaded.model):
        model = attach_adapter(loaded.model, adapter)
        for row in rows:
            chosen, rejected = (
                log_likelihood(model, loaded.tokenizer, row.messages, reply)
                for reply, _ in row.preference.labelled()
            )
            found.append(chosen > rejected)
    return sum(found) / len(found)


def measured(folder: Path, examples: Sequence[Example]) -> dict[str, float | None]:
    """Ask a bot and return its shares; a reply is signed off where it ends as an example reply does."""
    bot = Chatbot.load(folder)
    try:
        result = evaluate(bot, arms=["both"])
    finally:
        bot.close()
    assert result.voice is not None
    assert result.answers is not None
    endings = {sentences_of_reply(item.reply)[-1] for item in examples}
    ended = [sentences_of_reply(sample["with_adapter"])[-1:] for sample in result.samples]
    signed = sum(bool(set(last) & endings) for last in ended) / len(ended)
    return {"signed_off": signed, "voice": result.voice.with_adapter, "facts": result.answers.facts}


def with_preferences(config: BotConfig, folder: Path, file: Path, **settings: Any) -> BotConfig:
    """Return the settings of a bot in another folder that learns preferences besides."""
    assert config.voice is not None
    voice = config.voice.model_copy(update={"preferences": file, **settings})
    return config.model_copy(update={"output": folder, "voice": voice})


def run(bot: Path, work: Path, losses: Sequence[str], *, asks: bool, **settings: Any) -> Iterator[str]:
    """Yield the rows of the table.

    Args:
        bot: A built bot with a voice; it is copied.
        work: Folder for the copies.
        losses: ``dpo`` and ``kto``, or one of them.
        asks: Whether the bots are asked their questions as well.
        **settings: Settings of the preferences other than the default ones.
    """
    yield "| | preferred | signed off | voice | facts | seconds |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for loss in losses:
        folder = work / loss
        shutil.copytree(bot, folder, dirs_exist_ok=True)
        file = work / f"{loss}.jsonl"
        config = with_preferences(read_config(BotFolder(folder)), folder, file, **settings)
        with Parts(config) as parts:
            train, held = parts.examples()
            learnt, unseen = split_pairs(train, held, seed=0)
            file.write_text("".join(json.dumps(line) + "\n" for line in lines(learnt, loss)), encoding="utf-8")
            if loss == losses[0]:
                asked = measured(folder, train) if asks else {}
                yield Shares(preferred_share(parts, unseen, parts.folder.adapter), **asked).row("voice")
            started = time.perf_counter()
            do(PreferStep(accept=True), parts, {})
            seconds = time.perf_counter() - started
            write_config(parts.folder, config)
            write_lock(parts.folder, parts.lock)
            share = preferred_share(parts, unseen, parts.folder.adapter)
        asked = measured(folder, train) if asks else {}
        yield Shares(share, **asked, seconds=seconds).row(loss.upper())


def main() -> None:
    """Print the table as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bot", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--loss", choices=("dpo", "kto"), action="append")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epochs", type=float)
    options = parser.parse_args()
    named = {"preference_learning_rate": options.learning_rate, "preference_epochs": options.epochs}
    settings = {key: value for key, value in named.items() if value is not None}
    for line in run(options.bot, options.work, options.loss or ("dpo", "kto"), asks=options.evaluate, **settings):
        print(line, flush=True)


if __name__ == "__main__":
    main()
