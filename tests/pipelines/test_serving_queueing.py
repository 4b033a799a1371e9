"""Many clients at once: fair turns, a longest queue, work that is stopped, and nobody's words in another's answer."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from pipelines.serving.queueing import Busy, Closed, Job, JobQueue, Work
from tests.chains import QUESTION
from tests.conftest import ROOT
from tests.serving import SECONDS, SlowModel, make_bot, served
from toolkit.prompts import Message

SAID: Any = [{"role": "user", "content": QUESTION}]


def echo(messages: list[Message]) -> str:
    """Reply with what was said, and a long tail."""
    return messages[-1]["content"] + " so it is" * 20


class Gate:
    """Work that is held back, and notes in what order it was done."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.began = threading.Event()
        self.done: list[str] = []

    def work(self, name: str) -> Work:
        def work(cancel: threading.Event) -> Iterator[str]:
            self.began.set()
            assert self.opened.wait(SECONDS)
            self.done.append(name)
            yield name

        return work


async def everything(job: Job) -> list[Any]:
    return [result async for result in job.results()]


def test_clients_take_turns() -> None:
    async def run() -> list[str]:
        jobs, gate = JobQueue(16), Gate()
        entered = [jobs.enter("ann", gate.work("a1"))]
        await asyncio.to_thread(gate.began.wait, SECONDS)
        for name in ("a2", "a3", "a4", "b1", "b2", "c1"):
            entered.append(jobs.enter(name[0].replace("a", "ann"), gate.work(name)))
        assert [jobs.place(job) for job in entered] == [0, 1, 4, 6, 2, 5, 3]
        assert (jobs.waiting, jobs.doing) == (6, True)
        gate.opened.set()
        results = [await everything(job) for job in entered]
        assert results == [["a1"], ["a2"], ["a3"], ["a4"], ["b1"], ["b2"], ["c1"]]
        jobs.close()
        return gate.done

    assert asyncio.run(run()) == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


def test_no_more_than_so_many_wait_and_who_leaves_makes_room() -> None:
    async def run() -> None:
        jobs, gate = JobQueue(2), Gate()
        first = jobs.enter("a", gate.work("1"))
        await asyncio.to_thread(gate.began.wait, SECONDS)
        second, _ = jobs.enter("a", gate.work("2")), jobs.enter("b", gate.work("3"))
        with pytest.raises(Busy) as caught:
            jobs.enter("c", gate.work("4"))
        assert caught.value.seconds >= 1
        jobs.leave(second)
        assert await everything(second) == []
        last = jobs.enter("c", gate.work("4"))
        gate.opened.set()
        assert await everything(first) == ["1"]
        assert await everything(last) == ["4"]
        assert gate.done == ["1", "3", "4"]
        jobs.close()

    asyncio.run(run())


def test_closing_ends_every_job_and_takes_no_more() -> None:
    async def run() -> None:
        jobs, gate = JobQueue(2), Gate()
        entered = [jobs.enter("a", gate.work("1")), jobs.enter("a", gate.work("2"))]
        await asyncio.to_thread(gate.began.wait, SECONDS)
        jobs.close()
        for job in entered:
            with pytest.raises(Closed):
                await everything(job)
        with pytest.raises(Closed):
            jobs.enter("a", gate.work("3"))
        gate.opened.set()
        await asyncio.to_thread(jobs.join)
        assert "2" not in gate.done

    asyncio.run(run())


@pytest.mark.parametrize(("raised", "caught"), [(KeyError("two"), KeyError), (SystemExit("two"), RuntimeError)])
def test_what_work_raises_is_raised_where_it_is_waited_for_and_the_next_is_done(
    raised: BaseException, caught: type[Exception]
) -> None:
    def broken(cancel: threading.Event) -> Iterator[str]:
        yield "one"
        raise raised

    async def run() -> None:
        jobs, gate = JobQueue(2), Gate()
        gate.opened.set()
        found = []
        with pytest.raises(caught, match="two"):
            async for result in jobs.enter("a", broken).results():
                found.append(result)
        assert found == ["one"]
        assert await everything(jobs.enter("a", gate.work("next"))) == ["next"]
        jobs.close()

    asyncio.run(run())


def test_a_wait_says_that_it_lasts() -> None:
    async def run() -> None:
        jobs, gate = JobQueue(2), Gate()
        results = jobs.enter("a", gate.work("1")).results(every=0.01)
        assert await anext(results) is None
        assert await anext(results) is None
        gate.opened.set()
        while (found := await anext(results)) is None:
            pass
        assert found == "1"
        jobs.close()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["stream", "whole"])
def test_a_client_that_goes_away_stops_the_model(how: str) -> None:
    model = SlowModel(replies=echo, pause=0.01)
    with served(make_bot([], model=model)[0]) as running:
        client = running.client()
        if how == "stream":
            stream = client.chat.completions.create(model="house", messages=SAID, stream=True)
            assert [chunk.choices[0].delta.content for chunk, _ in zip(stream, range(3), strict=False)][1:]
            stream.close()
        else:
            with pytest.raises(openai.APITimeoutError):
                client.with_options(timeout=0.2).chat.completions.create(model="house", messages=SAID)
        running.wait_until_free()
        assert len(model.words) < 50  # of seventy
        after = client.chat.completions.create(model="house", messages=SAID)
        assert after.choices[0].message.content == echo(SAID).strip()
        until = time.monotonic() + SECONDS
        while running.metric('requests_total{outcome="cancelled"}') < 1:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_too_many_are_told_when_to_come_back() -> None:
    with served(make_bot([], model=SlowModel(replies=echo, pause=0.005))[0], most_waiting=1) as running:
        client = running.client()
        streams = []
        for place in (0, 1):
            streams.append(client.chat.completions.create(model="house", messages=SAID, stream=True))
            next(streams[-1])
            assert (running.jobs.doing, running.jobs.waiting) == (True, place)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="house", messages=SAID)
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert caught.value.code == "rate_limit_exceeded"
        for stream in streams:
            stream.close()
        running.wait_until_free()
        assert client.chat.completions.create(model="house", messages=SAID).choices


def test_who_waits_is_told_how_many_come_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.serving.app._KEEP_ALIVE", 0.02)
    with served(make_bot([], model=SlowModel(replies=echo, pause=0.005))[0]) as running:
        first = running.client().chat.completions.create(model="house", messages=SAID, stream=True)
        next(first)
        body = {"model": "house", "messages": SAID, "stream": True}
        told = running.post("/v1/chat/completions", json=body).text
        first.close()
    comments = re.findall(r"^: answers before this one: (\d)$", told, re.MULTILINE)
    assert comments[0] == "1"
    assert len(comments) > 2
    assert comments == sorted(comments, reverse=True)
    assert told.endswith("data: [DONE]\n\n")


def test_fifty_requests_of_which_some_are_cancelled_all_get_their_own_answer() -> None:
    def ask(number: int) -> str:
        client = running.client(max_retries=10)
        said: Any = [{"role": "user", "content": f"This is number {number}."}]
        if number % 3 == 0:
            stream = client.chat.completions.create(model="house", messages=said, stream=True, user=str(number % 5))
            for _ in range(random.Random(number).randrange(1, 6)):
                next(stream)
            stream.close()
            return "cancelled"
        if number % 3 == 1:
            chunks = client.chat.completions.create(model="house", messages=said, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        return client.chat.completions.create(model="house", messages=said).choices[0].message.content or ""

    with served(make_bot([], model=SlowModel(replies=echo, pause=0.0002))[0]) as running:
        with ThreadPoolExecutor(16) as pool:
            told = list(pool.map(ask, range(50)))
        running.wait_until_free()
    for number, reply in enumerate(told):
        assert set(re.findall(r"number (\d+)", reply)) == ({str(number)} if number % 3 else set())


CTRL_C = """
    import sys
    from pipelines.serving.listening import listen
    from pipelines.serving.serve import serve
    from tests.serving import SlowModel, make_bot

    bot, _ = make_bot([], model=SlowModel(replies=["so it is " * 10_000], pause=0.01))
    with listen("127.0.0.1", 0) as listener:
        serve(bot, listener, say=lambda text: print(text, flush=True))
"""


def test_ctrl_c_ends_the_server_and_what_it_is_saying() -> None:
    command = [sys.executable, "-c", textwrap.dedent(CTRL_C)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        base = told.split()[3]
        assert told == f"house is at {base} (no key needed; Ctrl-C ends it)\n"
        with openai.OpenAI(base_url=base, api_key="none", max_retries=0) as client:
            stream = client.chat.completions.create(model="house", messages=SAID, stream=True)
            for _ in range(3):
                next(stream)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            with pytest.raises(openai.APIError, match="The server is ending"):
                list(stream)
        out, err = process.communicate(timeout=SECONDS)
    assert time.monotonic() - began < 5
    assert (process.returncode, out, err) == (0, "Closed.\n", "")
