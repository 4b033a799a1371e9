"""A tune killed at random moments, and while it saves: started again it ends in the very bytes of one left alone.

The long form: ``python tests/faults/test_tune_kill.py --times 30 --saving 10``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipelines.cli.exits import be_quiet  # noqa: E402
from toolkit.offline import load_bitsandbytes  # noqa: E402

be_quiet()  # before any library is imported
load_bitsandbytes()


# What a tune imports when it starts: the children find it there.
import datasets  # noqa: E402, F401
import peft  # noqa: E402, F401
import torch.utils.data  # noqa: E402, F401
import trl.trainer.sft_trainer  # noqa: E402, F401

from tests.toolkit.tuning.test_stopping import ALIKE, MEASURED, WEIGHTS  # noqa: E402
from tests.toolkit.tuning.test_training import ROWS, load  # noqa: E402
from toolkit.testing import tiny_model  # noqa: E402
from toolkit.tuning import train_adapter  # noqa: E402
from toolkit.tuning.checkpoints import UNFINISHED, is_complete, last_complete_checkpoint  # noqa: E402
from toolkit.tuning.record import sha256_of  # noqa: E402

# With dropout the random state counts, and with held-out rows the best checkpoint does.
SETTINGS = MEASURED.model_copy(update={"lora_dropout": 0.2, "learning_rate": 0.002})


def tune(base: Path, place: Path) -> None:
    """Run one tune to its end; each step is written down when it was made."""

    def tell(what: str, done: int, total: int) -> None:
        with (place / "steps").open("a", encoding="utf-8") as file:
            file.write(f"{done}\n")

    train_adapter(
        ROWS, load(base), SETTINGS, place / "adapter", work=place / "work", held=ALIKE, on_progress=tell
    )


def in_a_child(work: Callable[[], None]) -> int:
    """Start work in a child of this process, which has imported what it needs; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


@dataclass
class Killed:
    """How a child ended that was to be killed.

    Attributes:
        killed: Whether the signal found it alive.
        torn: Whether it left an unfinished checkpoint.
        saved: Whether a whole checkpoint was there.
    """

    killed: bool
    torn: bool
    saved: bool


def kill_one(base: Path, place: Path, after: float, *, saving: bool) -> Killed:
    """Start a tune and kill it.

    Args:
        base: The base.
        place: The folder of the tune.
        after: Seconds to wait: from the first step, or for a kill while it saves from the moment a save begins.
        saving: Whether to wait for a save.
    """
    child = in_a_child(lambda: tune(base, place))
    fresh = place / "work" / UNFINISHED
    sign = (lambda: any(fresh.glob("checkpoint-*/*"))) if saving else (place / "steps").exists
    while not sign() and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.0002)
    time.sleep(after)
    killed = False
    with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it had come to its end
        os.kill(child, signal.SIGKILL)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    saved = last_complete_checkpoint(place / "work") is not None
    return Killed(killed, any(fresh.glob("checkpoint-*")), saved)


def finish(base: Path, place: Path) -> list[int]:
    """Start a killed tune again, let it come to its end, and return the steps that it made."""
    (place / "steps").unlink(missing_ok=True)
    child = in_a_child(lambda: tune(base, place))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    steps = place / "steps"
    return [int(line) for line in steps.read_text(encoding="utf-8").split()] if steps.exists() else []


def check(base: Path, place: Path, wanted: str) -> list[str]:
    """Resume a killed tune and return everything that is wrong with it."""
    found = sorted((place / "work").glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    faults = [f"{folder.name} has its name and is not whole" for folder in found if not is_complete(folder)]
    newest = int(found[-1].name.split("-")[1]) if found else 0
    steps = finish(base, place)
    if steps and steps[0] != newest + 1:
        faults.append(f"went on with step {steps[0]}, and the newest checkpoint was of step {newest}")
    if sha256_of(place / "adapter" / WEIGHTS) != wanted:
        faults.append("the adapter is another one than that of a tune left alone")
    if (place / "work").exists():
        faults.append("the checkpoints were not cleared away")
    return faults


def kill_many(times: int, saving: int, seed: int = 0) -> tuple[list[str], dict[str, int]]:
    """Kill tunes and resume each.

    Args:
        times: How many kills.
        saving: How many of them while a checkpoint is being written.
        seed: Draws the moments.

    Returns:
        All faults, and counts of what was seen.
    """
    chance = random.Random(seed)
    counts = {"killed": 0, "while saving": 0, "resumed from a checkpoint": 0, "resumed from the start": 0}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        base = tiny_model(Path(root) / "base")
        alone = Path(root) / "alone"
        alone.mkdir()
        started = time.perf_counter()
        finish(base, alone)
        long = time.perf_counter() - started
        wanted = sha256_of(alone / "adapter" / WEIGHTS)
        while counts["killed"] < times:
            place = Path(root) / "tune"
            place.mkdir()
            in_save = counts["while saving"] < saving
            ended = kill_one(base, place, chance.uniform(0, 0.03 if in_save else 0.8 * long), saving=in_save)
            # A kill that came too late, or between two saves, is another moment than was asked for: drawn again.
            if ended.killed and (ended.torn or not in_save):
                counts["killed"] += 1
                counts["while saving"] += ended.torn
                counts["resumed from a checkpoint" if ended.saved else "resumed from the start"] += 1
                faults += [f"kill {counts['killed']}: {fault}" for fault in check(base, place, wanted)]
            shutil.rmtree(place)
    return faults, counts


@pytest.mark.faults
def test_killed_tunes_end_in_the_same_bytes() -> None:
    # In a process of its own, which has made no threads that its children would miss.
    command = [sys.executable, __file__, "--times", "4", "--saving", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no fault" in done.stdout
    found = re.search(r"4 killed, (\d) while saving", done.stdout)
    assert found, done.stdout
    assert int(found.group(1)) >= 2  # a kill at a random moment may hit a save as well


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--saving", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults, counts = kill_many(options.times, options.saving, options.seed)
    print("\n".join(faults) or "no fault", ", ".join(f"{count} {what}" for what, count in counts.items()), sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
