"""Builds a bot from documents with a FAQ and from example replies of another house, and asks the FAQ's questions.

    python benchmarks/faq.py DOCUMENTS_FOLDER VOICE.jsonl [--gold benchmarks/faq_sources.json] [--work FOLDER]

``DOCUMENTS_FOLDER`` holds the documents and ``faq_pairs.jsonl``; the files that the FAQ stands in (the ``source`` of
each pair, and ``users/faq.rst``) are left out. ``--gold`` names for each line of the FAQ the other files that hold its
answer; the lines without one are listed and not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def lay_out(documents: Path, voice: Path, work: Path, epochs: float) -> Path:
    """Copy the documents without the FAQ, write a bot.yaml, and return it."""
    pairs = read_pairs(documents)
    left_out = {Path(pair["source"]).parent for pair in pairs}
    target = work / "source" / "documents"
    shutil.rmtree(work / "source", ignore_errors=True)
    for file in sorted(documents.rglob("*.rst")):
        relative = file.relative_to(documents)
        if not any(relative.is_relative_to(folder) for folder in left_out) and relative.name != "faq.rst":
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / relative)
    config = work / "source" / "bot.yaml"
    config.write_text(
        f"name: faq\noutput: ../bot\nknowledge: {{documents: documents}}\n"
        f"voice: {{examples: {json.dumps(str(voice.resolve()))}, num_train_epochs: {epochs}, max_length: 384}}\n",
        encoding="utf-8",
    )
    return config


def read_pairs(documents: Path) -> list[dict[str, str]]:
    """Read the questions with their official answers."""
    lines = (documents / "faq_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def main() -> None:
    """Build, search, and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("voice", type=Path)
    parser.add_argument("--gold", type=Path, default=Path(__file__).with_name("faq_sources.json"))
    parser.add_argument("--work", type=Path, default=None, help="folder for the bot; default: a temporary one")
    parser.add_argument("--epochs", type=float, default=0.25, help="passes over the example replies")
    parser.add_argument("--no-tune", action="store_true", help="index and search only")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="housevoice-faq-"))

    from pipelines.build import build
    from toolkit.store import Knowledge

    config = lay_out(arguments.documents, arguments.voice, work, arguments.epochs)
    started = time.perf_counter()
    steps = ("ingest",) if arguments.no_tune else ("ingest", "tune", "evaluate")
    result = build(config, steps=steps, on_note=print)
    print(f"built in {time.perf_counter() - started:.0f} s: {result.seconds}")

    pairs = read_pairs(arguments.documents)
    gold = {row["line"]: row for row in json.loads(arguments.gold.read_text(encoding="utf-8"))}
    with Knowledge.open(result.folder / "knowledge") as knowledge:
        hits = []
        for line, pair in enumerate(pairs, start=1):
            files = gold[line]["files"]
            if not files:
                print(f"line {line}: no other file holds the answer: {gold[line].get('why', '')}")
                continue
            found = [passage.source for passage in knowledge.search(pair["question"], k=5)]
            hits.append(any(source in files for source in found))
            if not hits[-1]:
                print(f"line {line}: missed; wanted {files}, found {found}")
    print(f"a right file among the first five passages: {sum(hits)} of {len(hits)} ({sum(hits) / len(hits):.1%})")
    if not arguments.no_tune:
        ask_some(result.folder, [pair["question"] for pair in pairs])


def ask_some(folder: Path, questions: list[str]) -> None:
    """Answer all questions once and show the first."""
    from toolkit import Chatbot

    bot = Chatbot.load(folder)
    answers = bot.ask_many(questions)
    print(f"answered {len(answers)}, declined {sum(answer.abstained for answer in answers)}")
    for answer in answers[:5]:
        print(f"- {answer.question}\n  {answer.text}\n  {[citation.source for citation in answer.citations]}")


if __name__ == "__main__":
    main()
