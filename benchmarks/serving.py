"""How a bot serves: many clients at once, and how fast its engines are.

    python benchmarks/serving.py engine BOT [--questions FILE] [--count 100] [--repeats 7] [--requests 200]
                                            [--only memory speed busy answers agreement people]
    python benchmarks/serving.py serve BOT [--questions FILE] [--requests 50] [--at-once 16] [--cancelled 0.3]

``engine`` loads the bot with llama.cpp and with transformers and lets them answer in turns: tokens a second with the
voice on and off, the first token of a first and of a second turn, whole answers and whether they are right, whether the
words are the same, on and off and on again, eight people at once, busy cores, memory.

``serve`` starts ``housevoice serve BOT`` and asks questions of FILE (default: ``data/questions.jsonl``) with the
official ``openai`` client, each under one of the bot's models and either whole or as a stream. First every request is
sent alone, then all of them, so many at once. Of these some are cancelled: one half while they wait or soon after, the
other after the first words. What is told of the others is held against what was told alone. Last, Ctrl-C ends the
server in the midst of an answer. Progress goes to stderr; the figures also go to ``--json FILE``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import serving_engines  # noqa: E402
from benchmarks.answering.figures import Report  # noqa: E402
from toolkit.answering.checking import sentences_of_reply  # noqa: E402
from toolkit.scoring import read_questions  # noqa: E402

_STUCK = 300.0  # seconds after which nobody answers any more
_SOON = 1.0  # seconds within which those leave who do not wait for the first words


@dataclass(frozen=True)
class Request:
    """A question to a model.

    Attributes:
        question: What is asked.
        model: The name that it is asked under.
        stream: Whether the answer is asked for piece by piece.
        leaves: Seconds after which the client goes away; 0 for after the first words, None for not at all.
    """

    question: str
    model: str
    stream: bool
    leaves: float | None


@dataclass(frozen=True)
class Reply:
    """What became of a request.

    Attributes:
        outcome: ``answered``, ``cancelled``, ``stuck``, or the name of an error.
        text: What was told.
        first: Seconds to the first words of a stream.
        seconds: Seconds until it was over.
    """

    outcome: str
    text: str
    first: float | None
    seconds: float


def plan(questions: Sequence[str], models: Sequence[str], count: int, cancelled: float, seed: int) -> list[Request]:
    """Draw the requests: every third under each of three models, every other one as a stream."""
    drawn = random.Random(seed)
    leaving = drawn.sample(range(count), round(count * cancelled))
    leaves = {number: drawn.uniform(0, _SOON) if place % 2 else 0.0 for place, number in enumerate(leaving)}
    return [
        Request(
            questions[number % len(questions)],
            models[number % len(models)],
            bool(number // len(models) % 2) or leaves.get(number) == 0.0,
            leaves.get(number),
        )
        for number in range(count)
    ]


async def ask(client: openai.AsyncOpenAI, request: Request, *, stays: bool = False) -> Reply:
    """Send a request; one that ``stays`` does not leave before its answer."""
    began = time.perf_counter()
    leaves = None if stays else request.leaves
    said: list[str] = []
    first: float | None = None

    async def read() -> str:
        nonlocal first
        messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": request.question}]
        if not request.stream:
            reply = await client.chat.completions.create(model=request.model, messages=messages)
            said.append(reply.choices[0].message.content or "")
            return "answered"
        async with await client.chat.completions.create(model=request.model, messages=messages, stream=True) as stream:
            async for chunk in stream:
                for piece in [choice.delta.content for choice in chunk.choices if choice.delta.content]:
                    first = first if first is not None else time.perf_counter() - began
                    said.append(piece)
                    if leaves == 0.0:
                        return "cancelled"
        return "answered"

    try:
        outcome = await asyncio.wait_for(read(), leaves or _STUCK)
    except TimeoutError:
        outcome = "cancelled" if leaves else "stuck"
    except openai.APIError as error:
        outcome = type(error).__name__
    return Reply(outcome, "".join(said), first, time.perf_counter() - began)


async def ask_all(
    url: str, requests: Sequence[Request], at_once: int, *, stays: bool = False, label: str = "Asking"
) -> list[Reply]:
    """Send requests, so many at once, and return what became of them in their order."""
    room, done = asyncio.Semaphore(at_once), 0
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:

        async def one(request: Request) -> Reply:
            nonlocal done
            async with room:
                reply = await ask(client, request, stays=stays)
            done += 1
            print(f"\r{label}: {done} of {len(requests)} ", end="", file=sys.stderr, flush=True)
            return reply

        replies = await asyncio.gather(*(one(request) for request in requests))
    print(file=sys.stderr)
    return list(replies)


def strangers(text: str, own: str, others: Sequence[str]) -> list[str]:
    """Return the sentences of a text that one of the others has, and its own does not: another's words."""
    known = Counter(sentence for other in others for sentence in set(sentences_of_reply(other)))
    return [item for item in sentences_of_reply(text) if known[item] and item not in sentences_of_reply(own)]


async def seconds_until_free(url: str) -> float:
    """Wait until nothing waits and nothing is done, and return how long that took."""
    began = time.perf_counter()
    async with httpx.AsyncClient() as client:
        while time.perf_counter() - began < _STUCK:
            told = (await client.get(f"{url}/metrics")).text
            if "housevoice_jobs_running 0\n" in told and "housevoice_jobs_waiting 0\n" in told:
                break
            await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def measure(report: Report, url: str, requests: Sequence[Request], at_once: int) -> None:
    """Send the requests alone and together, and add what came of it."""
    alone = await ask_all(url, requests, 1, stays=True, label="Alone")
    began = time.perf_counter()
    together = await ask_all(url, requests, at_once, label=f"{at_once} at once")
    spent = time.perf_counter() - began
    free = await seconds_until_free(url)
    kept = [number for number, request in enumerate(requests) if request.leaves is None]
    left = [number for number, request in enumerate(requests) if request.leaves is not None]
    texts = [reply.text for reply in alone]
    foreign = {number: strangers(together[number].text, texts[number], texts) for number in range(len(requests))}

    def median(values: Sequence[float | None]) -> float | None:
        found = [value * 1000 for value in values if value is not None]
        return statistics.median(found) if found else None

    report.add("answered, of those whose client stayed", _share(together, kept, "answered"), 1.0, of=len(kept))
    same = [together[number].text == texts[number] for number in kept]
    report.add("the same words as alone", sum(same) / len(same), 1.0, of=len(kept))
    report.add("with another's words", sum(map(bool, foreign.values())), 0, at_most=True, form="count", of=len(foreign))
    report.add("stuck", _count(together, "stuck"), 0, at_most=True, form="count", of=len(requests))
    report.add("cancelled, of those whose client left", _share(together, left, "cancelled"), of=len(left))
    report.add("model free after the last reply", free * 1000, 1000, at_most=True, form="ms")
    for name, chosen in (("seconds to the whole answer", "seconds"), ("seconds to the first words", "first")):
        ours = [getattr(together[number], chosen) for number in kept]
        report.add(f"{name}, median; peer: alone", median(ours), form="ms", of=len(kept),
                   peer=median([getattr(alone[number], chosen) for number in kept]))  # fmt: skip
    worst = max(together[number].seconds for number in kept)
    report.add("seconds to the whole answer, worst", worst * 1000, form="ms", of=len(kept))
    report.add("all requests", spent * 1000, form="ms", of=len(requests))
    report.note(f"outcomes: {dict(Counter(reply.outcome for reply in together))}")
    for request, before, reply, others in zip(requests, alone, together, foreign.values(), strict=True):
        report.details.append({
            "question": request.question, "model": request.model, "stream": request.stream, "leaves": request.leaves,
            "alone": before.text, "together": reply.text, "outcome": reply.outcome, "seconds": reply.seconds,
            "another's": others,
        })  # fmt: skip


async def end(url: str, request: Request, interrupt: Callable[[], None], wait: Callable[[], Awaitable[int]]) -> float:
    """Interrupt the server in the midst of an answer, and return how many seconds it takes to end.

    Raises:
        RuntimeError: It ended badly.
    """
    asked = asyncio.create_task(ask_all(url, [request], 1, stays=True, label="Ctrl-C"))
    await asyncio.sleep(_SOON / 2)
    began = time.perf_counter()
    interrupt()
    code = await asyncio.wait_for(wait(), _STUCK)
    spent = time.perf_counter() - began
    await asked
    if code:
        raise RuntimeError(f"housevoice serve ended with {code}")
    return spent


@contextmanager
def server(bot: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run ``housevoice serve`` until it can be asked; it is killed where it did not end before."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "demo", "serve", str(bot), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + _STUCK
        while process.poll() is None and time.monotonic() < until:
            try:
                httpx.get(f"{url}/health", timeout=_STUCK).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def measure_server(report: Report, options: argparse.Namespace) -> None:
    """Add what a server tells many clients at once, and how it ends."""
    questions = [item.question for item in read_questions(options.questions)]
    with server(options.bot.resolve()) as (url, process):
        models = [model.id for model in openai.OpenAI(base_url=f"{url}/v1", api_key="none").models.list()]
        requests = plan(questions, models, options.requests, options.cancelled, options.seed)
        asyncio.run(measure(report, url, requests, options.at_once))

        async def wait() -> int:
            return await asyncio.to_thread(process.wait)

        spent = asyncio.run(end(url, requests[0], lambda: process.send_signal(signal.SIGINT), wait))
        report.add("from Ctrl-C to the end", spent * 1000, 5000, at_most=True, form="ms")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    engine = commands.add_parser("engine", help="llama.cpp beside transformers, in turns")
    engine.add_argument("--only", nargs="+", choices=serving_engines.PARTS, default=serving_engines.PARTS)
    engine.add_argument("--count", type=int, default=100)
    engine.add_argument("--repeats", type=int, default=7)
    engine.add_argument("--requests", type=int, default=200)
    serve = commands.add_parser("serve", help="many clients at once, some of whom go away")
    for command in (engine, serve):
        command.add_argument("bot", type=Path)
        command.add_argument("--questions", type=Path, default=ROOT / "data" / "questions.jsonl")
        command.add_argument("--json", type=Path)
    serve.add_argument("--requests", type=int, default=50)
    serve.add_argument("--at-once", type=int, default=16)
    serve.add_argument("--cancelled", type=float, default=0.3)
    serve.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    report = Report(options.command)
    if options.command == "engine":
        serving_engines.run(
            report, options.bot, options.questions,
            only=options.only, count=options.count, repeats=options.repeats, requests=options.requests, root=ROOT,
        )  # fmt: skip
    else:
        measure_server(report, options)
    print(report.table(), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _count(replies: Sequence[Reply], outcome: str) -> int:
    return sum(reply.outcome == outcome for reply in replies)


def _share(replies: Sequence[Reply], numbers: Sequence[int], outcome: str) -> float | None:
    return _count([replies[number] for number in numbers], outcome) / len(numbers) if numbers else None


if __name__ == "__main__":
    sys.exit(main())
