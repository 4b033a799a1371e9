"""Training: the loss falls, a stopped run goes on, a torn checkpoint is not believed, gradients stay right."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPLIES, mounted_disk
from toolkit.answering import Route
from toolkit.bot import BotFolder
from toolkit.config import VoiceSettings
from toolkit.errors import DataError, StoreFull
from toolkit.examples import Example
from toolkit.models import LoadedModel, load_base
from toolkit.prompts import answer_messages, render_prompt
from toolkit.seam import SeamRow
from toolkit.tuning import train_adapter
from toolkit.tuning.checkpoints import last_complete_checkpoint
from toolkit.tuning.record import sha256_of
from toolkit.tuning.training import (
    encode_rows,
    keep_training_kernels,
    quick_attention,
    save_adapter,
)

SETTINGS = VoiceSettings(
    quantization="none",
    r=4,
    lora_alpha=8,
    lora_dropout=0.0,
    learning_rate=0.01,
    num_train_epochs=6,
    per_device_train_batch_size=4,
)
ROWS = [
    SeamRow(
        Example(asked, said, (), number, number),
        "passages" if number < 9 else "alone",
        Route(asked, "question", asked, [], [], answer_messages("Be kind.", asked, ["A note."] if number < 9 else [])),
    )
    for number, (asked, said) in enumerate(REPLIES, start=1)
]


def load(folder: Path, quantization: str = "none") -> LoadedModel:
    return load_base(str(folder), device="cpu", dtype="float32", quantization=quantization)


def test_every_row_has_the_served_prompt_a_loss_and_an_end(tiny_base: Path) -> None:
    loaded = load(tiny_base)
    encoded, dropped = encode_rows(ROWS, loaded, 640)
    assert (len(encoded), dropped) == (len(ROWS), 0)
    for row, item in zip(ROWS, encoded, strict=True):
        trained = [label for label in item["labels"] if label != -100]
        assert loaded.tokenizer.decode(trained[:-1]) == row.example.reply
        assert trained[-1] == loaded.tokenizer.eos_token_id
        prompt = loaded.tokenizer(render_prompt(loaded.tokenizer, row.messages), add_special_tokens=False)["input_ids"]
        assert item["input_ids"][: len(prompt)] == prompt
        assert item["labels"][: len(prompt)] == [-100] * len(prompt)


def test_a_row_that_is_too_long_is_left_out_whole(tiny_base: Path) -> None:
    loaded = load(tiny_base)
    lengths = sorted(len(row["input_ids"]) for row in encode_rows(ROWS, loaded, 640)[0])
    encoded, dropped = encode_rows(ROWS, loaded, lengths[-2])
    assert dropped == 1
    assert max(len(row["input_ids"]) for row in encoded) == lengths[-2]
    with pytest.raises(DataError, match=f"All {len(ROWS)} example replies.* longer than voice.max_length") as caught:
        encode_rows(ROWS, loaded, lengths[0] - 1)
    assert "voice.max_length" in caught.value.hint


def test_a_tune_lowers_the_loss_and_leaves_a_peft_folder(tiny_base: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = train_adapter(
        ROWS,
        load(tiny_base),
        SETTINGS,
        tmp_path / "adapter",
        work=tmp_path / "work",
        on_progress=lambda *a: told.append(a),
    )
    losses = [loss for _, loss in report.losses]
    assert losses[-1] < 0.8 * losses[0]
    assert report.steps == 18
    assert told[-1][1:] == (18, 18)
    assert report.rows == {"passages": 8, "decline": 0, "alone": 4}
    assert report.trainable > 0
    assert report.supervised == sum(
        label != -100 for row in encode_rows(ROWS, load(tiny_base), 640)[0] for label in row["labels"]
    )
    assert set(report.choices) == {"device", "dtype", "quantization"}
    assert {file.name for file in (tmp_path / "adapter").iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not (tmp_path / "work").exists()


class Pulled(Exception):
    """The plug was pulled."""


def stop_after(steps: int) -> Any:
    """Return a progress function that stops the training after some steps."""

    def tell(what: str, done: int, total: int) -> None:
        if done >= steps:
            raise Pulled

    return tell


def test_a_stopped_run_goes_on_from_its_last_complete_checkpoint(tiny_base: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(Pulled):
        train_adapter(ROWS, load(tiny_base), SETTINGS, tmp_path / "adapter", work=work, on_progress=stop_after(11))
    assert not (tmp_path / "adapter").exists()
    kept = last_complete_checkpoint(work)
    assert kept is not None
    assert Path(kept).name == "checkpoint-10"
    steps: list[int] = []
    report = train_adapter(
        ROWS,
        load(tiny_base),
        SETTINGS,
        tmp_path / "adapter",
        work=work,
        on_progress=lambda _, done, __: steps.append(done),
    )
    assert steps == list(range(11, 19))
    assert report.steps == 18
    before = [loss for step, loss in report.losses if step <= 3]
    after = [loss for step, loss in report.losses if step > 10]
    assert max(after) < min(before)  # what was learnt before the stop was not lost


def checkpoint(work: Path, step: int, *, complete: bool = True) -> Path:
    folder = work / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"x" * 100)
    (folder / "deep" / "state.json").write_text("{}")
    if complete:
        names = ("adapter_model.safetensors", "deep/state.json")
        (folder / "complete.json").write_text(json.dumps({name: sha256_of(folder / name) for name in names}))
    return folder


def test_the_newest_complete_checkpoint_is_taken(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 12)
    checkpoint(tmp_path, 15, complete=False)
    assert last_complete_checkpoint(tmp_path) == str(newest)


def test_a_torn_checkpoint_is_not_believed(tmp_path: Path) -> None:
    good = checkpoint(tmp_path, 3)
    (checkpoint(tmp_path, 6) / "adapter_model.safetensors").write_bytes(b"x" * 99)
    (checkpoint(tmp_path, 9) / "deep" / "state.json").unlink()
    (checkpoint(tmp_path, 12) / "complete.json").write_text('{"adapter_model')
    (checkpoint(tmp_path, 15) / "adapter_model.safetensors").write_bytes(b"x" * 99 + b"y")
    (checkpoint(tmp_path, 18) / "complete.json").write_text("{}")
    assert last_complete_checkpoint(tmp_path) == str(good)


def test_a_run_with_torn_checkpoints_only_starts_over(tiny_base: Path, tmp_path: Path) -> None:
    checkpoint(tmp_path / "work", 8, complete=False)
    steps: list[int] = []
    settings = SETTINGS.model_copy(update={"num_train_epochs": 1})
    train_adapter(
        ROWS, load(tiny_base), settings, tmp_path / "adapter", work=tmp_path / "work",
        on_progress=lambda _, done, __: steps.append(done),
    )  # fmt: skip
    assert steps == [1, 2, 3]


def gradients(loaded: LoadedModel) -> dict[str, Any]:
    """Return the gradients of a fixed row with respect to an adapter that is not zero."""
    import torch

    model: Any = loaded.model
    encoded, _ = encode_rows(ROWS[:1], loaded, 640)
    ids, labels = torch.tensor([encoded[0]["input_ids"]]), torch.tensor([encoded[0]["labels"]])
    model.train()
    model.zero_grad()
    model(input_ids=ids, labels=labels).loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_gradients_are_right_after_an_evaluation_in_four_bits(tiny_base: Path) -> None:
    import torch
    from peft import get_peft_model

    from toolkit.tuning.adapters import lora_config

    pytest.importorskip("bitsandbytes")
    loaded = load_base(str(tiny_base), device="cpu", dtype="bfloat16", quantization="nf4")
    keep_training_kernels(loaded.model)
    torch.manual_seed(0)
    model: Any = get_peft_model(loaded.model, lora_config(SETTINGS))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    loaded.model = model
    before = gradients(loaded)
    assert len(before) == 2 * 2 * 7
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.arange(2, 34).view(1, -1))
    after = gradients(loaded)
    assert set(after) == set(before)
    for name, gradient in before.items():
        closeness = torch.nn.functional.cosine_similarity(
            gradient.flatten().float(), after[name].flatten().float(), dim=0
        )
        assert closeness > 0.999, (name, float(closeness))


def test_four_bits_are_trained(tiny_base: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    loaded = load(tiny_base, "nf4")
    assert any(type(module).__name__ == "Linear4bit" for module in loaded.model.modules())
    report = train_adapter(ROWS, loaded, SETTINGS, tmp_path / "adapter", work=tmp_path / "work")
    losses = [loss for _, loss in report.losses]
    assert losses[-1] < 0.9 * losses[0]
    assert report.choices["quantization"].startswith("nf4")


class Written:
    """Stands for a tuned model: saved, it writes two files that tell which one it was."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def save_pretrained(self, folder: str, **options: Any) -> None:
        Path(folder).mkdir()
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (Path(folder) / name).write_text(self.mark)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do work in a child process that is killed before its n-th change to the disk; tell whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    changes = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open")
    counted = itertools.count(1)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event in changes and next(counted) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(count)
        work()
    finally:
        os._exit(0)


@pytest.mark.parametrize("before", ["old", None])
def test_a_kill_at_any_moment_of_saving_leaves_an_adapter(before: str | None, tiny_base: Path, tmp_path: Path) -> None:
    loaded = load(tiny_base)
    found, step = [], 0
    while True:
        step += 1
        bot = BotFolder(tmp_path / str(step))
        bot.root.mkdir()
        if before:
            save_adapter(Written(before), loaded, bot.adapter)
        killed = killed_at(step, lambda bot=bot: save_adapter(Written("new"), loaded, bot.adapter))
        marks = set()
        if bot.has_adapter():  # what the next start asks
            names = ("adapter_config.json", "adapter_model.safetensors")
            marks = {(bot.adapter / name).read_text() for name in names}
            assert (bot.adapter / "housevoice_base.json").is_file()
        assert len(marks) <= 1
        found.append(marks.pop() if marks else None)
        save_adapter(Written("newest"), loaded, bot.adapter)
        assert {file.name for file in bot.root.iterdir()} == {"adapter"}
        assert (bot.adapter / "adapter_config.json").read_text() == "newest"
        if not killed:
            break
    turned = found.index("new")
    assert found == [before] * turned + ["new"] * (len(found) - turned)
    assert turned > 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk with room for hardly anything."""
    with mounted_disk(tmp_path / "disk", "64k") as disk:
        yield disk


def test_a_full_disk_is_named_at_a_checkpoint(tiny_base: Path, tmp_path: Path, small_disk: Path) -> None:
    with pytest.raises(StoreFull, match="disk is full"):
        train_adapter(ROWS, load(tiny_base), SETTINGS, tmp_path / "adapter", work=small_disk / "work")


def test_a_full_disk_is_named_at_the_end_and_the_old_adapter_is_kept(
    tiny_base: Path, tmp_path: Path, small_disk: Path, small_bot: Path
) -> None:
    output = small_disk / "adapter"
    output.mkdir()
    shutil.copy(small_bot / "adapter" / "adapter_config.json", output)
    settings = SETTINGS.model_copy(update={"r": 32, "num_train_epochs": 1})
    with pytest.raises(StoreFull, match="disk is full"):
        train_adapter(ROWS, load(tiny_base), settings, output, work=tmp_path / "work")
    assert (output / "adapter_config.json").is_file()


@pytest.mark.parametrize(("dtype", "during"), [("bfloat16", "eager"), ("float32", "sdpa")])
def test_attention_is_plain_only_while_a_cpu_trains_in_bfloat16(tiny_base: Path, dtype: str, during: str) -> None:
    loaded = load_base(str(tiny_base), device="cpu", dtype=dtype)
    with quick_attention(loaded):
        assert loaded.model.config._attn_implementation == during
    assert loaded.model.config._attn_implementation == "sdpa"
