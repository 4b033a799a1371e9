"""Follow-ups: do they find what the spelled-out question finds, and how are people's own rewritten?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.answering.figures import Report, read_lines, share
from benchmarks.answering.sample import SETS
from toolkit.scoring import holds_facts

if TYPE_CHECKING:
    from toolkit import Answer, Chatbot, Passage

AS_OFTEN, CONTENT_WORDS = 0.85, 0.70
_LAST = "Last question: "


def conversation(bot: Chatbot, row: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a follow-up after its first question, spelled out, and bare, and return what each found."""
    followed = bot.ask(row["follow_up"], history=[(row["question"], row["reply"])])
    alone = bot.ask(row["alone"])
    bare = bot.search(row["follow_up"], k=5)
    return {
        "follow_up": row["follow_up"], "alone": row["alone"], "rewritten": followed.rewritten, "kind": row["kind"],
        "reply": followed.text, "abstained": followed.abstained, "sources": row["sources"],
        "found": _sources(followed.passages), "found_alone": _sources(alone.passages), "found_bare": _sources(bare),
        "passage": _told(followed.passages, row), "passage_alone": _told(alone.passages, row),
        "passage_bare": _told(bare, row), "right": _right(followed, row), "right_alone": _right(alone, row),
    }  # fmt: skip


def _sources(passages: Sequence[Passage]) -> list[str]:
    return [passage.source for passage in passages[:5]]


def _told(passages: Sequence[Passage], row: Mapping[str, Any]) -> bool:
    """Tell whether a passage of a right file that holds the fact is among the first five."""
    return any(item.source in row["sources"] and holds_facts(item.text, row["facts"]) for item in passages[:5])


def _right(answer: Answer, row: Mapping[str, Any]) -> bool:
    return not answer.abstained and holds_facts(answer.text, row["facts"])


def add_conversations(report: Report, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add how often the right source was among the first five, and how that compares with the spelled-out questions.

    A file is found easily, as the thing's name is often enough; the passage that holds the fact is not.
    """

    def hits(key: str, among: Sequence[Mapping[str, Any]]) -> list[bool]:
        return [bool(set(row[key]) & set(row["sources"])) for row in among]

    ours, alone, bare = (sum(hits(key, rows)) for key in ("found", "found_alone", "found_bare"))
    count = len(rows)
    report.add("right source found, follow-up; peer: unrewritten", share(hits("found", rows)),
               peer=share(hits("found_bare", rows)), of=count)  # fmt: skip
    report.add("right source found, spelled-out question", share(hits("found_alone", rows)), of=count)
    name = "follow-ups find it as often as spelled-out questions"
    report.add(name, ours / alone if alone else None, AS_OFTEN, peer=bare / alone if alone else None, of=count)
    told, told_alone, told_bare = (
        sum(row[key] for row in rows) for key in ("passage", "passage_alone", "passage_bare")
    )
    report.add("passage with the fact found, follow-up; peer: unrewritten", share(row["passage"] for row in rows),
               peer=share(row["passage_bare"] for row in rows), of=count)  # fmt: skip
    name = "follow-ups find that passage as often"
    of_alone = [value / told_alone if told_alone else None for value in (told, told_bare)]
    report.add(name, of_alone[0], AS_OFTEN, peer=of_alone[1], of=count)
    report.add("fact in the reply, follow-up; peer: spelled out", share(row["right"] for row in rows),
               peer=share(row["right_alone"] for row in rows), of=count)  # fmt: skip
    for kind in dict.fromkeys(row["kind"] for row in rows):
        these = [row for row in rows if row["kind"] == kind]
        ours_of, bare_of = share(hits("found", these)), share(hits("found_bare", these))
        report.add(f"  {kind}: found", ours_of, peer=bare_of, of=len(these))
    report.add("follow-ups declined", share(row["abstained"] for row in rows), of=count)


def last_questions(rows: Sequence[Any]) -> list[str]:
    """Return the follow-ups of rewriting rows as they were typed."""
    return [row.messages[-1]["content"].rpartition(_LAST)[2] for row in rows]


def add_rewrites(report: Report, rows: Sequence[Any], written: Sequence[str]) -> None:
    """Add how many of the references' content words the rewritten questions hold."""
    from pipelines.grounding.measures import score_rewrites

    rows = rows[: len(written)]
    if not rows:
        return
    ours = score_rewrites(rows, lambda *_: list(written))
    bare = score_rewrites(rows, lambda *_: last_questions(rows))
    names = (("content words of the reference held, mean", "content_words"),
             ("rewritten questions that hold 70% of them or more", "with_all_or_70"))  # fmt: skip
    for name, key in names:
        report.add(f"{name}; peer: unrewritten", ours[key], CONTENT_WORDS, peer=bare[key], of=len(rows))
    report.details += [
        {"asked": asked, "rewritten": text, "reference": row.reply}
        for asked, text, row in zip(last_questions(rows), written, rows, strict=True)
    ]


def run(report: Report, options: argparse.Namespace) -> None:
    """Ask the sample's follow-ups, and rewrite people's own where there is a folder with them."""
    from toolkit import Chatbot

    if options.bot:
        bot = Chatbot.load(options.bot)
        try:
            asked = read_lines(SETS / "follow_ups.jsonl")
            rows = report.work("Asking follow-ups", lambda part: [conversation(bot, row) for row in part], asked, 1)
        finally:
            bot.close()
        add_conversations(report, rows)
        report.details += rows
    if options.data and not report.stopped:
        from benchmarks.answering.squad import Base
        from pipelines.grounding.rewriting import people_rows

        people = people_rows(options.data, "test")
        base = Base(options.base, device=options.device)
        written = report.work("Rewriting", base.rewrite, [row.messages for row in people])
        add_rewrites(report, people, written)
        report.note(f"people's conversations: the test part of MTRAG, base {options.base}")
