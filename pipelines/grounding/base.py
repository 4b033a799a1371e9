"""Train the grounding adapter of the bundled base on public data, and measure it.

``python -m pipelines.grounding.base DATA --squad dev_part.json --base MODEL --out FOLDER``: on a GPU, in minutes. The
rows are rendered by ``toolkit/prompts.py``, as serving renders them. The training stops by the clock, with the learning
rate falling to nothing by then, and saves the adapter each minute; the measuring comes after it. The same seed on the
same machine draws the same rows. ``torchrun --nproc-per-node N -m pipelines.grounding.base ...`` trains on N GPUs: each
takes its share of the rows, and the gradients are averaged.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.grounding.base_rows import Encoded, Rows, batches, encoded_passes
from pipelines.grounding.base_updates import add_updates, average_with, merged, save_adapter, start_from
from pipelines.grounding.base_writer import Writer, measure, show
from pipelines.grounding.rewriting import people_rows
from pipelines.grounding.rows import Notes, note_rows, reply_rows
from pipelines.grounding.talk import talk_rows

_WARM_UP = 0.04
_SAVED_EVERY = 60.0  # seconds
_SHOWN_EVERY = 10.0  # seconds


def load(base: str, device: str) -> tuple[Any, Any]:
    """Open a base: a folder, or a GGUF file."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = Path(base)
    extra: dict[str, Any] = {"gguf_file": place.name} if place.suffix == ".gguf" else {}
    folder = str(place.parent if extra else place)
    tokenizer = AutoTokenizer.from_pretrained(folder, **extra)
    if extra and hasattr(transformers, "GgufConfig"):  # a release before it dequantises without being asked
        extra["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, **extra)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device), tokenizer


def loss_of(model: Any, rows: Sequence[Encoded], pad: int, device: str) -> Any:
    """Return the mean cross-entropy over the supervised tokens of a batch; the head sees no other position."""
    import torch

    # Few widths, so that the memory of one batch serves the next.
    width = -(-max(len(ids) for ids, _ in rows) // 64) * 64
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row, _ in rows], device=device)
    labels = torch.tensor([[*row, *[-100] * (width - len(row))] for _, row in rows], device=device)[:, 1:]
    # Causal attention needs no mask here: what fills a row up stands behind all that is supervised.
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    told = labels != -100
    loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[told]).float(), labels[told])
    loss.backward()
    return loss.detach()


class Team:
    """The trainers of one run: one a GPU, or one alone.

    Attributes:
        rank: Which of them this is, from 0.
        world: How many there are.
    """

    def __init__(self) -> None:
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))

    def meet(self) -> None:
        """Wait for the others; rows are made before, since processes may not fork beside the collective's threads."""
        import torch

        if self.world > 1 and torch.cuda.is_available():
            torch.cuda.set_device(self.rank)
        if self.world > 1:
            torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def averaged(self, gradients: Sequence[Any], more: float) -> float:
        """Average the gradients over all trainers, in place, and a number with them, which is returned."""
        import torch

        if self.world == 1:
            return more
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([more])])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        parts = flat[:-1].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(flat[-1])

    def least(self, number: int) -> int:
        """Return the least of a number over all trainers."""
        import torch

        if self.world == 1:
            return number
        told = torch.tensor(number, device="cuda" if torch.cuda.is_available() else "cpu")
        torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MIN)
        return int(told)


def train(
    model: Any,
    weights: list[Any],
    tokenizer: Any,
    passes: list[list[Encoded]],
    options: argparse.Namespace,
    save: Callable[[], None],
    team: Team,
) -> dict[str, Any]:
    """Train the updates until the clock runs out or all passes are seen.

    Args:
        model: The model with its updates.
        weights: What is trained.
        tokenizer: Its tokenizer, for padding.
        passes: The rows of each pass.
        options: Those of the command line.
        save: Saves what there is, called each minute, so that a run that is stopped leaves something.
        team: The trainers.
    """
    import torch

    optimiser = torch.optim.AdamW(weights, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    numbered = list(enumerate(passes))
    total = team.least(sum(len(list(batches(encoded, options.tokens, number))) for number, encoded in numbered))
    order = ((number, encoded, batch) for number, encoded in numbered
             for batch in batches(encoded, options.tokens, number))  # fmt: skip
    started = shown = saved = time.time()
    step, seen, elapsed, losses = 0, 0, 0.0, []
    model.train()
    for number, encoded, batch in itertools.islice(order, total):
        if step and elapsed + elapsed / step >= options.seconds:  # another step would end after the time
            break
        # The schedule follows whichever ends the run: the steps, or the clock.
        done = min(1.0, max(step / total, elapsed / options.seconds))
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * min(1.0, done / _WARM_UP) * (1 - done) ** 0.9
        loss = loss_of(model, [encoded[index] for index in batch], tokenizer.pad_token_id, options.device)
        elapsed = team.averaged([weight.grad for weight in weights], time.time() - started)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        seen += sum(len(encoded[index][0]) for index in batch)
        losses.append(loss)
        if team.rank == 0 and time.time() - shown > _SHOWN_EVERY:
            shown = time.time()
            recent = torch.stack(losses[-20:]).mean().item()
            rate = team.world * seen / (shown - started)
            print(f"step {step}/{total} pass {number} loss {recent:.3f} tokens/s {rate:.0f}", flush=True)
        if team.rank == 0 and time.time() - saved > _SAVED_EVERY:
            save()
            saved = time.time()
    return {"steps": step, "of": total, "tokens": team.world * seen, "seconds": round(time.time() - started),
            "loss": round(torch.stack(losses[-50:]).mean().item(), 4)}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, merge, measure and save."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m pipelines.grounding.base", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=420, help="how long to train, without the rest")
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--r", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--adapter", type=Path, help="one to go on from; the mean of it and of the result is saved")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="questions to measure on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    team = Team()
    started = time.time()
    rows = Rows(options.folder, options.squad, options.rows)
    _, tokenizer = load(options.base, "cpu")
    passes = encoded_passes(rows, tokenizer, options.passes, options.seed, team.rank, team.world)
    print(f"{sum(map(len, passes))} rows made in {time.time() - started:.0f} s", flush=True)
    team.meet()
    model, _ = load(options.base, options.device)
    updates = add_updates(model, options.r)
    if options.adapter:
        start_from(updates, options.adapter)
    report: dict[str, Any] = {"options": {key: str(value) for key, value in vars(options).items()}}
    weights = [weight for update in updates.values() for weight in update.parameters()]
    save = functools.partial(save_adapter, model, updates, options.r, options.out)
    report["training"] = train(model, weights, tokenizer, passes, options, save, team)
    if team.rank:
        return
    if options.adapter:
        average_with(updates, options.adapter)
    save()
    print(json.dumps(report["training"]), flush=True)
    writer = Writer(merged(load(options.base, options.device)[0], options.out), tokenizer)
    report |= measure(writer, rows.pairs, options.folder, options.limit)
    print(json.dumps(report, indent=1), flush=True)
    (options.out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    held = [pair for pair in rows.pairs if pair.part == "dev"]
    drawn = note_rows(held[:400], Notes(held, random.Random(1)), random.Random(1))
    show(writer, [*drawn, *reply_rows(options.folder, "dev", random.Random(1)),
                  *talk_rows(random.Random(99), 40), *people_rows(options.folder, "dev")])  # fmt: skip


if __name__ == "__main__":
    main()
