"""One job at a time on the model, in fair turns, each to be stopped.

A bot has one model and a machine its cores: two answers at once would each take twice as long. So jobs wait, and the
clients take turns: who asks many questions at once has one answered, then everyone else has.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

# A thing to do: given the event that stops it, it yields what comes of it.
Work = Callable[[threading.Event], Iterator[Any]]

_REMEMBERED = 16  # jobs from which is told how long one takes
_GUESS = 2.0  # seconds that a job takes, before there was one
_LET_GO = 10.0  # seconds for the job that is being done when the server ends


class Busy(Exception):
    """No more jobs may wait.

    Attributes:
        seconds: When a place is likely to be free.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"a place is likely to be free in {seconds} s")
        self.seconds = seconds


class Closed(Exception):
    """The server ends."""


class _End:
    """The last event of a job.

    Args:
        error: Why it failed, if it did.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


class Job:
    """Work that somebody waits for, in an event loop.

    Args:
        client: Whose it is.
        work: What is to be done.

    Attributes:
        cancel: Stops it when set.
        waited: Seconds before its turn came; None until then.
    """

    def __init__(self, client: str, work: Work) -> None:
        self.client = client
        self.work = work
        self.cancel = threading.Event()
        self.waited: float | None = None
        self.asked = time.perf_counter()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, event: Any) -> None:
        """Hand an event over, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def results(self, every: float | None = None) -> AsyncIterator[Any]:
        """Yield what the work yields, until it is done or was cancelled.

        Args:
            every: Seconds without a result after which None is yielded instead; nothing waits for ever.

        Raises:
            Exception: What the work raised.
        """
        while True:
            try:
                async with asyncio.timeout(every):
                    event = await self._events.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(event, _End):
                if event.error is not None:
                    raise event.error
                return
            yield event


class JobQueue:
    """Does jobs one at a time, in a thread of its own.

    Args:
        most_waiting: Jobs that may wait, besides the one that is being done.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most = most_waiting
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()  # the next in turn first
        self._doing: Job | None = None
        self._closed = False
        self._taken: deque[float] = deque(maxlen=_REMEMBERED)
        self._thread = threading.Thread(target=self._run, name="housevoice-serve", daemon=True)
        self._thread.start()

    def enter(self, client: str, work: Work) -> Job:
        """Let work wait for its turn; to be called in an event loop.

        Args:
            client: Who takes turns with the other clients.
            work: What is to be done.

        Raises:
            Busy: Too many wait already.
            Closed: The server ends.
        """
        job = Job(client, work)
        with self._changed:
            if self._closed:
                raise Closed
            if self._count() + (self._doing is not None) > self._most:
                raise Busy(self._seconds())
            self._waiting.setdefault(client, deque()).append(job)
            self._changed.notify()
        return job

    def leave(self, job: Job) -> None:
        """Stop a job that nobody waits for any more; one that is done stays as it is."""
        job.cancel.set()
        with self._changed:
            own = self._waiting.get(job.client, deque())
            if job not in own:
                return
            own.remove(job)
            if not own:
                del self._waiting[job.client]
        job.put(_End())

    def place(self, job: Job) -> int:
        """Return how many jobs come before this one: 0 for one that is being done."""
        with self._changed:
            own = self._waiting.get(job.client, deque())
            if job not in own:
                return 0
            rounds, before = own.index(job), int(self._doing is not None)
            clients = list(self._waiting)
            turn = clients.index(job.client)
            for number, client in enumerate(clients):
                if client != job.client:
                    before += min(len(self._waiting[client]), rounds + (number < turn))
            return before + rounds

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        with self._changed:
            return self._count()

    @property
    def doing(self) -> bool:
        """Whether a job is being done."""
        with self._changed:
            return self._doing is not None

    def close(self) -> None:
        """Stop every job and take no more."""
        with self._changed:
            self._closed = True
            jobs = [job for own in self._waiting.values() for job in own]
            self._waiting.clear()
            jobs += [self._doing] if self._doing else []
            self._changed.notify()
        for job in jobs:
            job.cancel.set()
            job.put(_End(Closed()))

    def join(self) -> None:
        """Wait until the model is let go of, after :meth:`close`."""
        self._thread.join(_LET_GO)

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _seconds(self) -> int:
        """Return in how many seconds a place is likely to be free: what a job takes."""
        return math.ceil(sum(self._taken) / len(self._taken) if self._taken else _GUESS) or 1

    def _run(self) -> None:
        while (job := self._next()) is not None:
            started = time.perf_counter()
            job.waited = started - job.asked
            error = self._do(job)
            with self._changed:
                self._taken.append(time.perf_counter() - started)
            job.put(_End(error))

    def _next(self) -> Job | None:
        """Wait for the next job; None where there will be none."""
        with self._changed:
            self._doing = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            client, own = self._waiting.popitem(last=False)
            self._doing = own.popleft()
            if own:
                self._waiting[client] = own  # behind everyone else
            return self._doing

    @staticmethod
    def _do(job: Job) -> Exception | None:
        """Do a job until it is done or cancelled, and return what went wrong."""
        try:
            results = job.work(job.cancel)
            try:
                for result in results:
                    if job.cancel.is_set():
                        break
                    job.put(result)
            finally:
                getattr(results, "close", lambda: None)()
        except Exception as error:  # noqa: BLE001 - raised where the job is waited for
            return error
        except BaseException as error:  # noqa: BLE001 - such as a panic of tokenizers; the next job is done all the same
            failure = RuntimeError(f"The work ended with {error!r}.")
            failure.__cause__ = error
            return failure
        return None
