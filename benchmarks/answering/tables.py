"""Questions over the sample's tables through the whole chain, and how many ordinary questions the tables take away."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.answering.figures import Report, read_lines, share
from benchmarks.answering.sample import SETS
from toolkit.language import numbers
from toolkit.scoring import holds_facts

if TYPE_CHECKING:
    from toolkit import Answer

RIGHT, TAKEN, MILLISECONDS = 0.90, 0.02, 10.0
# Questions of the second half were written once the first was answered, those of the last part once both were.
WRITTEN = {"before": "  written before it was built", "after": "  written after", "last": "ten more, written last"}


def answered(row: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Measure one answer.

    Right is one that holds every fact and names nothing that the question rules out. A number is made up that stands
    neither in the question, nor in a fact, nor in a row that is cited, nor in what was computed.
    """
    said = answer.text.lower()
    ruled_out = [name for name in row.get("not", ()) if name.lower() in said]
    computed = answer.computed
    known = [row["question"], *(word for fact in row["facts"] for word in fact), str(computed.get("result", ""))]
    known += [citation.quote for citation in answer.citations] + [str(len(computed.get("rows", ())))]
    cited = [citation.source for citation in answer.citations]
    return {
        "question": row["question"], "written": row["written"], "kind": row["kind"], "reply": answer.text,
        "right": not answer.abstained and holds_facts(answer.text, row["facts"]) and not ruled_out,
        "table": computed, "cited": bool(cited) and set(cited) <= set(row["sources"]),
        "made_up": sorted(numbers(answer.text) - numbers(" ".join(known))), "replaced": list(answer.replaced),
    }  # fmt: skip


def add_figures(report: Report, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add what the answers come to: the first thirty against their bars, the last ten beside them."""
    thirty = [row for row in rows if row["written"] != "last"]
    report.add("right through the chain", share(row["right"] for row in thirty), RIGHT, of=len(thirty))
    for written, name in WRITTEN.items():
        these = [row for row in rows if row["written"] == written]
        report.add(f"{name}: right", share(row["right"] for row in these), of=len(these))
    for kind in dict.fromkeys(row["kind"] for row in rows):
        these = [row for row in rows if row["kind"] == kind]
        report.add(f"  {kind}", share(row["right"] for row in these), of=len(these))
    report.add("answered from a table", share(bool(row["table"]) for row in rows), of=len(rows))
    of_tables = [row for row in rows if row["table"]]
    report.add("of these right", share(row["right"] for row in of_tables), of=len(of_tables))
    cited = share(row["cited"] for row in of_tables)
    report.add("of these cited by rows of the right file alone", cited, of=len(of_tables))
    made_up = sum(len(row["made_up"]) for row in rows)
    report.add("numbers made up", made_up, 0, at_most=True, form="count", of=len(rows))


def add_ordinary(report: Report, tables: Any, questions: Sequence[str]) -> None:
    """Add how many ordinary questions are taken for questions over tables, and what asking that costs."""
    taken, spent = [], []
    for question in questions:
        started = time.perf_counter()
        answer = tables.answer(question)
        spent.append((time.perf_counter() - started) * 1000)
        taken.append(answer is not None)
        if answer:
            report.details.append({"ordinary": question, "table": answer.to_dict()})
    report.add("ordinary questions taken", share(taken), TAKEN, at_most=True, of=len(questions))
    report.add("what that takes, median", float(np.median(spent)), MILLISECONDS, at_most=True, form="ms", of=len(spent))
    report.add("what that takes, 95 in 100", float(np.quantile(spent, 0.95)), form="ms", of=len(spent))


def run(report: Report, options: argparse.Namespace) -> None:
    """Ask the bot, and look at the questions that its settings are chosen on; never at those it is reported on."""
    from toolkit.bot import Chatbot

    bot = Chatbot.load(options.bot)
    try:

        def ask(part: list[dict[str, Any]]) -> list[dict[str, Any]]:
            answers = bot.ask_many([row["question"] for row in part])
            return [answered(row, answer) for row, answer in zip(part, answers, strict=True)]

        rows = report.work("Questions over tables", ask, read_lines(SETS / "tables.jsonl"))
        add_figures(report, rows)
        report.details += rows
        ordinary = [row["question"] for row in read_lines(options.questions) if row["split"] == "tune"]
        if bot.chain.planner.tables is None:
            report.note("this bot was built without the reading of tables: build it again")
        elif not report.stopped:
            add_ordinary(report, bot.chain.planner.tables, ordinary)
        if options.show:
            for row in rows:
                print(f"{'+' if row['right'] else '-'} {row['question']}\n    {row['reply']}", flush=True)
    finally:
        bot.close()
