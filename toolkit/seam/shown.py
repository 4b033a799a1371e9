"""Example replies made ready to be shown in the prompt of a base that has no adapter."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.answering.evidence import shown, units_of
from toolkit.language import Lexicon
from toolkit.prompts import ShownReply
from toolkit.seam.weave import SeamRow


def shown_replies(rows: Sequence[SeamRow], lexicon: Lexicon) -> list[ShownReply]:
    """Return the example replies that show the voice, each with the one note that it rests on.

    One note is enough to show what the house makes of it, and leaves room for more replies.

    Args:
        rows: Woven rows; those that decline, were made up or are in nobody's voice are left out.
        lexicon: How rare words are in the documents, and their language.
    """
    spoken = [row for row in rows if row.kind != "decline" and not row.plain]
    return [ShownReply(row.question, row.example.reply, _note(row, lexicon)) for row in spoken]


def _note(row: SeamRow, lexicon: Lexicon) -> tuple[str, ...]:
    """Return the unit of a row's evidence that holds most of what its reply says; nothing without evidence."""
    said = set(lexicon.stems(row.example.reply))
    units = [(item.passage, unit) for item in row.evidence for unit in units_of(item.quote, lexicon.language)]
    best = max(units, key=lambda found: lexicon.coverage(said, found[1].stems), default=None)
    return (shown(best[0], best[1].text),) if best else ()
