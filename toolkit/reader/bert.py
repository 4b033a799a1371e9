"""The bundled reader: the embedder's encoder with layers and heads of its own, run for its speed on a processor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.embedding.bert import TOKENS_PER_BATCH, batches_of, core_pool, last_layer, open_bert
from toolkit.errors import ModelError
from toolkit.reader.base import Reading
from toolkit.reader.encoding import EncodedPair, encode_pairs
from toolkit.reader.weights import CONFIG_FILE, HEADS, WEIGHTS_FILE, apply_heads, head_shapes, load_weights

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

FORMAT = 1
# Beyond this the best span's score says nothing more about there being an answer.
SPAN_LIMIT = 15.0
_HINT = "Install housevoice again, or set the reader to 'none'."


@dataclass(frozen=True)
class Calibration:
    """What turns raw scores into log-odds, fitted on rows that nothing was trained on.

    Attributes:
        answerable: Weight of the logit, weight of the best span's score, and bias.
        support: Weight of the logit, and bias.
    """

    answerable: tuple[float, float, float] = (1.0, 0.0, 0.0)
    support: tuple[float, float] = (1.0, 0.0)


class BertReader:
    """A BERT encoder with three heads: whether a passage answers, where, and whether evidence supports a sentence.

    Args:
        identity: Name and fingerprint of the weights.
        model: The encoder in evaluation mode.
        heads: The heads' weights, float32, on the same device.
        tokenizer: Its tokenizer, with truncation and padding off.
        max_tokens: Window in tokens, for question and passage together.
        calibration: How scores become log-odds.
    """

    def __init__(
        self,
        identity: str,
        model: BertModel,
        heads: Mapping[str, torch.Tensor],
        tokenizer: Tokenizer,
        max_tokens: int,
        calibration: Calibration,
    ) -> None:
        self.identity = identity
        self.max_tokens = max_tokens
        self.calibration = calibration
        self._model = model
        self._heads = heads
        self._tokenizer = tokenizer
        self._pool = core_pool("reader")

    def read(self, question: str, passages: Sequence[str]) -> list[Reading]:
        """Read passages with a question in mind, one reading a passage, in order."""
        encoded = encode_pairs(self._tokenizer, [question] * len(passages), passages, self.max_tokens)
        logit_weight, span_weight, bias = self.calibration.answerable
        readings = []
        for pair, (logit, _, span) in zip(encoded, self._run(encoded), strict=True):
            own = span[pair.passage_at : pair.passage_at + len(pair.offsets)] - span[0]
            raw = Reading(logit, pair.offsets, own[:, 0], own[:, 1])
            score = min(SPAN_LIMIT, max(-SPAN_LIMIT, raw.best_span().score))
            odds = logit_weight * logit + span_weight * score + bias
            readings.append(Reading(odds, raw.offsets, raw.start, raw.end))
        return readings

    def support(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the probability that the second text of a pair supports the first, of shape (pairs,), float32."""
        firsts, seconds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        encoded = encode_pairs(self._tokenizer, firsts, seconds, self.max_tokens)
        weight, bias = self.calibration.support
        logits = np.array([row[1] for row in self._run(encoded)], dtype=np.float32)
        return (1 / (1 + np.exp(-np.clip(weight * logits + bias, -60, 60)))).astype(np.float32)

    def _run(self, pairs: Sequence[EncodedPair]) -> list[tuple[float, float, np.ndarray]]:
        """Return the logits of the heads for each pair, in order; those of the span of shape (tokens, 2)."""
        lengths = [len(pair.ids) for pair in pairs]
        on_cpu = self._model.device.type == "cpu"
        # Few pairs are shared out among the cores: one batch of all would leave every core but one idle.
        share = -(-sum(lengths) // self._pool._max_workers) + max(lengths, default=0) // 2
        batches = list(batches_of(lengths, min(TOKENS_PER_BATCH, share) if on_cpu else 8 * TOKENS_PER_BATCH))
        run = self._pool.map if on_cpu else map
        found: dict[int, tuple[float, float, np.ndarray]] = {}
        for batch, rows in zip(
            batches, run(self._forward, [[pairs[i] for i in batch] for batch in batches]), strict=True
        ):
            found |= dict(zip(batch, rows, strict=True))
        return [found[index] for index in range(len(pairs))]

    def _forward(self, pairs: list[EncodedPair]) -> list[tuple[float, float, np.ndarray]]:
        """Run one batch."""
        import torch

        with torch.inference_mode():
            hidden, _ = last_layer(self._model, [pair.ids for pair in pairs], [pair.passage_at for pair in pairs])
            parts = apply_heads(hidden, self._heads)
            answerable, support, span = (part.cpu().numpy() for part in parts)
        return [(float(answerable[i]), float(support[i]), span[i]) for i in range(len(pairs))]


def load_bert_reader(folder: Path, embedder: Path, device: str = "cpu", dtype: str = "auto") -> BertReader:
    """Load a reader from a folder.

    Args:
        folder: Where ``reader.safetensors`` and ``config.json`` are.
        embedder: Folder of the embedder that it was made from, for the embeddings of its words and the tokenizer.
        device: Where it runs.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"auto"``: see :func:`toolkit.embedding.load_embedder`.

    Raises:
        ModelError: It is not there, or cannot be loaded.
    """
    import torch

    file = folder / WEIGHTS_FILE
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ModelError(
                f"The reader in {folder} has format {config['format']}; this version reads {FORMAT}.", _HINT
            )
        answerable, support = config["calibration"]["answerable"], config["calibration"]["support"]
        calibration = Calibration(tuple(map(float, answerable)), tuple(map(float, support)))  # type: ignore[arg-type]
        weights = load_weights(file)
        identity = f"{config['name']}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        max_tokens = int(config["max_tokens"])
    except FileNotFoundError as error:
        raise ModelError(f"There is no reader in {folder}: {Path(error.filename).name} is missing.", _HINT) from None
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file raises whatever its library raises
        raise ModelError(f"The reader in {folder} cannot be loaded: {error}.", _HINT) from error
    layers = {name: value for name, value in weights.items() if not name.startswith(HEADS)}
    heads = {name.removeprefix(HEADS): value for name, value in weights.items() if name.startswith(HEADS)}
    model, tokenizer = open_bert(embedder, device, dtype, layers)
    wanted = head_shapes(model.config.hidden_size)
    if {name: tuple(value.shape) for name, value in heads.items()} != wanted:
        raise ModelError(f"The reader in {folder} lacks a head, or was made from another embedder.", _HINT)
    heads = {name: value.to(torch.device(device)) for name, value in heads.items()}
    return BertReader(identity, model, heads, tokenizer, max_tokens, calibration)
