"""A closed network that takes notes: every attempt to leave this machine, made anywhere in a child process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from toolkit.offline import _SWITCHES

ROOT = Path(__file__).resolve().parents[1]
# Besides our own switches: what would hide an attempt. TRL sends nothing where CI is set.
_HIDING = (*_SWITCHES, "DISABLE_TELEMETRY", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CI")
# Python imports this at its start, in the children of the child as well.
_CLOSED = """
import atexit, os, socket, sys, time

def note(what):
    with open(os.environ["NOTED_CALLS"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError(f"the network is closed: {what}")

def at_home(host):
    host = host.decode() if isinstance(host, bytes) else host
    return host in (None, "", "localhost", "::1", "0.0.0.0", "::") or str(host).startswith("127.")

def closed(real):
    def connect(self, address):
        if isinstance(address, tuple) and not at_home(address[0]):
            note(address[0])
        return real(self, address)
    return connect

look_up = socket.getaddrinfo
socket.socket.connect = closed(socket.socket.connect)
socket.socket.connect_ex = closed(socket.socket.connect_ex)
socket.getaddrinfo = lambda host, *more, **named: look_up(host, *more, **named) if at_home(host) else note(host)

@atexit.register
def wait():
    # huggingface_hub sends from a thread that does not keep the process alive.
    telemetry = sys.modules.get("huggingface_hub.utils._telemetry")
    until = time.monotonic() + 10
    while telemetry is not None and telemetry._TELEMETRY_QUEUE.unfinished_tasks and time.monotonic() < until:
        time.sleep(0.02)
"""
# Stands for the package that fetches code from the hub; bitsandbytes asks it on processors with AVX512-BF16.
_KERNELS = """
import sitecustomize

def get_kernel(name, **options):
    sitecustomize.note(f"kernel {name}")
"""


@dataclass(frozen=True)
class Watched:
    """What a child did.

    Attributes:
        calls: Whom it tried to reach.
        code: How it ended.
        out: What it wrote.
        err: What it wrote to the error output.
    """

    calls: list[str]
    code: int
    out: str
    err: str


def watch(script: str, folder: Path, *arguments: str, timeout: float = 300, **environment: str) -> Watched:
    """Run a Python script in a child with a closed network, and nothing set that would keep it from calling.

    Args:
        script: What to run.
        folder: An empty folder.
        *arguments: What it finds in ``sys.argv``.
        timeout: Seconds after which it is ended.
        **environment: What it finds in its environment.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_CLOSED)
    (folder / "kernels.py").write_text(_KERNELS)
    noted = folder / "calls.txt"
    kept = {name: value for name, value in os.environ.items() if name not in _HIDING}
    kept |= {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "NOTED_CALLS": str(noted)} | environment
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=kept,
        cwd=ROOT,
        check=False,
    )
    calls = noted.read_text().splitlines() if noted.exists() else []
    return Watched(calls, done.returncode, done.stdout, done.stderr)
