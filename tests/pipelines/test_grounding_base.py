"""The base's training: the update that is added to the weights, the folder it is saved as, and a run to the end."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.grounding import base, base_rows
from pipelines.grounding.base_updates import add_updates, average_with, merged, save_adapter
from pipelines.grounding.base_writer import Writer
from tests.pipelines.test_grounding_rows import write_data
from toolkit.prompts import encode_pair, short_messages

R = 4
QUESTION = short_messages("How long does the lamp burn?", ["The lamp burns for 38 hours."])


def opened(folder: Path, dtype: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def stirred(model: Any) -> dict[str, Any]:
    """Give a model updates that do something, in numbers that bfloat16 holds."""
    import torch

    updates = add_updates(model, R)
    torch.manual_seed(0)
    with torch.no_grad():
        for update in updates.values():
            update.b.normal_(std=0.2)
            for weight in update.parameters():
                weight.copy_(weight.to(torch.bfloat16).float())
    return updates


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.arange(40).reshape(2, 20)).logits.float()


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("bfloat16", 1e-2)])
def test_the_folder_opens_as_the_model_that_was_trained(
    tmp_path: Path, tiny_base: Path, dtype: str, near: float
) -> None:
    import torch
    from peft import PeftModel

    plain, model = opened(tiny_base, dtype), opened(tiny_base, dtype)
    updates = stirred(model)
    trained = logits(model)
    save_adapter(model, updates, R, tmp_path / "adapter")
    assert torch.equal(logits(model), trained), "saving leaves the model as it is"
    assert (trained - logits(plain)).abs().max() > 0.1
    whole = logits(merged(opened(tiny_base, dtype), tmp_path / "adapter"))
    assert (whole - trained).abs().max() <= near
    if dtype == "float32":
        beside = logits(PeftModel.from_pretrained(opened(tiny_base, dtype), str(tmp_path / "adapter")))
        assert (beside - trained).abs().max() <= near


def test_the_folder_is_what_peft_writes(tmp_path: Path, tiny_base: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file

    model = opened(tiny_base, "bfloat16")
    (tmp_path / "README.md").write_text("the card", encoding="utf-8")
    save_adapter(model, stirred(model), R, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = LoraConfig(r=R, lora_alpha=2 * R, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(opened(tiny_base, "bfloat16"), config).save_pretrained(str(tmp_path / "peft"))
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (tmp_path, tmp_path / "peft"))
    assert {name: weight.shape for name, weight in ours.items()} == {name: w.shape for name, w in theirs.items()}
    ours, theirs = (
        json.loads((folder / "adapter_config.json").read_text()) for folder in (tmp_path, tmp_path / "peft")
    )
    assert ours | {"target_modules": 0} == theirs | {"target_modules": 0}


def test_only_the_updates_are_trained_and_not_the_head(tiny_base: Path) -> None:
    model = opened(tiny_base, "float32")
    updates = add_updates(model, R)
    assert len(updates) == 2 * 7 and not any("lm_head" in name for name in updates)
    trained = {id(weight) for weight in model.parameters() if weight.requires_grad}
    assert trained == {id(weight) for update in updates.values() for weight in update.parameters()}


def options(**changes: Any) -> argparse.Namespace:
    given = {"learning_rate": 1e-2, "tokens": 1024, "seconds": 1000.0, "device": "cpu"}
    return argparse.Namespace(**(given | changes))


def test_rows_are_learnt(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    row = encode_pair(tokenizer, QUESTION, "38 hours")
    model = opened(tiny_base, "float32")
    weights = [weight for update in add_updates(model, R).values() for weight in update.parameters()]
    before = base.loss_of(model, [row], tokenizer.pad_token_id, "cpu").item()
    report = base.train(model, weights, tokenizer, [[row]] * 40, options(), lambda: None, base.Team())
    assert (report["steps"], report["of"]) == (40, 40) and report["tokens"] == 40 * len(row[0])
    after = base.loss_of(model, [row, encode_pair(tokenizer, QUESTION[:1], "38 hours")], tokenizer.pad_token_id, "cpu")
    assert after.item() < before and base.loss_of(model, [row], 0, "cpu").item() < before / 4
    assert len(Writer(model, tokenizer).write([QUESTION, QUESTION[:1]], 8)) == 2
    assert all(score < 0 for score in Writer(model, tokenizer).refusal([QUESTION]))


def test_training_ends_in_time_and_saves_each_minute(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 25 seconds fit three times into 100, and not a fourth time: it would end with the time or after it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    row = encode_pair(tokenizer, QUESTION, "38 hours")
    model = opened(tiny_base, "float32")
    weights = [weight for update in add_updates(model, R).values() for weight in update.parameters()]
    now, saved, one = [1000.0], [], base.loss_of

    def slow(*arguments: Any) -> Any:
        now[0] += 25
        return one(*arguments)

    monkeypatch.setattr(base, "loss_of", slow)
    monkeypatch.setattr(base.time, "time", lambda: now[0])
    slow_steps = options(seconds=100.0)
    save = lambda: saved.append(now[0])  # noqa: E731
    report = base.train(model, weights, tokenizer, [[row]] * 40, slow_steps, save, base.Team())
    assert (report["steps"], report["seconds"]) == (3, 75)
    assert saved == [1075.0]


def test_a_short_run_trains_saves_and_measures(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_MADE_NOTES", "_MADE_FOLLOW_UPS", "_TALK"):
        monkeypatch.setattr(base_rows, name, 4)

    def in_this_process(rows: base_rows.Rows, tokenizer: Any, passes: int, seed: int, *_: int) -> Any:
        made = [rows.part(seed + number, 0, 1)[:40] for number in range(passes)]
        return [[encode_pair(tokenizer, row.messages, row.reply) for row in part] for part in made]

    monkeypatch.setattr(base, "encoded_passes", in_this_process)
    folder = write_data(tmp_path)
    given = [str(folder), "--squad", str(folder / "dev_part.json"), "--base", str(tiny_base), "--r", str(R)]
    given += ["--out", str(tmp_path / "out"), "--passes", "1", "--seconds", "60", "--tokens", "4096"]
    base.main([*given, "--limit", "4", "--device", "cpu"])
    report = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert report["training"]["steps"] == report["training"]["of"] > 1
    assert report["squad_dev"]["answerable"] + report["squad_dev"]["unanswerable"] == 4
    assert report["rewrite_test"]["rewrites"] == 4
    assert "talk: " in capsys.readouterr().out
    merged(opened(tiny_base, "bfloat16"), tmp_path / "out")


def test_what_goes_on_from_an_adapter_is_saved_as_the_mean_of_both(tmp_path: Path, tiny_base: Path) -> None:
    import torch

    model = opened(tiny_base, "float32")
    updates = add_updates(model, R)
    save_adapter(model, updates, R, tmp_path)
    first = {name: (update.a.clone(), update.b.clone()) for name, update in updates.items()}
    with torch.no_grad():
        for update in updates.values():
            update.a.add_(2.0)
            update.b.add_(4.0)
    average_with(updates, tmp_path)
    for name, update in updates.items():
        # the folder is kept in bfloat16
        torch.testing.assert_close(update.a, first[name][0] + 1.0, atol=0.01, rtol=0.01)
        torch.testing.assert_close(update.b, first[name][1] + 2.0, atol=0.01, rtol=0.01)


def test_trainers_average_what_each_found(tmp_path: Path) -> None:
    """Two processes with other rows leave with the same gradients, time and number of steps."""
    import multiprocessing

    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(2) as pool:
        found = pool.starmap(_average, [(rank, 29500 + os.getpid() % 1000) for rank in range(2)], chunksize=1)
    assert found == [([1.5, 3.0], 15.0, 7)] * 2


def _average(rank: int, port: int) -> tuple[list[float], float, int]:
    import torch

    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    team = base.Team()
    team.meet()
    gradient = torch.tensor([1.0, 2.0]) * (rank + 1)
    seconds = team.averaged([gradient], 10.0 * (rank + 1))
    return gradient.tolist(), seconds, team.least(7 + rank)
