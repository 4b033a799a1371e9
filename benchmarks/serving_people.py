"""What a bot's engines take from a machine: several people at once, cores that have other work, memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.answering.figures import Report
from benchmarks.serving_sides import OURS, PEER, Sides, Timed, begun_with, shown, timed
from toolkit.answering.checking import sentences_of_reply
from toolkit.engines import Decoding
from toolkit.prompts import Message

PEOPLE = 8
_BUSY_CONTEXT = 300  # tokens of a prompt
# Prints what the process of a chat takes once it has answered, as Linux tells it; the questions come as JSON.
_CHAT = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
from benchmarks.serving_sides import open_bot
from toolkit.bot import BotFolder, read_config
from toolkit.bot.chatbot import open_knowledge, open_reader
folder = Path(sys.argv[1])
config = read_config(BotFolder(folder))
bot = open_bot(folder, sys.argv[2], open_knowledge(BotFolder(folder), config), open_reader(config))
loaded = time.perf_counter() - began
for question in json.loads(sys.argv[3]):
    bot.ask(question)
lines = Path("/proc/self/status").read_text().splitlines()
kept = {key: int(value.split()[0]) * 1024 for key, value in (line.split(":", 1) for line in lines) if "kB" in value}
print(json.dumps({"loaded": loaded, "resident": kept["VmRSS"], "own": kept["RssAnon"]}))
"""


def measure_people(report: Report, sides: Sides, prompts: Sequence[Sequence[Message]], requests: int) -> None:
    """Add what several people at once are told, and how soon, beside one alone."""
    engine = sides.engine(OURS)
    work = [(prompts[number % len(prompts)], number // len(prompts) % 2 == 0) for number in range(requests)]
    alone = {}
    began = time.perf_counter()
    for number, (messages, voice) in enumerate(work[: 2 * len(prompts)]):
        alone[number] = timed(engine, messages, adapter=voice)
    one = sum(reply.tokens for reply in alone.values()) / (time.perf_counter() - began)
    together: dict[int, Timed] = {}
    left = iter(range(requests))
    turn = threading.Lock()

    def person() -> None:
        while True:
            with turn:
                number = next(left, None)
            if number is None:
                return
            messages, voice = work[number]
            together[number] = timed(engine, messages, adapter=voice)
            if number % 10 == 0:
                shown(f"{PEOPLE} people", number, requests)

    people = [threading.Thread(target=person) for _ in range(PEOPLE)]
    began = time.perf_counter()
    for thread in people:
        thread.start()
    for thread in people:
        thread.join()
    shown(f"{PEOPLE} people", requests, requests)
    all_of_them = sum(reply.tokens for reply in together.values()) / (time.perf_counter() - began)
    report.add(f"tokens/s of {PEOPLE} people, reading of prompts included; peer: one alone", all_of_them, 2 * one,
               form="count", peer=one, of=requests)  # fmt: skip
    single = statistics.median(reply.first for reply in alone.values())
    worst = max(reply.first for reply in together.values())
    report.add(f"worst first token of {PEOPLE} people; peer: one alone, median", worst * 1000, 3000 * single,
               at_most=True, form="ms", peer=single * 1000)  # fmt: skip
    said = {number: set(sentences_of_reply(reply.text)) for number, reply in alone.items()}
    foreign = same = 0
    for number, reply in together.items():
        key = number % (2 * len(prompts))
        own = said[key]
        others = set().union(*(sentences for other, sentences in said.items() if work[other][0] != work[key][0]))
        foreign += any(sentence in others and sentence not in own for sentence in sentences_of_reply(reply.text))
        same += reply.text == alone[key].text
    report.add("requests with another's sentence", foreign, 0, at_most=True, form="count", of=requests)
    report.add("  the same words as alone", same / requests, of=requests)


def measure_busy(report: Report, sides: Sides, repeats: int) -> None:
    """Add how much slower a reply is where every core has other work, as long as that lasts."""
    spin = "while True: pass"
    found: dict[tuple[str, bool], list[float]] = {}
    for number in range(repeats):
        messages = sides.fitting(_BUSY_CONTEXT, 100 + number)
        for busy in (False, True):
            others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count() or 1) if busy]
            try:
                for name in (OURS, PEER):
                    asked = begun_with(busy, messages)
                    reply = timed(sides.engine(name), asked, adapter=True, decoding=Decoding(24))
                    found.setdefault((name, busy), []).append(reply.seconds)
            finally:
                for process in others:
                    process.kill()
                    process.wait()
        shown("Busy cores", number + 1, repeats)
    slower = {
        name: statistics.median(found[name, True]) / statistics.median(found[name, False]) for name in (OURS, PEER)
    }
    report.add("busy cores: times as long", slower[OURS], 3.0, at_most=True, form="score", peer=slower[PEER],
               of=repeats)  # fmt: skip


def measure_memory(report: Report, folder: Path, questions: Sequence[str], root: Path) -> None:
    """Add what the process of a chat takes, on each engine."""
    found = {}
    for name in (OURS, PEER):
        command = [sys.executable, "-c", _CHAT, str(folder.resolve()), name, json.dumps(list(questions))]
        done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    for key, what, bar in (("resident", "MiB resident while chatting", 900), ("own", "  not mapped from files", None)):
        ours, peer = (found[name][key] / 2**20 for name in (OURS, PEER))
        report.add(what, ours, bar, at_most=True, form="count", peer=peer)
    report.add("from nothing to a loaded bot", found[OURS]["loaded"] * 1000, form="ms",
               peer=found[PEER]["loaded"] * 1000)  # fmt: skip
