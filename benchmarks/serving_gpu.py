"""Measures decoding on a GPU, one reply at a time, beside transformers with bitsandbytes as it stands.

    python benchmarks/serving_gpu.py FOLDER [--tokens N] [--context N] [--repeats N] [--tiny]

A model of Llama 2 7B's shape with random weights is written to FOLDER, unless one is there, and opened in NF4 with a
LoRA of rank 16 on all linear layers. Both sides have the same weights in the same process and take turns. Random
weights have many tokens nearly tied, so that the words of the two sides part after some tokens: ``toolkit``'s tests
compare them on a model that knows what it wants.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def rates(sides: dict[str, Callable[[int], int]], tokens: int, repeats: int) -> dict[str, list[float]]:
    """Let sides decode in turns, and return the tokens a second of each turn, the reading of the prompt apart."""
    import torch

    def seconds(run: Callable[[int], int], most: int) -> tuple[float, int]:
        torch.cuda.synchronize()
        began = time.perf_counter()
        written = run(most)
        torch.cuda.synchronize()
        return time.perf_counter() - began, written

    found: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():  # the first time everything is set up
        run(8)
    for _ in range(repeats):
        for name, run in sides.items():
            (first, one), (whole, all_of_them) = seconds(run, 1), seconds(run, tokens)
            found[name].append((all_of_them - one) / (whole - first))
    return found


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--context", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a Llama of two small layers, to try the script")
    args = parser.parse_args()

    import torch
    from peft import LoraConfig, get_peft_model

    from benchmarks.tuning import write_llama
    from toolkit.engines import Decoding, TextEngine
    from toolkit.models import load_base

    if not (args.folder / "config.json").is_file():
        write_llama(args.folder, tiny=args.tiny)
    loaded = load_base(str(args.folder), quantization="nf4")
    voiced: Any = get_peft_model(
        loaded.model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    ).eval()
    prompt = " ".join(f"t{5 + 7 * number % 30000}" for number in range(args.context))
    read = loaded.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"].to(voiced.device)

    def stock(most: int) -> int:
        with torch.inference_mode():
            written = voiced.generate(
                input_ids=read, attention_mask=torch.ones_like(read), max_new_tokens=most, min_new_tokens=most,
                do_sample=False, pad_token_id=0,
            )  # fmt: skip
        return int(written.shape[1] - read.shape[1])

    for name, off in (("on", contextlib.nullcontext()), ("off", voiced.disable_adapter())):
        engine = TextEngine(loaded)  # it has no adapter of its own to switch: the layers are as they are

        def ours(most: int, engine: TextEngine = engine) -> int:
            return len(engine.complete(prompt, adapter=False, decoding=Decoding(max_new_tokens=most)))

        with off:
            found = rates({"stock": stock, "housevoice": ours}, args.tokens, args.repeats)
        middle = {side: statistics.median(each) for side, each in found.items()}
        print(
            f"adapter {name:4} stock {middle['stock']:7.1f} tokens/s, housevoice {middle['housevoice']:7.1f}: "
            f"{middle['housevoice'] / middle['stock']:.1f} times; {args.context} tokens of context",
            flush=True,
        )
    print(f"peak {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB, {torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
