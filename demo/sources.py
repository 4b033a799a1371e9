"""The panel beside the answer: where the answer stands, and everything that was read for it.

All of it becomes HTML, and every text from a document or the model is escaped on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from demo.conversation import Exchange
from pipelines.tracing import shown_steps

if TYPE_CHECKING:
    from toolkit.answering import Answer, Citation
    from toolkit.store import Passage

EMPTY = "Ask something; what the answer stands on will appear here."
READING = "Looking through the documents …"
THINKING = "Thinking …"
_CONTEXT = 140
_LONGEST = 4000
# What HTML reads as its own, and what Markdown might, as entities.
_ENTITIES = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'\n`$*_[]\\{}~|#!"} | {ord("\r"): ""}


def panel(exchange: Exchange | None, *, knows: bool = True) -> str:
    """Lay out what is known of an exchange.

    Args:
        exchange: The last one, or None before the first.
        knows: Whether documents are used for it.

    Returns:
        HTML on a single line: a blank line would end the block, and Markdown would begin.
    """
    if exchange is None:
        return _note(EMPTY)
    if not exchange.done:
        return _note(READING if knows else THINKING)
    answer = exchange.answer
    if answer is None:
        return _note("Stopped before there was an answer." if exchange.stopped else "There is no answer to show.")
    parts = [_note(line) for line in _notes(answer, exchange.stopped)]
    parts += [_citation(number, item, answer.passages) for number, item in enumerate(answer.citations, start=1)]
    parts.append(_passages(answer))
    parts.append(_trace(answer))
    parts.append(_timing(answer.seconds))
    return "".join(parts)


def _notes(answer: Answer, stopped: bool) -> list[str]:
    """Say in plain lines what the citations alone do not show."""
    notes = []
    if stopped:
        notes.append("You stopped this answer.")
    if answer.abstained:
        notes.append("The bot declined: the documents do not tell.")
    elif not answer.passages:
        notes.append("Said without looking at the documents.")
    elif not answer.citations and not stopped:
        notes.append("No sentence of the documents stands behind this answer.")
    count = len(answer.replaced)
    if count == 1:
        notes.append("1 sentence was left out because the documents do not hold it.")
    elif count:
        notes.append(f"{count} sentences were left out because the documents do not hold them.")
    if answer.rewritten and answer.rewritten != answer.question:
        notes.append(f"Searched for: {answer.rewritten}")
    return notes


def _note(line: str) -> str:
    return f'<p class="note">{_text(line)}</p>'


def _citation(number: int, citation: Citation, passages: Sequence[Passage]) -> str:
    """Lay out one citation: its number, its file, and the quote marked within the words around it."""
    before, after = _around(citation, passages)
    place = _place(citation.source, citation.page)
    return (
        f'<div class="citation"><div class="place"><span class="number">{number}</span>{place}</div>'
        f'<div class="quote">{_text(before)}<mark>{_text(citation.quote)}</mark>{_text(after)}</div></div>'
    )


def _around(citation: Citation, passages: Sequence[Passage]) -> tuple[str, str]:
    """Return some of the text before and after the quote, where a retrieved passage holds it."""
    for passage in passages:
        at = passage.text.find(citation.quote) if passage.source == citation.source else -1
        if at < 0:
            continue
        before, after = passage.text[:at], passage.text[at + len(citation.quote) :]
        if len(before) > _CONTEXT:
            before = "… " + before[-_CONTEXT:].split(" ", 1)[-1]
        if len(after) > _CONTEXT:
            after = after[:_CONTEXT].rsplit(" ", 1)[0] + " …"
        return before.lstrip(), after.rstrip()
    return "", ""


def _passages(answer: Answer) -> str:
    """Lay out every passage that was retrieved, folded away."""
    if not answer.passages:
        return ""
    count = len(answer.passages)
    label = "The one passage that was read" if count == 1 else f"All {count} passages that were read"
    items = "".join(_passage(item, answer.citations) for item in answer.passages)
    return f'<details class="passages"><summary>{label}</summary>{items}</details>'


def _trace(answer: Answer) -> str:
    """Lay out what was done for an answer, folded away."""
    if not answer.trace:
        return ""
    items = []
    for step in shown_steps(answer.trace.to_dict()):
        rows = "".join(f"<dt>{_text(key)}</dt><dd>{_text(text[:_LONGEST])}</dd>" for key, text in step.rows)
        head = f'{_text(step.title)}<span class="cost">{_text(step.cost)}</span>'
        items.append(f'<div class="step"><div class="heading">{head}</div><dl>{rows}</dl></div>')
    return f'<details class="trace"><summary>What was done for it</summary>{"".join(items)}</details>'


def _passage(passage: Passage, citations: Sequence[Citation]) -> str:
    """Lay out one passage with its place, heading and score, and what was quoted from it marked."""
    heading = f'<div class="heading">{_text(passage.heading)}</div>' if passage.heading else ""
    text = passage.text if len(passage.text) <= _LONGEST else passage.text[:_LONGEST] + " …"
    quotes = [item.quote for item in citations if item.source == passage.source]
    return (
        f'<div class="passage"><div class="place">{_place(passage.source, passage.page)}'
        f'<span class="score" title="how well it fits the question">{passage.score:.3f}</span></div>'
        f'{heading}<div class="text">{_marked(text, quotes)}</div></div>'
    )


def _marked(text: str, quotes: Sequence[str]) -> str:
    """Escape a text and mark the quotes in it; overlapping quotes are marked as one."""
    inside = [False] * len(text)
    for quote in quotes:
        at = text.find(quote) if quote else -1
        if at >= 0:
            inside[at : at + len(quote)] = [True] * len(quote)
    parts, start = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or inside[end] != inside[start]:
            piece = _text(text[start:end])
            parts.append(f"<mark>{piece}</mark>" if inside[start] else piece)
            start = end
    return "".join(parts)


def _place(source: str, page: int | None) -> str:
    """Name a file, with its folder in grey, and the page."""
    folder, _, name = source.rpartition("/")
    shown = f'<span class="folder">{_text(folder)}/</span>' if folder else ""
    where = f'<span class="page">page {page}</span>' if page else ""
    return f'<span class="file">{shown}{_text(name)}</span>{where}'


def _timing(seconds: dict[str, float]) -> str:
    """Lay out how long the answer took."""
    steps = (("retrieve", "retrieval"), ("first_token", "first words"), ("total", "all"))
    shown = " · ".join(f"{label} {seconds[key]:.2f} s" for key, label in steps if key in seconds)
    return f'<p class="timing">{shown}</p>' if shown else ""


def _text(text: str) -> str:
    """Escape a text for HTML on one line; the style sheet turns the line breaks into visible ones."""
    return text.translate(_ENTITIES)
