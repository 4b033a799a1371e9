"""A tune that two processes share: the losses of one alone, and the same bytes where it was stopped on the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.toolkit.tuning.test_stopping import WEIGHTS, interrupt_at  # noqa: E402
from tests.toolkit.tuning.test_training import ROWS, SETTINGS, load  # noqa: E402
from toolkit.errors import Interrupted  # noqa: E402
from toolkit.tuning import train_adapter  # noqa: E402
from toolkit.tuning.checkpoints import last_complete_checkpoint  # noqa: E402
from toolkit.tuning.record import sha256_of  # noqa: E402

BATCH_ROWS = 4


def tune(base: Path, place: Path, processes: int, interrupted: bool = False) -> list[tuple[int, float]]:
    """Tune with batches of as many rows, however many processes share them."""
    settings = SETTINGS.model_copy(
        update={"num_train_epochs": 7, "per_device_train_batch_size": BATCH_ROWS // processes}
    )
    stop = interrupt_at(6, signal.SIGTERM) if interrupted else None
    adapter, work = place / "adapter", place / "work"
    return train_adapter(ROWS, load(base), settings, adapter, work=work, on_progress=stop).losses


def share(base: Path, place: Path) -> None:
    """Be one of two processes: tune, then tune again with a stop that the first one alone is asked for."""
    losses = tune(base, place / "whole", 2)
    try:
        tune(base, place / "stopped", 2, interrupted=True)
    except Interrupted as error:
        said, kept = error.message, str(last_complete_checkpoint(place / "stopped" / "work"))
    held = sorted(file.name for file in Path(kept).glob("rng_state*"))
    tune(base, place / "stopped", 2)
    if os.environ["RANK"] == "0":
        found = {"losses": losses, "said": said, "kept": Path(kept).name, "random": held}
        (place / "found.json").write_text(json.dumps(found), encoding="utf-8")


@pytest.mark.faults
def test_two_processes_tune_as_one_does(tiny_base: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(port), __file__]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, str(tiny_base), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    alone = tune(tiny_base, tmp_path / "alone", 1)
    assert len(alone) == 21
    assert [step for step, _ in alone] == [step for step, _ in found["losses"]]
    for (_, one), (_, two) in zip(alone, found["losses"], strict=True):
        assert two == pytest.approx(one, abs=1e-3)
    assert found["said"] == "The tune was stopped after step 6 of 21."
    assert (found["kept"], found["random"]) == ("checkpoint-6", ["rng_state_0.pth", "rng_state_1.pth"])
    whole, stopped = (sha256_of(tmp_path / name / "adapter" / WEIGHTS) for name in ("whole", "stopped"))
    assert whole == stopped


if __name__ == "__main__":
    share(Path(sys.argv[1]), Path(sys.argv[2]))
