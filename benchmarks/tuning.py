"""Measures the tune beside stock TRL: tokens a second, peak memory, and the loss on held-out rows.

    python benchmarks/tuning.py cpu [--method lora|qlora] [--updates N] [--block N]
    python benchmarks/tuning.py gpu FOLDER [--long] [--updates N] [--block N] [--checkpointing] [--as-written]

``cpu`` takes the bundled base and the replies of ``data/voice.jsonl``, each with paragraphs of ``data/documents``.
``gpu`` writes a model of Llama 2 7B's shape with random weights to FOLDER, unless one is there, and takes it in NF4.
Stock is ``SFTTrainer`` as its documentation shows it, with the same rows, LoRA, rate and number of updates. The sides
are processes of their own that take turns of a few updates, so that what else runs on the machine slows both.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NOTES_A_ROW = 3
HELD_ROWS = 8
# As the rows of a served bot: a quarter of a row is its reply.
REPLY_SHARE = 0.25
SHORT, LONG = (50, 600), (1024, 1024)
# A block that takes longer than so many medians is one in which something was compiled.
COMPILING = 3.0
KEPT = contextlib.ExitStack()  # what is entered for as long as a side's process lives


def sample_rows(count: int) -> list[tuple[list[dict[str, str]], str]]:
    """Return the sample's questions, each with paragraphs of its documents as notes, and the replies."""
    from toolkit.prompts import answer_messages

    pages = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "data" / "documents").rglob("*.md"))]
    notes = [part.strip() for page in pages for part in page.split("\n\n") if len(part) > 80]
    examples = [json.loads(line) for line in (ROOT / "data" / "voice.jsonl").read_text(encoding="utf-8").splitlines()]
    draw = random.Random(0)
    draw.shuffle(examples)
    turns = [row["messages"][-2:] for row in itertools.islice(itertools.cycle(examples), count)]
    return [
        (
            answer_messages("You are a helpful assistant.", question["content"], draw.sample(notes, NOTES_A_ROW)),
            reply["content"],
        )
        for question, reply in turns
    ]


def drawn_rows(count: int, between: tuple[int, int], vocabulary: int) -> list[dict[str, list[int]]]:
    """Return rows of random ids of lengths in a range, the last part of each with a loss on it."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        length = draw.randint(*between)
        ids = draw.choices(range(3, vocabulary), k=length)
        head = round(length * (1 - REPLY_SHARE))
        rows.append({"input_ids": ids, "labels": [-100] * head + ids[head:]})
    return rows


def write_llama(folder: Path, *, tiny: bool) -> None:
    """Write a Llama of random weights with a tokenizer of as many tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=32000, max_position_embeddings=4096, **(small if tiny else {}))
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"t{number}": number for number in range(32000)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="t0", bos_token="t1", eos_token="t2")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    tokenizer.save_pretrained(folder)


def ours(job: dict[str, Any], work: Path) -> tuple[Any, Any]:
    """Return our trainer, and its rows as ids."""
    from toolkit.config import VoiceSettings
    from toolkit.models import load_base
    from toolkit.tuning.methods import peft_config
    from toolkit.tuning.stages import before_training
    from toolkit.tuning.training import new_trainer, quick_layers

    settings = VoiceSettings(
        method=job["method"],
        num_train_epochs=1,
        gradient_checkpointing=job["checkpointing"],
        torch_compile=job["compile"],
        max_length=1024,
    )
    loaded = load_base(job["base"], quantization="nf4" if job["method"] == "qlora" else "none")
    rows = encoded_rows(job, loaded.tokenizer)
    KEPT.enter_context(quick_layers(loaded, settings, rows[HELD_ROWS:]))
    trainer = new_trainer(rows[HELD_ROWS:], loaded, settings, work, method=peft_config(settings, loaded))
    before_training(trainer.model, loaded, settings, work)
    return trainer, rows


def stock(job: dict[str, Any], work: Path) -> tuple[Any, Any]:
    """Return TRL's trainer as its documentation shows it, and the rows as ids."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    from toolkit.models.loading import locate_base

    base = locate_base(job["base"])
    rows = encoded_rows(job, AutoTokenizer.from_pretrained(base))
    if "between" in job:
        data = rows[HELD_ROWS:]
    else:
        data = [
            {"prompt": list(prompt), "completion": [{"role": "assistant", "content": reply}]}
            for prompt, reply in sample_rows(job["rows"])[HELD_ROWS:]
        ]
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    options = {"quantization_config": four_bits} if job["method"] == "qlora" else {}
    trainer = SFTTrainer(
        model=base,
        args=SFTConfig(
            output_dir=str(work),
            model_init_kwargs=options or None,
            per_device_train_batch_size=4,
            num_train_epochs=1,
            learning_rate=5e-4,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            gradient_checkpointing=job["stock_checkpointing"],
            save_strategy="no",
            logging_steps=1,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
        ),
        train_dataset=Dataset.from_list(data),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    return trainer, rows


def encoded_rows(job: dict[str, Any], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Return the rows of a job as ids and labels."""
    from toolkit.prompts import encode_pair

    if "between" in job:
        return drawn_rows(job["rows"], tuple(job["between"]), 32000)
    pairs = [encode_pair(tokenizer, prompt, reply) for prompt, reply in sample_rows(job["rows"])]
    return [{"input_ids": ids, "labels": labels} for ids, labels in pairs]


def run_side(side: str, job: dict[str, Any]) -> None:
    """Be one side: wait for a turn, make the updates of a block, tell what they took."""
    import torch
    from transformers import TrainerCallback

    told = sys.stdout
    sys.stdout = sys.stderr  # what the trainers print
    trainer, rows = (ours if side == "ours" else stock)(job, Path(tempfile.mkdtemp()))
    step, seen, started = trainer.training_step, [0], [0.0]

    def counted(model: Any, inputs: Any, *more: Any, **options: Any) -> Any:
        ids, filled = inputs["input_ids"], inputs.get("attention_mask")
        seen[0] += ids.numel() if filled is None else int(filled.sum())
        return step(model, inputs, *more, **options)

    trainer.training_step = counted
    trainer.args.save_strategy = "no"  # the other side keeps no checkpoints
    cuda = torch.cuda.is_available()

    def tell(**figures: Any) -> None:
        print(json.dumps(figures), file=told, flush=True)

    def turn() -> None:
        sys.stdin.readline()
        seen[0], started[0] = 0, time.perf_counter()

    class Turns(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell(updates=state.max_steps)
            turn()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % job["block"] == 0:
                if cuda:
                    torch.cuda.synchronize()
                tell(tokens=seen[0], seconds=time.perf_counter() - started[0])
                turn()

    trainer.add_callback(Turns())
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tell(peak=peak, held=held_loss(trainer.model, rows[:HELD_ROWS]), losses=losses)


def held_loss(model: Any, rows: list[dict[str, list[int]]]) -> float:
    """Return the loss on held-out rows in nats a token, by the model's plain forward pass."""
    import torch

    model.eval()
    total, count = 0.0, 0
    with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16):
        for row in rows:
            ids, labels = (torch.tensor([row[key]], device=model.device) for key in ("input_ids", "labels"))
            logits = model(input_ids=ids).logits[0, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum"))
            count += int((labels[0, 1:] != -100).sum())
    return total / count


def compare(job: dict[str, Any]) -> None:
    """Let the sides take turns and print what came out."""
    sides = {}
    for side in ("ours", "stock"):
        command = [sys.executable, __file__, "side", side, json.dumps(job)]
        sides[side] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        read(sides[side])  # it is ready; the next one loads after it
    blocks: dict[str, list[tuple[int, float]]] = {side: [] for side in sides}
    ends: dict[str, Any] = {}
    while len(ends) < len(sides):
        for side, process in sides.items():
            if side in ends:
                continue
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            figures = read(process)
            if "peak" in figures:
                ends[side] = figures
            else:
                blocks[side].append((figures["tokens"], figures["seconds"]))
                print(f"{side:6} {figures['tokens'] / figures['seconds']:10.0f} tokens/s", file=sys.stderr, flush=True)
    rates, first = {}, {}
    for side, found in blocks.items():
        usual = statistics.median(seconds for _, seconds in found)
        # Only where something is compiled: elsewhere a slow block tells of the machine, on either side.
        longest = COMPILING * usual if job["compile"] else math.inf
        quick = [(tokens, seconds) for tokens, seconds in found if seconds < longest]
        first[side] = sum(seconds - usual for _, seconds in found if seconds >= longest)
        # Rows of similar length come together: the rate of one block says little of the next. On a processor all rows
        # are about as long, and what else runs slows single blocks: the median says more than the sum.
        rates[side] = (
            sum(tokens for tokens, _ in quick) / sum(seconds for _, seconds in quick)
            if "between" in job
            else statistics.median(tokens / seconds for tokens, seconds in found)
        )
    for side, end in ends.items():
        shown = " ".join(f"{loss:.3f}" for loss in end["losses"][:: max(1, len(end["losses"]) // 6)])
        print(
            f"{side:6} {rates[side]:8.0f} tokens/s, peak {end['peak'] / 2**30:6.2f} GiB, "
            f"{first[side]:.0f} s of compiling and the like, held-out loss {end['held']:.3f}; losses {shown}"
        )
    print(f"{rates['ours'] / rates['stock']:.2f} times the stock rate: {json.dumps(job)}", flush=True)


def read(process: Any) -> dict[str, Any]:
    """Return the next figures of a side."""
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    raise SystemExit("a side ended before its time; see above")


def main() -> None:
    """Read the command line."""
    if sys.argv[1:2] == ["side"]:
        return run_side(sys.argv[2], json.loads(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", choices=["cpu", "gpu"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--method", default="qlora", choices=["lora", "qlora"])
    parser.add_argument("--updates", type=int, default=16)
    parser.add_argument("--block", type=int, default=2)
    parser.add_argument("--long", action="store_true", help="rows of 1,024 tokens in place of 50 to 600")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations on our side")
    parser.add_argument("--as-written", action="store_true", help="do not compile the layers on our side (GPU)")
    parser.add_argument("--stock-plain", action="store_true", help="keep activations on the stock side")
    parser.add_argument("--tiny", action="store_true", help="a Llama of two small layers, to try the script")
    args = parser.parse_args()
    job: dict[str, Any] = {
        "method": args.method,
        "rows": args.updates * 4 + HELD_ROWS,
        "block": args.block,
        "checkpointing": args.checkpointing,
        "compile": args.machine == "gpu" and not args.as_written,
        "stock_checkpointing": not args.stock_plain,
        "base": "bundled",
    }
    if args.machine == "gpu":
        if not (args.folder / "config.json").is_file():
            write_llama(args.folder, tiny=args.tiny)
        job |= {"base": str(args.folder), "between": LONG if args.long else SHORT}
    compare(job)


if __name__ == "__main__":
    main()
