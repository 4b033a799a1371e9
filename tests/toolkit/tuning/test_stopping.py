"""Runs that end before their time: resumed bit for bit, stopped on request, on NaN, and where nothing gets better."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.tuning.test_training import ROWS, SETTINGS, Pulled, gradients, load, stop_after
from toolkit.answering import Route
from toolkit.errors import Interrupted, MissingExtra, TuneDiverged
from toolkit.examples import Example
from toolkit.models import load_base
from toolkit.prompts import answer_messages
from toolkit.seam import SeamRow
from toolkit.tuning import train_adapter
from toolkit.tuning.arguments import FEWEST_HELD_ROWS, measured_rows, steps_of
from toolkit.tuning.checkpoints import COMPLETE, UNFINISHED, finish_checkpoint, is_complete, last_complete_checkpoint
from toolkit.tuning.record import sha256_of
from toolkit.tuning.training import encode_rows, new_trainer
from toolkit.tuning.watching import StopRequest, stop_requests

WEIGHTS = "adapter_model.safetensors"
# Dropout draws random numbers at every step: a run that is resumed with others ends elsewhere.
DROPPING = SETTINGS.model_copy(update={"lora_dropout": 0.2})
# Passes enough that a twentieth of the time is enough for the fewest held-out rows.
MEASURED = SETTINGS.model_copy(
    update={"num_train_epochs": 27, "learning_rate": 0.05, "early_stopping_patience": 2}
)


def rows(replies: Callable[[int], str], count: int = FEWEST_HELD_ROWS) -> list[SeamRow]:
    """Make rows that no run was trained on."""
    made = []
    for number in range(count):
        asked = f"How long does lamp {number} burn?"
        route = Route(asked, "question", asked, [], [], answer_messages("Be kind.", asked, ["A note."]))
        made.append(SeamRow(Example(asked, replies(number), (), number, number), "passages", route))
    return made


ALIKE = rows(lambda number: f"Ahoy, friend. The lamp burns for {number} hours. Fair winds!")
# What the training makes less likely the longer it goes on.
UNLIKE = rows(lambda number: f"Zyx {number}: QQ-{number} ~ wvut? #{number}%!")


def train(tiny_base: Path, place: Path, settings: Any = DROPPING, **options: Any) -> Any:
    return train_adapter(ROWS, load(tiny_base), settings, place / "adapter", work=place / "work", **options)


@pytest.fixture(scope="module")
def unbroken(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The adapter of a run that nothing came between, with its report."""
    place = tmp_path_factory.mktemp("unbroken")
    return place / "adapter", train(tiny_base, place)


@pytest.mark.parametrize("pulled_at", [11, 17])  # in a later pass, and just before the end
def test_a_resumed_run_ends_in_the_same_bytes(
    pulled_at: int, tiny_base: Path, tmp_path: Path, unbroken: tuple[Path, Any]
) -> None:
    with pytest.raises(Pulled):
        train(tiny_base, tmp_path, on_progress=stop_after(pulled_at))
    kept = last_complete_checkpoint(tmp_path / "work")
    assert kept is not None
    report = train(tiny_base, tmp_path)
    adapter, whole = unbroken
    assert sha256_of(tmp_path / "adapter" / WEIGHTS) == sha256_of(adapter / WEIGHTS)
    assert report.tokens == whole.tokens
    resumed_after = int(Path(kept).name.split("-")[1])
    assert [item for item in report.losses if item[0] > resumed_after] == [
        item for item in whole.losses if item[0] > resumed_after
    ]


def test_another_seed_ends_in_other_bytes(tiny_base: Path, tmp_path: Path, unbroken: tuple[Path, Any]) -> None:
    train(tiny_base, tmp_path, DROPPING.model_copy(update={"seed": 1}))
    assert sha256_of(tmp_path / "adapter" / WEIGHTS) != sha256_of(unbroken[0] / WEIGHTS)


def test_every_pass_has_an_order_of_its_own(tiny_base: Path, tmp_path: Path) -> None:
    loaded = load(tiny_base)
    encoded, _ = encode_rows(ROWS, loaded, 640)
    trainer = new_trainer(encoded, loaded, SETTINGS, tmp_path, method=lora())
    sampler = trainer._get_train_sampler()
    orders = []
    for epoch in (0.0, 1.0, 1.3, 2.0):
        trainer.state.epoch = epoch
        orders.append(list(sampler))
    assert sorted(orders[0]) == list(range(len(ROWS)))
    assert orders[1] == orders[2]
    assert orders[0] != orders[1] != orders[3]


def lora() -> Any:
    from toolkit.tuning.adapters import lora_config

    return lora_config(SETTINGS)


def test_a_checkpoint_holds_no_pickle_that_nobody_reads(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(Pulled):
        train(tiny_base, tmp_path, on_progress=stop_after(6))
    (kept,) = (tmp_path / "work").glob("checkpoint-*")
    assert {file.name for file in kept.iterdir()} >= {WEIGHTS, "optimizer.pt", "rng_state.pth", COMPLETE}
    assert not (kept / "training_args.bin").exists()


def test_a_random_state_that_would_run_code_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    import pickle

    import torch

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "run"),)

    with pytest.raises(Pulled):
        train(tiny_base, tmp_path, on_progress=stop_after(6))
    kept = Path(str(last_complete_checkpoint(tmp_path / "work")))
    torch.save({"cpu": Evil()}, kept / "rng_state.pth")
    assert last_complete_checkpoint(tmp_path / "work") is None
    kept.rename(tmp_path / "changed")
    finish_checkpoint(tmp_path / "changed", kept)  # by somebody who writes the record as well
    assert last_complete_checkpoint(tmp_path / "work") == str(kept)
    with pytest.raises(pickle.UnpicklingError):
        train(tiny_base, tmp_path)
    assert not (tmp_path / "run").exists()


def test_what_a_kill_left_is_cleared_away(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(Pulled):
        train(tiny_base, tmp_path, on_progress=stop_after(11))
    work = tmp_path / "work"
    for number in (30, 40):  # later than any step of this run
        (work / f"checkpoint-{number}").mkdir()
    (work / UNFINISHED / "checkpoint-12").mkdir(parents=True)
    seen: list[set[str]] = []
    train(tiny_base, tmp_path, on_progress=lambda *_: seen.append({file.name for file in work.iterdir()}))
    assert not {"checkpoint-30", "checkpoint-40", UNFINISHED} & seen[0]
    assert "checkpoint-10" in seen[0]


def test_a_finished_checkpoint_takes_the_place_of_a_torn_one(tmp_path: Path) -> None:
    torn, fresh = tmp_path / "checkpoint-3", tmp_path / "fresh"
    for folder, text in ((torn, "torn"), (fresh, "whole")):
        folder.mkdir()
        (folder / "state").write_text(text)
    finish_checkpoint(fresh, torn)
    assert (torn / "state").read_text() == "whole"
    assert is_complete(torn)
    assert not fresh.exists()


def interrupt_at(step: int, number: int = signal.SIGINT, times: int = 1) -> Callable[[str, int, int], None]:
    def tell(what: str, done: int, total: int) -> None:
        if done == step:
            for _ in range(times):
                os.kill(os.getpid(), number)

    return tell


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stops_at_the_next_step_with_a_checkpoint(
    number: int, tiny_base: Path, tmp_path: Path, unbroken: tuple[Path, Any]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped after step 6 of 18") as caught:
        train(tiny_base, tmp_path, on_progress=interrupt_at(6, number))
    assert "goes on from there" in caught.value.hint
    assert signal.getsignal(number) is before
    assert Path(str(last_complete_checkpoint(tmp_path / "work"))).name == "checkpoint-6"
    assert not (tmp_path / "adapter").exists()
    steps: list[int] = []
    train(tiny_base, tmp_path, on_progress=lambda _, done, __: steps.append(done))
    assert steps == list(range(7, 19))
    assert sha256_of(tmp_path / "adapter" / WEIGHTS) == sha256_of(unbroken[0] / WEIGHTS)


def test_whoever_asks_twice_is_served_at_once(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny_base, tmp_path, on_progress=interrupt_at(6, times=2))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_wish_that_comes_with_the_last_step_changes_nothing(tiny_base: Path, tmp_path: Path) -> None:
    report = train(tiny_base, tmp_path, on_progress=interrupt_at(18))
    assert report.steps == 18
    assert (tmp_path / "adapter" / WEIGHTS).is_file()


def test_another_thread_takes_no_signals() -> None:
    made: list[StopRequest] = []

    def work() -> None:
        with stop_requests() as request:
            made.append(request)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made == [StopRequest(False)]


def test_a_loss_that_is_no_number_stops_the_run(tiny_base: Path, tmp_path: Path) -> None:
    loaded = load(tiny_base)
    loaded.model.get_output_embeddings().weight.data[7] = float("nan")
    with pytest.raises(TuneDiverged, match="The loss is nan at step 1") as caught:
        train_adapter(ROWS, loaded, SETTINGS, tmp_path / "adapter", work=tmp_path / "work")
    assert "voice.learning_rate (it is 0.01)" in caught.value.hint
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(("step", "said"), [(6, "The loss is nan at step 7"), (10, "no numbers at step 10")])
def test_weights_that_are_no_numbers_reach_no_checkpoint(
    step: int, said: str, tiny_base: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_base)

    def poison(what: str, done: int, total: int) -> None:
        if done == step:  # 10 is a step that is saved
            weights = [weight for name, weight in loaded.model.named_parameters() if "lora_A" in name]
            weights[0].data[0, 0] = float("inf")

    with pytest.raises(TuneDiverged, match=said):
        train_adapter(ROWS, loaded, SETTINGS, tmp_path / "adapter", work=tmp_path / "work", on_progress=poison)
    assert Path(str(last_complete_checkpoint(tmp_path / "work"))).name == "checkpoint-5"


def test_the_progress_tells_the_figures_of_the_run(tiny_base: Path, tmp_path: Path) -> None:
    told: list[str] = []
    train(tiny_base, tmp_path, on_progress=lambda what, *_: told.append(what))
    assert all(what.startswith("Tuning the voice: ") for what in told)
    for figure in ("loss ", "learning rate ", " tokens/s", " GB", " left"):
        assert figure in told[-1]
    assert told[-1].endswith("0:00 left")


@pytest.fixture(scope="module")
def early(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run whose held-out loss only gets worse after its first measurement, with its report."""
    place = tmp_path_factory.mktemp("early")
    return place / "adapter", train(tiny_base, place, MEASURED, held=UNLIKE)


def test_a_run_stops_where_the_held_out_loss_gets_no_better(early: tuple[Path, Any]) -> None:
    _, report = early
    steps = steps_of(MEASURED, len(ROWS))
    measured = dict(report.held_out)
    assert report.steps < steps
    assert report.kept_step == min(measured, key=lambda step: measured[step])
    after = [loss for step, loss in report.held_out if step > report.kept_step]
    assert len(after) == MEASURED.early_stopping_patience
    assert min(after) >= measured[report.kept_step]


def test_the_best_adapter_is_kept_and_not_the_last(tiny_base: Path, early: tuple[Path, Any]) -> None:
    from safetensors.torch import load_file

    from toolkit.tuning import attach_adapter

    adapter, report = early
    loaded = load(tiny_base)
    encoded, _ = encode_rows(UNLIKE, loaded, 640)
    attach_adapter(loaded.model, adapter)
    import torch

    with torch.no_grad():
        losses, counts = [], []
        for row in encoded:
            count = sum(label != -100 for label in row["labels"])
            output: Any = loaded.model(
                input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])
            )
            losses.append(float(output.loss) * count)
            counts.append(count)
    found = sum(losses) / sum(counts)
    measured = dict(report.held_out)
    # The trainer takes the mean over batches: close to that over tokens, and closer than any other measurement.
    assert min(measured, key=lambda step: abs(measured[step] - found)) == report.kept_step
    assert load_file(adapter / WEIGHTS)


def test_a_resumed_run_keeps_the_same_best_adapter(
    tiny_base: Path, tmp_path: Path, early: tuple[Path, Any]
) -> None:
    adapter, whole = early
    with pytest.raises(Pulled):
        train(tiny_base, tmp_path, MEASURED, held=UNLIKE, on_progress=stop_after(whole.steps - 2))
    report = train(tiny_base, tmp_path, MEASURED, held=UNLIKE)
    assert (report.steps, report.kept_step, report.held_out) == (whole.steps, whole.kept_step, whole.held_out)
    assert sha256_of(tmp_path / "adapter" / WEIGHTS) == sha256_of(adapter / WEIGHTS)


def test_a_run_that_gets_better_goes_to_its_end(tiny_base: Path, tmp_path: Path) -> None:
    settings = MEASURED.model_copy(update={"learning_rate": 0.002})
    report = train(tiny_base, tmp_path, settings, held=ALIKE)
    assert report.steps == steps_of(settings, len(ROWS))
    assert report.held_out[-1][1] < report.held_out[0][1]


@pytest.mark.parametrize(
    ("held", "trained", "changes", "measured"),
    [
        (40, 220, {"num_train_epochs": 3}, 14),  # 4 measurements of 14 rows: a twentieth of 3 * 220 updates of 2 passes
        (40, 220, {"num_train_epochs": 1}, 0),  # too short for a measurement that means something
        (7, 2000, {}, 0),
        (40, 220, {"num_train_epochs": 3, "early_stopping_patience": 0}, 0),
        (12, 20000, {}, 12),
    ],
)
def test_measuring_takes_a_twentieth_of_the_time_at_most(
    held: int, trained: int, changes: dict[str, Any], measured: int
) -> None:
    settings = SETTINGS.model_copy(update={"num_train_epochs": 3, "early_stopping_patience": 2} | changes)
    assert len(measured_rows(range(held), settings, trained)) == measured


def test_gradients_are_the_same_before_and_after_a_measurement_in_four_bits(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    pytest.importorskip("bitsandbytes")
    loaded = load_base(str(tiny_base), device="cpu", dtype="bfloat16", quantization="nf4")
    encoded, _ = encode_rows(ROWS, loaded, 640)
    trainer: Any = new_trainer(encoded, loaded, MEASURED, tmp_path, method=lora(), held=encoded[:8])
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    loaded.model = trainer.model
    before = gradients(loaded)
    assert trainer.evaluate()["eval_loss"] > 0
    assert not trainer.model.training
    after = gradients(loaded)
    assert len(before) == 2 * 2 * 7
    for name, gradient in before.items():
        assert torch.equal(gradient, after[name]), name


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("tensorboard")
    yield


def test_the_figures_are_written_for_tensorboard(tensorboard: None, tiny_base: Path, tmp_path: Path) -> None:
    train(tiny_base, tmp_path, SETTINGS.model_copy(update={"report_to": "tensorboard"}))
    (events,) = (tmp_path / "tensorboard" / "work").glob("events.*")
    assert b"train/loss" in events.read_bytes()


def test_tensorboard_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, tiny_base: Path, tmp_path: Path
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else real(name, *a))
    with pytest.raises(MissingExtra, match="tensorboard") as caught:
        train(tiny_base, tmp_path, SETTINGS.model_copy(update={"report_to": "tensorboard"}))
    assert "pip install tensorboard" in caught.value.hint
