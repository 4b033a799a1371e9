"""Training rows for follow-ups: people's own (MTRAG) and some made from questions about the same thing."""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pipelines.grounding.data import Pair, read_rows
from pipelines.grounding.rows import GroundingRow
from toolkit.prompts import Turn, rewrite_messages

# Of the conversations of MTRAG, one in five is kept: half of those for choosing, half for the test.
_KEPT_ONE_IN = 5
_EARLIER_TURNS = 3
_LEADS = ("And {}?", "What about {}?", "how about {}", "and for {}?", "And what about {}?", "{}?", "Same for {}?")
_POINTERS = ("it", "it", "it", "they", "that", "this one", "there")


def conversation_part(identity: str) -> str:
    """Return the part that a conversation belongs to: ``train``, ``dev`` or ``test``."""
    number = int(hashlib.sha256(identity.partition("<::>")[0].encode()).hexdigest(), 16)
    return "train" if number % _KEPT_ONE_IN else ("test" if number // _KEPT_ONE_IN % 2 else "dev")


def people_rows(folder: Path, part: str) -> list[GroundingRow]:
    """Return the rewritten follow-ups of a part; the conversations hold what was asked and no replies."""
    rows = []
    for row in read_rows(folder / "followups.jsonl.gz"):
        asked = [text.strip() for text in row["conversation"].split("|user|:") if text.strip()]
        alone = row["alone"].replace("|user|:", "").strip()
        if conversation_part(row["id"]) == part and len(asked) > 1:
            history = [Turn(text, "") for text in asked[:-1]][-_EARLIER_TURNS:]
            rows.append(GroundingRow("rewrite", rewrite_messages(asked[-1], history), alone))
    return rows


def made_rows(pairs: Sequence[Pair], chance: random.Random, count: int) -> list[GroundingRow]:
    """Make follow-ups out of questions about one thing: by pronoun, by leaving the thing out, by naming another."""
    of_doc: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        name = pair.title
        if pair.answerable and pair.answer and name and len(name.split()) <= 5:
            of_doc[pair.set, pair.doc].append(pair)
    docs = [key for key, found in of_doc.items() if len(found) > 1]
    rows: list[GroundingRow] = []
    makers = (_by_pronoun, _by_leaving_out, _by_another_name, _standing_alone)
    for _ in range(20 * count):
        if len(rows) >= count:
            break
        before, after = chance.sample(of_doc[chance.choice(docs)], 2)
        other = chance.choice(of_doc[chance.choice(docs)])
        row = chance.choice(makers)(before, after, other, chance)
        if row:
            rows.append(row)
    return rows


def _plain(pair: Pair) -> str:
    """Return a question without the name that some sets put before it."""
    asked = pair.question
    return asked.partition(": ")[2] or asked if asked.startswith(f"{pair.title}: ") else asked


def _named(pair: Pair) -> str | None:
    """Return a question that names the thing, or None where it cannot be put in."""
    asked = _plain(pair)
    if _mention(asked, pair.title):
        return asked
    if not pair.set.startswith("dstc"):
        return None
    return f"{asked.rstrip('?!. ')} at {pair.title}?"


def _mention(asked: str, title: str) -> re.Match[str] | None:
    """Find the thing's name in a question: whole, or its last word."""
    for name in (title, title.split()[-1]):
        if found := re.search(rf"\b(?:the )?{re.escape(name)}(?!\w)", asked, re.IGNORECASE):
            return found
    return None


def _earlier(pair: Pair, chance: random.Random) -> list[Turn] | None:
    asked = _named(pair)
    if asked is None:
        return None
    return [Turn(asked, chance.choice(("", pair.answer or "", f"{pair.answer}.")))]


def _by_pronoun(before: Pair, after: Pair, other: Pair, chance: random.Random) -> GroundingRow | None:
    history, alone = _earlier(before, chance), _named(after)
    found = _mention(alone, after.title) if alone else None
    if not history or not alone or not found:
        return None
    owned = alone[found.end() :].startswith(("'s", "’s"))
    pointer = chance.choice(("its", "their", "his", "her")) if owned else chance.choice((*_POINTERS, "he", "she"))
    rest = alone[found.end() + (2 if owned else 0) :]
    return GroundingRow("rewrite", rewrite_messages(alone[: found.start()] + pointer + rest, history), alone)


def _by_leaving_out(before: Pair, after: Pair, other: Pair, chance: random.Random) -> GroundingRow | None:
    history, alone, asked = _earlier(before, chance), _named(after), _plain(after)
    if not history or not alone or alone == asked:
        return None
    if chance.random() < 0.4:
        asked = f"{chance.choice(('And ', 'and ', 'Also, ', 'ok and '))}{asked[0].lower()}{asked[1:]}"
    return GroundingRow("rewrite", rewrite_messages(asked, history), alone)


def _by_another_name(before: Pair, after: Pair, other: Pair, chance: random.Random) -> GroundingRow | None:
    history = _earlier(before, chance)
    if not history or before.title == other.title:
        return None
    found = _mention(history[0].question, before.title)
    if not found:
        return None
    name = other.title
    alone = history[0].question[: found.start()] + name + history[0].question[found.end() :]
    return GroundingRow("rewrite", rewrite_messages(chance.choice(_LEADS).format(name), history), alone)


def _standing_alone(before: Pair, after: Pair, other: Pair, chance: random.Random) -> GroundingRow | None:
    """A question that stands alone stays as it is, whatever was asked before."""
    history, alone = _earlier(before, chance), _named(other)
    if not history or not alone:
        return None
    return GroundingRow("rewrite", rewrite_messages(alone, history), alone)
