"""What can be told of example replies before a tune: as a model will see them, and against each other."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from toolkit.errors import ModelError
from toolkit.examples.replies import Example
from toolkit.examples.splits import asked_words
from toolkit.language import ENGLISH, Language, numbers
from toolkit.prompts import Message, encode_pair, render_pair, render_prompt, stop_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Level = Literal["ok", "note", "bad"]

# Of a longer list of lines only so many are named.
_SHOWN_LINES = 8
# With 64 replies the bundled base took on a voice; with fewer nobody has measured it.
FEW_EXAMPLES = 64
# The voice is measured on held-out prompts, and a share of fewer than these says little: one of 20 is 5%.
_FEW_HELD_OUT = 20
# Of what several documents hold, more than this share from one is worth a word.
_ONE_SIDED = 0.5
_FEWEST_ROWS_FOR_SIDES = 10


class Row(Protocol):
    """A training row before it is tokenised; those that are woven are such."""

    @property
    def example(self) -> Example:
        """The example reply."""
        ...

    @property
    def messages(self) -> list[Message]:
        """What the model is shown before the reply."""
        ...


@dataclass(frozen=True)
class PlainRow:
    """An example with the messages that it is asked with, where nothing was retrieved for it yet.

    Attributes:
        example: The example reply.
        messages: What the model is shown before the reply.
    """

    example: Example
    messages: list[Message]


@dataclass(frozen=True)
class Finding:
    """What a look at the rows found.

    Attributes:
        what: What was looked at.
        level: ``ok``, ``note`` where it is worth knowing, ``bad`` where a tune would go wrong.
        said: What was found, with the remedy where there is one.
        lines: Lines of the file that it is about.
    """

    what: str
    level: Level
    said: str
    lines: tuple[int, ...] = ()


def check_examples(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int, language: Language = ENGLISH
) -> list[Finding]:
    """Look at rows as a tune will: tokens, lengths, and what they say against each other.

    Args:
        rows: Training rows, with what was retrieved for them or without.
        tokenizer: The tokenizer of the base.
        max_length: Longest training row, in tokens; longer ones are left out of a tune.
        language: For numbers that are written as words.

    Example:
        >>> from toolkit.models import load_base
        >>> example = Example("Do you deliver?", "We do, and gladly.", (), 1, 1)
        >>> rows = [PlainRow(example, [{"role": "user", "content": example.question}])]
        >>> [found.what for found in check_examples(rows, load_base("bundled").tokenizer, 640) if found.level != "ok"]
        ['enough replies']
    """
    examples = [row.example for row in rows]
    findings = []
    if rows:
        findings += _as_seen(rows, tokenizer, max_length)
    findings += [repeated(examples), contradictions(examples, language)]
    return [*findings, *one_sided(rows), enough(examples)]


def _as_seen(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Finding]:
    """Check what the tokenizer makes of the rows; only that it fails, where the template does not fit."""
    try:
        encoded = [encode_pair(tokenizer, row.messages, row.example.reply) for row in rows]
    except ModelError as error:
        return [Finding("training as serving", "bad", str(error))]
    lines = [row.example.line for row in rows]
    return [
        same_prompt(rows, encoded, tokenizer),
        supervised([labels for _, labels in encoded], lines, stop_token_ids(tokenizer)),
        marks_in_text(rows, tokenizer),
        lengths([len(ids) for ids, _ in encoded], lines, max_length),
    ]


def same_prompt(
    rows: Sequence[Row], encoded: Sequence[tuple[list[int], list[int]]], tokenizer: PreTrainedTokenizerBase
) -> Finding:
    """Tell whether each row begins with the very string, and the very tokens, that serving will ask with."""
    wrong = []
    for row, (ids, labels) in zip(rows, encoded, strict=True):
        served = render_prompt(tokenizer, row.messages)
        trained, _ = render_pair(tokenizer, row.messages, row.example.reply)
        asked = tokenizer(served, add_special_tokens=False)["input_ids"]
        head = [token for token, label in zip(ids, labels, strict=True) if label == -100]
        if trained != served or asked != head:
            wrong.append(row.example.line)
    if wrong:
        said = f"The prompt differs between training and serving in {_in_lines(wrong)}: choose another base."
        return Finding("training as serving", "bad", said, tuple(wrong))
    return Finding("training as serving", "ok", f"the same bytes and tokens in all {len(rows)} prompts")


def supervised(labels: Sequence[Sequence[int]], lines: Sequence[int], stops: Sequence[int]) -> Finding:
    """Tell whether each row has a reply to learn from, and ends with what ends a turn.

    Args:
        labels: For each row the labels of its tokens; -100 where there is no loss.
        lines: For each row its line.
        stops: Tokens that end a reply when serving.
    """
    what = "supervised tokens"
    learnt = [[label for label in row if label != -100] for row in labels]
    without = [line for row, line in zip(learnt, lines, strict=True) if not [t for t in row if t not in stops]]
    if without:
        said = f"There is no reply to learn from in {_in_lines(without)}: fill it in."
        return Finding(what, "bad", said, tuple(without))
    open_ended = [line for row, line in zip(learnt, lines, strict=True) if row[-1] not in stops]
    if open_ended:
        said = f"The token that ends a turn is missing from {_in_lines(open_ended)}: replies would not stop."
        return Finding(what, "bad", said, tuple(open_ended))
    return Finding(
        what,
        "ok",
        f"{sum(map(len, learnt))} of {sum(map(len, labels))} tokens, on the replies alone; the end of turn is trained",
    )


def marks_in_text(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Finding:
    """Tell whether a text holds what the base takes for the end of a turn and the like."""
    marks = [mark for mark in tokenizer.all_special_tokens if mark.strip()]
    found = [
        row.example.line
        for row in rows
        if any(mark in text for text in (*(m["content"] for m in row.messages), row.example.reply) for mark in marks)
    ]
    if found:
        said = f"A mark of the base, such as {marks[0]}, stands in the text of {_in_lines(found)}: take it out."
        return Finding("marks in the text", "bad", said, tuple(found))
    return Finding("marks in the text", "ok", "none")


def lengths(counts: Sequence[int], lines: Sequence[int], max_length: int) -> Finding:
    """Tell how long the rows are, and which are longer than a tune takes.

    Args:
        counts: For each row its tokens.
        lines: For each row its line.
        max_length: Most tokens of a row.
    """
    ordered = sorted(counts)
    middle, most = statistics.median_high(ordered), ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    said = f"half have {middle} tokens or fewer, 95% {most}, the longest {ordered[-1]}; max_length is {max_length}"
    dropped = [line for count, line in zip(counts, lines, strict=True) if count > max_length]
    if not dropped:
        return Finding("lengths", "ok", said)
    level: Level = "bad" if len(dropped) == len(counts) else "note"
    remedy = f"{len(dropped)} of {len(counts)} rows are left out ({_in_lines(dropped)}): raise it, or shorten them."
    return Finding("lengths", level, f"{said}. {remedy}", tuple(dropped))


def repeated(examples: Sequence[Example]) -> Finding:
    """Tell which examples say the same to the same."""
    first: dict[tuple[object, ...], int] = {}
    again = []
    for example in examples:
        if first.setdefault((*_asked(example), " ".join(example.reply.split())), example.line) != example.line:
            again.append(example.line)
    if not again:
        return Finding("duplicates", "ok", "none")
    said = f"An earlier row is repeated in {_in_lines(again)}: take that out."
    return Finding("duplicates", "note", said, tuple(again))


def contradictions(examples: Sequence[Example], language: Language = ENGLISH) -> Finding:
    """Tell which examples reply otherwise to the same question; worse where numbers differ, or one declines.

    Two wordings of one reply are no fault in a voice.
    """
    replies: defaultdict[tuple[object, ...], list[Example]] = defaultdict(list)
    for example in examples:
        replies[_asked(example)].append(example)
    worded: list[int] = []
    facts: list[int] = []
    for group in replies.values():
        if len({" ".join(example.reply.split()) for example in group}) == 1:
            continue
        told = {(frozenset(numbers(example.reply, language)), example.declines) for example in group}
        (facts if len(told) > 1 else worded).extend(example.line for example in group)
    if facts:
        said = f"The same question is told different numbers, or declined, in {_in_lines(facts)}: keep one."
        return Finding("contradictions", "note", said, tuple(facts))
    if worded:
        said = f"The same question has replies in other words in {_in_lines(worded)}: see that they agree."
        return Finding("contradictions", "note", said, tuple(worded))
    return Finding("contradictions", "ok", "no question has two replies")


def one_sided(rows: Sequence[Row]) -> list[Finding]:
    """Tell whether most rows are about one source; nothing where the rows do not say what they are about.

    The source is what the file names, or else that of the first piece of evidence that a woven row shows.
    """
    sources = Counter(filter(None, map(_source_of, rows)))
    told = sum(sources.values())
    if told < _FEWEST_ROWS_FOR_SIDES:
        return []
    (source, count), *_ = sources.most_common(1)
    said = f"{told} rows are about {len(sources)} sources, {count} of them about {source}"
    if len(sources) > 1 and count > _ONE_SIDED * told:
        return [Finding("subjects", "note", f"{said}: add replies about others, or the voice hangs on its words.")]
    return [Finding("subjects", "ok", said)]


def _source_of(row: Row) -> str:
    evidence = getattr(row, "evidence", None) if getattr(row, "kind", "") == "passages" else None
    return row.example.source or (evidence[0].passage.source if evidence else "")


def enough(examples: Sequence[Example]) -> Finding:
    """Tell whether there are as many examples as a voice was ever seen to come of."""
    count = len(examples)
    if count >= FEW_EXAMPLES:
        return Finding("enough replies", "ok", f"{count} to learn from")
    return Finding(
        "enough replies",
        "note",
        f"{count} to learn from: with {FEW_EXAMPLES} the bundled base was seen to take on a voice, fewer were not "
        "measured. More help most, of other subjects and lengths; more passes over the same ones teach them by heart.",
    )


def enough_held_out(count: int) -> Finding:
    """Tell whether there are enough held-out examples for a figure that means something."""
    if count >= _FEW_HELD_OUT:
        return Finding("held out", "ok", f"{count} to measure the voice on")
    if not count:
        return Finding("held out", "note", "none to measure the voice on: raise held_out, or add replies.")
    return Finding(
        "held out",
        "note",
        f"{count} to measure the voice on: one more or less is {1 / count:.0%} of them. Raise held_out, or add "
        "replies.",
    )


def marked(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str) -> list[tuple[str, bool]]:
    """Return a training row as it is trained on, in stretches: the text, and whether there is a loss on it.

    Args:
        tokenizer: The tokenizer of the base.
        messages: What the model is shown before the reply.
        reply: The reply.
    """
    ids, labels = encode_pair(tokenizer, messages, reply)
    stretches: list[tuple[list[int], bool]] = []
    for token, label in zip(ids, labels, strict=True):
        if not stretches or stretches[-1][1] != (label != -100):
            stretches.append(([], label != -100))
        stretches[-1][0].append(token)
    return [(str(tokenizer.decode(tokens, clean_up_tokenization_spaces=False)), loss) for tokens, loss in stretches]


def _asked(example: Example) -> tuple[object, ...]:
    """Return what an example replies to, as it counts for being the same."""
    return asked_words(example.question), tuple((turn.question, turn.reply) for turn in example.history)


def _in_lines(lines: Iterable[int]) -> str:
    """Name lines: ``line 3``, ``lines 3, 5 and 9``, or some of many."""
    listed = sorted(set(lines))
    if len(listed) == 1:
        return f"line {listed[0]}"
    if len(listed) > _SHOWN_LINES:
        return f"lines {', '.join(map(str, listed[:_SHOWN_LINES]))} and {len(listed) - _SHOWN_LINES} more"
    return f"lines {', '.join(map(str, listed[:-1]))} and {listed[-1]}"
