"""A real documentation asked its own FAQ, which is left out of the index; beside the stock recipe in the same run.

``FOLDER`` holds the documents and ``faq_pairs.jsonl``; the files that the FAQ stands in (the ``source`` of each pair)
and any ``faq.rst`` are left out. ``benchmarks/faq_sources.json`` names for each line of the FAQ the other files that
hold its answer; only the lines that have one are counted. No bot here has questions to be calibrated on.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.answering.figures import Report, read_lines, share
from toolkit.errors import HousevoiceError
from toolkit.language import stems
from toolkit.scoring.wording import digits

if TYPE_CHECKING:
    from toolkit import Chatbot

DECLINED = 0.25
GOLD = Path(__file__).resolve().parents[1] / "faq_sources.json"
_BATCH = 8
_ROLE = re.compile(r":[\w:+-]+:(?=`)")
_CODE = re.compile(r"``([^`]+)``")
# The plain shape of words that only code has: options, dotted and underscored names, words with a capital inside.
_CODE_WORD = re.compile(r"--?[a-zA-Z][\w-]+|\w+(?:[._/]\w+)+|\b[a-z]+[A-Z]\w*")


@dataclass(frozen=True)
class Asked:
    """A question of the FAQ that another file answers.

    Attributes:
        question: What is asked.
        key_words: What the official answer says in words that the indexed documents hold as well.
        files: The files that answer it.
    """

    question: str
    key_words: frozenset[str]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Replied:
    """What a bot or a recipe made of a question: the reply, whether it declined, the files found, best first."""

    text: str
    declined: bool
    found: tuple[str, ...]


def tokens(text: str) -> set[str]:
    """Return what a text can be compared by: content stems, numbers, and words of code in lower case."""
    plain = _ROLE.sub("", text)
    code = {part.strip(".,;:") for match in _CODE.finditer(plain) for part in match[1].split()}
    code |= set(_CODE_WORD.findall(plain))
    return set(stems(plain)) | digits(plain) | {word.lower() for word in code if len(word) > 1}


def key_words(question: str, official: str, indexed: set[str]) -> frozenset[str]:
    """Return the key words of an official answer: its tokens that the indexed documents hold.

    Those that the question holds already are left out: giving the question back earns nothing.
    """
    return frozenset((tokens(official) & indexed) - tokens(question))


def held(reply: Replied, asked: Asked) -> float:
    """Return the share of the key words that a reply holds; a decline holds none."""
    if reply.declined or not asked.key_words:
        return 0.0
    return len(asked.key_words & tokens(reply.text)) / len(asked.key_words)


def lay_out(documents: Path, target: Path) -> set[str]:
    """Copy the documents without the FAQ and return all tokens that they hold."""
    left_out = {Path(row["source"]).parent for row in read_lines(documents / "faq_pairs.jsonl")}
    shutil.rmtree(target, ignore_errors=True)
    indexed: set[str] = set()
    for file in sorted(documents.rglob("*.rst")):
        relative = file.relative_to(documents)
        if not any(relative.is_relative_to(folder) for folder in left_out) and relative.name != "faq.rst":
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / relative)
            indexed |= tokens(file.read_text(encoding="utf-8"))
    return indexed


def read_asked(documents: Path, indexed: set[str], gold: Path = GOLD) -> list[Asked]:
    """Return the questions that another file answers."""
    files = {row["line"]: row["files"] for row in json.loads(gold.read_text(encoding="utf-8"))}
    return [
        Asked(row["question"], key_words(row["question"], row["answer"], indexed), tuple(files[line]))
        for line, row in enumerate(read_lines(documents / "faq_pairs.jsonl"), start=1)
        if files.get(line)
    ]


def build_bot(work: Path, name: str, voice: Path | None, epochs: float) -> Path:
    """Build a bot over the documents in ``work`` and return its folder."""
    from pipelines.build import build

    config = work / f"{name}.yaml"
    lines = [f"name: {name}", f"output: bots/{name}", "knowledge: {documents: documents}"]
    if voice is not None:
        examples = json.dumps(str(voice.resolve()))
        lines.append(f"voice: {{examples: {examples}, num_train_epochs: {epochs}, max_length: 384}}")
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return build(config, steps=("ingest", "tune")).folder


def bot_replies(bot: Chatbot, asked: Sequence[Asked]) -> list[Replied]:
    """Ask a bot."""
    answers = bot.ask_many([item.question for item in asked])
    return [
        Replied(answer.text, answer.abstained, tuple(p.source for p in bot.search(item.question, k=5)))
        for item, answer in zip(asked, answers, strict=True)
    ]


def add_figures(report: Report, name: str, asked: Sequence[Asked], ours: list[Replied], peer: list[Replied]) -> None:
    """Add the figures of one bot beside those of the stock recipe."""

    def both(measure: Callable[[Asked, Replied], float]) -> dict[str, Any]:
        sides = [[measure(item, reply) for item, reply in zip(asked, side, strict=False)] for side in (ours, peer)]
        means = [statistics.fmean(values) if values else None for values in sides]
        return {"ours": means[0], "peer": means[1], "of": len(ours)}

    report.add(f"{name}: declined", bar=DECLINED, at_most=True, **both(lambda _, reply: reply.declined))
    found = both(lambda item, reply: bool(set(reply.found) & set(item.files)))
    report.add(f"{name}: a right file among the first five", **found)
    report.add(f"{name}: key words held", **both(lambda item, reply: held(reply, item)))
    if not peer:
        return
    better = share(held(a, item) > held(b, item) for item, a, b in zip(asked, ours, peer, strict=False))
    worse = share(held(a, item) < held(b, item) for item, a, b in zip(asked, ours, peer, strict=False))
    report.add(f"{name}: replies with more key words than the peer's, peer: fewer", better, peer=worse)


def run(report: Report, options: argparse.Namespace) -> None:
    """Build without a voice and, with ``--voice``, with one; ask both and the stock recipe."""
    with _folder(options.work) as work:
        indexed = lay_out(options.faq, work / "documents")
        asked = read_asked(options.faq, indexed)
        if options.faq_limit:
            asked = asked[: options.faq_limit]
        peer = _stock_replies(report, work, options, asked)
        ways: list[tuple[str, Path | None]] = [("without a voice", None)]
        ways += [("with a voice", options.voice)] if options.voice else []
        for name, voice in ways:
            if not report.stopped:
                _measure(report, name, build_bot(work, name.replace(" ", "-"), voice, options.epochs), asked, peer)
    report.note(f"{len(asked)} questions that another file answers, {len(indexed)} tokens in the documents; key words: "
                f"{statistics.fmean(len(item.key_words) for item in asked):.1f} a question")  # fmt: skip


def _measure(report: Report, name: str, folder: Path, asked: list[Asked], peer: list[Replied]) -> None:
    from toolkit import Chatbot

    bot = Chatbot.load(folder)
    try:
        ours = report.work(f"Asking the bot {name}", lambda part: bot_replies(bot, part), asked, _BATCH)
    finally:
        bot.close()
    add_figures(report, name, asked, ours, peer)
    for number, (item, reply) in enumerate(zip(asked, ours, strict=False)):
        entry: dict[str, Any] = {"bot": name, "question": item.question, "reply": reply.text}
        entry |= {"declined": reply.declined, "held": held(reply, item), "found": reply.found, "files": item.files}
        if number < len(peer):
            other = peer[number]
            entry |= {"peer": other.text, "peer_declined": other.declined, "peer_held": held(other, item)}
        report.details.append(entry)


def _stock_replies(report: Report, work: Path, options: argparse.Namespace, asked: list[Asked]) -> list[Replied]:
    """Ask the stock recipe, or say why it was not asked."""
    from benchmarks.answering.stock import StockRecipe

    if options.no_peer:
        return []
    try:
        recipe = StockRecipe(work / "documents", options.peer_base)
    except (ImportError, HousevoiceError) as error:
        report.note(f'no peer: {error} (its parts come with pip install -c constraints.txt -e ".[bench]")')
        return []
    report.note(f"peer: {recipe.description}")
    replies = report.work("Asking the stock recipe", recipe.replies, asked, 4)
    return [Replied(text, declined, found) for text, declined, found in replies]


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="housevoice-faq-") as made:
        yield Path(made)
