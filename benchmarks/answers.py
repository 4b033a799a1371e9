"""How good the answers are: each sub-command prints figures beside their bars and their peers.

    python benchmarks/answers.py squad FILE [--adapter BOT/adapter]     the base's short answers and refusals
    python benchmarks/answers.py reader DATA_FOLDER FILE                the bundled reader
    python benchmarks/answers.py sample BOT [--show]                    the sample bot's test questions and manners
    python benchmarks/answers.py faq FOLDER [--voice VOICE.jsonl]       a real documentation, beside the stock recipe
    python benchmarks/answers.py follow-ups BOT [DATA_FOLDER]           conversations
    python benchmarks/answers.py tables BOT [--show]                    questions over the sample's tables
    python benchmarks/answers.py agent                                  an agent through twenty tasks
    python benchmarks/answers.py overhead BOT                           what the chain costs beside its models
    python benchmarks/answers.py all [--squad FILE] [--data FOLDER] [--bot BOT] [--faq FOLDER] [--voice VOICE.jsonl]

FILE is ``dev_part.json`` of SQuAD 2.0, DATA_FOLDER the folder with the public rows that the base and the reader are
trained on (``pipelines/grounding``), BOT a built bot. What each figure means stands beside its measure, in
``benchmarks/answering/``. Progress goes to stderr; Ctrl-C prints what is done. The figures also go to ``--json FILE``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.answering.figures import Report  # noqa: E402

MODULES = {
    "squad": "squad", "reader": "reading", "sample": "sample", "faq": "faq", "follow-ups": "conversations",
    "tables": "tables", "overhead": "overhead", "agent": "agent",
}  # fmt: skip
ARTICLES = ["Scottish_Parliament", "Steam_engine", "Yuan_dynasty"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, print its tables, and write them down.

    Returns:
        0, or 130 where Ctrl-C ended it.
    """
    options = parser().parse_args(arguments)
    reports: list[Report] = []
    for name in chosen(options):
        report = Report(name)
        reports.append(report)
        try:
            importlib.import_module(f"benchmarks.answering.{MODULES[name]}").run(report, options)
        except KeyboardInterrupt:
            report.stopped = True
            report.note("stopped before it was done")
        print(report.table(), flush=True)
        if options.json:  # after each, so that a later one that fails takes nothing away
            content = {item.name: item.to_dict() for item in reports}
            options.json.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if report.stopped:
            return 130
    return 0


def chosen(options: argparse.Namespace) -> list[str]:
    """Return the sub-commands to run: the one that was named, or all whose arguments were given."""
    if options.command != "all":
        return [options.command]
    given = {
        "squad": options.squad,
        "reader": options.data and options.squad,
        "sample": options.bot,
        "faq": options.faq,
        "follow-ups": options.bot or options.data,
        "tables": options.bot,
        "overhead": options.bot,
        "agent": True,
    }
    return [name for name, ready in given.items() if ready]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; every option has a default in every sub-command."""
    main_parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = main_parser.add_subparsers(dest="command", required=True)
    shared = _shared()
    defaults = {name: None for name in ("squad", "data", "bot", "faq", "voice")}

    def command(name: str, help_: str, *places: str) -> None:
        sub = commands.add_parser(name, help=help_, parents=[shared])
        sub.set_defaults(**defaults)
        for place in places:
            sub.add_argument(place.rstrip("?"), type=Path, nargs="?" if place.endswith("?") else None)
        if name in ("faq", "all"):
            sub.add_argument("--voice", type=Path, help="example replies of a house: measure with a voice as well")

    command("squad", "the base's short answers and refusals", "squad")
    command("reader", "the bundled reader", "data", "squad")
    command("sample", "the sample bot", "bot")
    command("faq", "a real documentation's FAQ", "faq")
    command("follow-ups", "conversations", "bot", "data?")
    command("tables", "questions over the sample's tables", "bot")
    command("overhead", "what the chain costs beside its models", "bot")
    command("agent", "an agent through twenty tasks")
    command("all", "everything whose arguments are given", *())
    every = commands.choices["all"]
    for name in ("squad", "data", "bot", "faq"):
        every.add_argument(f"--{name}", type=Path)
    return main_parser


def _shared() -> argparse.ArgumentParser:
    """Return the options that all sub-commands take; each reads those that concern it."""
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add("--json", type=Path, help="write figures and every reply here")
    add("--base", default="bundled", help="squad, follow-ups: the base, as in bot.yaml")
    add("--device", default="auto", help="squad, follow-ups: where the base runs")
    add("--articles", nargs="+", default=ARTICLES, help="squad, reader: articles to measure on")
    add("--dev-article", default="Imperialism", help="squad: where the weights of base and reader are fitted")
    add("--adapter", type=Path, help="squad: a bot's adapter folder, to see what its voice costs")
    add("--limit", type=int, default=200, help="squad, overhead: questions asked, 0 for all")
    add("--seed", type=int, default=0, help="squad: of the draw")
    add("--reader-limit", type=int, default=0, help="reader: pairs of each set, 0 for all")
    add("--questions", type=Path, default=ROOT / "data" / "questions.jsonl", help="sample, overhead: questions")
    add("--examples", type=Path, default=ROOT / "data" / "voice.jsonl", help="sample: the replies its voice is from")
    add("--replies", type=int, default=200, help="sample: replies to look for repetition in")
    add("--show", action="store_true", help="sample: print every reply")
    add("--work", type=Path, help="faq: folder for documents and bots; default: a temporary one")
    add("--epochs", type=float, default=0.25, help="faq: passes over the example replies")
    add("--faq-limit", type=int, default=0, help="faq: questions asked, 0 for all")
    add("--peer-base", default="bundled-plain", help="faq: the base of the stock recipe")
    add("--no-peer", action="store_true", help="faq: without the stock recipe")
    return shared


if __name__ == "__main__":
    sys.exit(main())
