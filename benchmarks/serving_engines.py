"""The engines of a bot side by side: llama.cpp beside transformers, in turns, in the same run.

``python benchmarks/serving.py engine BOT`` runs it; see there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.answering.figures import Report, share
from benchmarks.serving_people import measure_busy, measure_memory, measure_people
from benchmarks.serving_sides import OURS, PEER, Sides, begun_with, open_sides, shown, timed
from toolkit.bot import BotFolder
from toolkit.engines import Decoding
from toolkit.engines.llama_files import QUANTIZATION
from toolkit.exporting import greedy_tokens, judge, merged_into, round_weights
from toolkit.exporting.agreement import FIRST_TOKENS
from toolkit.models import load_base
from toolkit.prompts import Message, render_prompt, stop_token_ids
from toolkit.scoring import Question, holds_facts, read_questions
from toolkit.tuning import attach_adapter

CONTEXTS = (300, 900)  # tokens of a prompt
PARTS = ("memory", "speed", "busy", "answers", "agreement", "people")


def measure_speed(report: Report, sides: Sides, repeats: int) -> None:
    """Add how fast tokens are read and written, and what a second turn costs."""
    found: dict[tuple[str, int, bool, str], list[float]] = {}

    def run(number: int) -> None:
        for tokens in CONTEXTS:
            messages = sides.fitting(tokens, number)
            for adapter in (False, True):
                for name in (OURS, PEER):
                    asked = begun_with(adapter, messages)
                    reply = timed(sides.engine(name), asked, adapter=adapter)
                    again = [*asked, {"role": "assistant", "content": reply.text}]
                    again.append({"role": "user", "content": "Why?"})
                    for what, value in (("rate", reply.rate), ("first", reply.first)):
                        found.setdefault((name, tokens, adapter, what), []).append(value)
                    second = timed(sides.engine(name), again, adapter=adapter, decoding=Decoding(2))
                    found.setdefault((name, tokens, adapter, "second"), []).append(second.first)

    def run_all(numbers: list[int]) -> list[int]:
        for number in numbers:
            run(number)
        return numbers

    report.work("Speed", run_all, range(repeats), 1)
    median = {key: statistics.median(values) for key, values in found.items()}
    for tokens in CONTEXTS:
        for adapter in (False, True):
            where = f"{tokens} tokens of context, voice {'on' if adapter else 'off'}"
            ours, peer = (median[name, tokens, adapter, "rate"] for name in (OURS, PEER))
            report.add(f"tokens/s, {where}", ours, form="count", peer=peer, of=repeats)
            report.add(f"  times the peer, {where}", ours / peer, 3.5 if adapter else None, form="score")
            ours, peer = (median[name, tokens, adapter, "first"] for name in (OURS, PEER))
            report.add(f"first token, cold, {where}", ours * 1000, form="ms", peer=peer * 1000, of=repeats)
            again = median[OURS, tokens, adapter, "second"]
            report.add(f"  second turn, {where}", again * 1000, ours * 250, at_most=True, form="ms",
                       peer=median[PEER, tokens, adapter, "second"] * 1000, of=repeats)  # fmt: skip
        on, off = (median[OURS, tokens, adapter, "rate"] for adapter in (True, False))
        report.add(f"tokens/s of voice on to off, {tokens} tokens of context", on / off, 0.85, form="score")


def measure_answers(report: Report, sides: Sides, questions: Sequence[Question]) -> None:
    """Add how long whole answers take, whether they are right, and whether the same is declined."""
    spent: dict[str, list[tuple[float, float]]] = {OURS: [], PEER: []}
    told: dict[str, list[Any]] = {OURS: [], PEER: []}
    gaps: list[float] = []

    def ask(items: list[Question]) -> list[Question]:
        for item in items:
            for name in (OURS, PEER):
                sides.engine(name).thoughts.clear()
                began, first = time.perf_counter(), 0.0
                stream = sides.bots[name].stream(item.question)
                for _ in stream:
                    first = first or time.perf_counter() - began
                spent[name].append((first, time.perf_counter() - began))
                told[name].append(stream.answer)
            ours, peer = (sides.engine(name).thoughts for name in (OURS, PEER))
            gaps.extend(abs(one - other) for one, other in zip(ours[:1], peer[:1], strict=True))
        return items

    done = len(report.work("Answers", ask, questions, 1))
    asked = questions[:done]
    # An answer that is declined, or computed, is not written by the model.
    both = [
        number for number in range(done) if not (told[OURS][number].abstained or told[PEER][number].abstained)
    ]
    for part, what in enumerate(("first words", "whole")):
        ours, peer = (statistics.median(spent[name][number][part] for number in both) for name in (OURS, PEER))
        bar = 0.4 * peer * 1000 if part else None
        report.add(f"an answer, {what}", ours * 1000, bar, at_most=True, form="ms", peer=peer * 1000, of=len(both))

    def right(name: str) -> float | None:
        return share(
            holds_facts(answer.text, item.facts)
            for item, answer in zip(asked, told[name], strict=True)
            if item.facts
        )

    def declined(name: str) -> float | None:
        return share(answer.abstained == item.unanswerable for item, answer in zip(asked, told[name], strict=True))

    report.add("answers with their facts", right(OURS), peer=right(PEER), of=sum(bool(item.facts) for item in asked))
    report.add("declined where they should, and only there", declined(OURS), peer=declined(PEER), of=done)
    same = [one.abstained == other.abstained for one, other in zip(told[OURS], told[PEER], strict=True)]
    report.add("declined alike", share(same), of=done)
    report.add("log-odds that nothing tells: apart from the peer's, median", statistics.median(gaps), form="score")
    report.add("  the furthest", max(gaps), form="score", of=len(gaps))
    for number, item in enumerate(asked):
        report.details.append({
            "question": item.question, **{name: told[name][number].text for name in told},
            "seconds": {name: spent[name][number] for name in spent},
        })  # fmt: skip


def prompts_of(report: Report, sides: Sides, questions: Sequence[Question], count: int) -> list[Sequence[Message]]:
    """Return prompts as they are served in the voice, for questions and then for other wordings of them."""
    asked = [item.question for item in questions] + [other for item in questions for other in item.paraphrases]
    planner = sides.bots[OURS].chain.planner

    def lay_out(some: list[str]) -> list[Sequence[Message]]:
        routes = planner.retold(planner.plan_many([(question, ()) for question in some]))
        return [route.messages for route in routes if not route.declines]

    return report.work("Prompts", lay_out, asked)[:count]


def measure_agreement(report: Report, sides: Sides, prompts: Sequence[Sequence[Message]]) -> None:
    """Add whether the words are the reference's, the voice on and off and on again."""
    ours, peer = sides.engine(OURS), sides.engine(PEER)
    tokenizer = peer.tokenizer
    stops, decoding = stop_token_ids(tokenizer), Decoding(max_new_tokens=FIRST_TOKENS)

    def replies(some: list[Sequence[Message]]) -> list[list[str]]:
        """Let each be answered with the voice on, off, and on again, one reply at a time."""
        return [
            [ours.generate([messages], adapter=voice, decoding=decoding)[0] for voice in (True, False, True)]
            for messages in some
        ]

    on, off, again = zip(*report.work("On, off, on", replies, prompts, 1), strict=True)
    ids = [peer.encoded(render_prompt(tokenizer, messages)) for messages in prompts]
    own = greedy_tokens(peer.model, ids, stops, on_progress=shown)
    base, adapter = sides.bots[PEER].config.base, BotFolder(sides.folder).adapter

    def weights() -> Any:
        return load_base(base.model, revision=base.revision, device="cpu", dtype="float32").model

    def tokens_of(text: str) -> list[int]:
        found: list[int] = peer.encoded(text)
        return found if len(found) >= FIRST_TOKENS else [*found, stops[-1]]

    voice = sides.bots[PEER].config.voice
    assert voice is not None
    rounded = merged_into(weights(), adapter, voice.method)
    round_weights(rounded, QUANTIZATION)
    said = [tokens_of(text) for text in on]
    # What the peer itself comes to beside the same weights in 32 bits tells how much of it is rounding.
    for what, model, peers in (
        ("as the bot's weights do", attach_adapter(weights(), adapter), own),
        (f"as the same weights in {QUANTIZATION} do", rounded, None),
    ):
        agreement = judge(model, ids, said, peers, engine=OURS, on_progress=shown)
        report.add(f"prompts answered {what}, first {FIRST_TOKENS} tokens", agreement.share, 0.9, of=len(ids),
                   peer=judge(model, ids, own, engine=PEER, on_progress=shown).share if peers else None)  # fmt: skip
        report.note(f"{what}: {agreement.exact} to the token, {agreement.tied} up to ties; {agreement.token_share:.1%} "
                    "of the tokens")  # fmt: skip
    report.add("on, off, on: the same words again", share(map(str.__eq__, on, again)), 1.0, of=len(ids))
    report.add("  other words with the voice off", share(map(str.__ne__, on, off)), of=len(ids))


def run(
    report: Report,
    folder: Path,
    questions: Path,
    *,
    only: Sequence[str],
    count: int,
    repeats: int,
    requests: int,
    root: Path,
) -> None:
    """Measure what is asked for.

    Args:
        report: What is found.
        folder: The bot folder.
        questions: What it is asked.
        only: Some of ``PARTS``.
        count: Questions that are asked, and prompts that are compared.
        repeats: How often a thing is timed.
        requests: Of several people at once.
        root: Where the child processes run.
    """
    found = read_questions(questions)
    asked = found[:: max(1, len(found) // count)][:count]
    if "memory" in only:
        measure_memory(report, folder, [item.question for item in asked[:5]], root)
    sides = open_sides(folder)
    for name in (OURS, PEER):
        sides.bots[name].ask(asked[0].question)  # what is made ready once is not timed
    if "speed" in only:
        measure_speed(report, sides, repeats)
    if "busy" in only:
        measure_busy(report, sides, repeats)
    if "answers" in only:
        measure_answers(report, sides, asked)
    if "agreement" in only or "people" in only:
        prompts = prompts_of(report, sides, asked, count)
        if "agreement" in only:
            measure_agreement(report, sides, prompts)
        if "people" in only:
            measure_people(report, sides, prompts, requests)
