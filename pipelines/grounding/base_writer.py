"""A base that writes in batches, and what it is measured on and shown by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.grounding.data import Pair
from pipelines.grounding.measures import score_rewrites, score_squad, squad_questions
from pipelines.grounding.rewriting import people_rows
from pipelines.grounding.rows import GroundingRow
from toolkit.prompts import UNTOLD, Message, render_prompt, stop_token_ids


class Writer:
    """Writes replies and scores refusals with a merged model, in batches."""

    def __init__(self, model: Any, tokenizer: Any, rows: int = 96) -> None:
        self._model, self._tokenizer, self._rows = model.eval(), tokenizer, rows
        self._stops = stop_token_ids(tokenizer)
        self._untold = tokenizer(UNTOLD, add_special_tokens=False)["input_ids"][0]

    def write(self, conversations: Sequence[Sequence[Message]], tokens: int) -> list[str]:
        """Write a reply to each, the refusal forbidden."""
        import torch

        replies = [""] * len(conversations)
        for chosen, inputs in self._batches(conversations):
            with torch.inference_mode():
                output = self._model.generate(
                    **inputs, max_new_tokens=tokens, do_sample=False, eos_token_id=self._stops,
                    pad_token_id=self._tokenizer.pad_token_id, begin_suppress_tokens=[self._untold],
                )  # fmt: skip
            texts = self._tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for index, text in zip(chosen, texts, strict=True):
                replies[index] = text.strip()
        return replies

    def refusal(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """Return the log-probability of a refusal's first token for each."""
        import torch

        scores = [0.0] * len(conversations)
        for chosen, inputs in self._batches(conversations):
            with torch.inference_mode():
                logits = self._model(**inputs, logits_to_keep=1).logits[:, -1].float()
            for index, value in zip(chosen, torch.log_softmax(logits, -1)[:, self._untold].tolist(), strict=True):
                scores[index] = value
        return scores

    def _batches(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[list[int], Any]]:
        prompts = [render_prompt(self._tokenizer, messages) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), self._rows):
            chosen = order[start : start + self._rows]
            inputs = self._tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True,
                                     padding_side="left", add_special_tokens=False)  # fmt: skip
            yield chosen, inputs.to(self._model.device)


def measure(writer: Writer, pairs: Sequence[Pair], folder: Path, limit: int | None) -> dict[str, Any]:
    """Measure a base on what it was not trained on; the test parts are only looked at here."""
    found: dict[str, Any] = {}
    for part in ("dev", "test"):
        print(f"measuring {part}", flush=True)
        found[f"squad_{part}"] = score_squad(squad_questions(pairs, part, limit=limit), writer.write, writer.refusal)
        found[f"rewrite_{part}"] = score_rewrites(people_rows(folder, part)[:limit], writer.write)
        print(json.dumps(found), flush=True)
    return found


def show(writer: Writer, rows: Sequence[GroundingRow], count: int = 6) -> None:
    """Print some replies of each task, to be read by eye."""
    for task in ("answer", "reply", "talk", "rewrite", "short"):
        chosen = [row for row in rows if row.task == task][:count]
        for row, text in zip(chosen, writer.write([row.messages for row in chosen], 64), strict=True):
            print(f"{task}: {row.messages[-1]['content'][-160:]!r}\n  -> {text!r}\n  ({row.reply[:160]!r})", flush=True)
