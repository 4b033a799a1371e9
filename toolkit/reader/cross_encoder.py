"""Any other reader: a cross-encoder of sentence-transformers, which tells whether a passage answers but not where."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.reader.base import Reading

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class CrossEncoderReader:
    """A cross-encoder by name, loaded when it is first asked.

    It gives one score a pair. Spans are unknown, so every token of a passage is as likely as any other, and the same
    score serves as support.

    Args:
        name: A folder, or an id of the hub.
        device: Where it runs; ``"auto"`` leaves the choice to sentence-transformers.
    """

    def __init__(self, name: str, device: str = "auto") -> None:
        self.identity = f"cross-encoder:{name}"
        self._name = name
        self._device = None if device == "auto" else device
        self._model: CrossEncoder | None = None
        self._lock = threading.Lock()

    def read(self, question: str, passages: Sequence[str]) -> list[Reading]:
        """Read passages with a question in mind, one reading a passage, in order.

        Raises:
            ModelError: The model cannot be loaded.
        """
        odds = self._log_odds([(question, passage) for passage in passages])
        readings: list[Reading] = []
        for passage, score in zip(passages, odds, strict=True):
            # One "token" for the whole passage: any span is as good as another, and that is the whole.
            whole = np.array([[0, len(passage)]], dtype=np.int32)
            half = np.array([score / 2], dtype=np.float32)
            readings.append(_Whole(float(score), whole, half, half))
        return readings

    def support(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the probability that the second text of a pair supports the first, of shape (pairs,), float32.

        Raises:
            ModelError: The model cannot be loaded.
        """
        return (1 / (1 + np.exp(-self._log_odds(pairs)))).astype(np.float32)

    def _log_odds(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return the log-odds of each pair, of shape (pairs,), float32, within 60 of zero."""
        if not pairs:
            return np.zeros(0, dtype=np.float32)
        import torch

        model = self._loaded()
        raw: Any = model.predict(
            list(pairs), activation_fn=torch.nn.Identity(), convert_to_numpy=True, show_progress_bar=False
        )
        scores = np.asarray(raw, dtype=np.float32)
        if scores.ndim == 2:
            # Two classes or more: the last one is "yes" by the habit of such models.
            scores = (
                scores[:, -1] - np.logaddexp.reduce(scores[:, :-1], axis=1) if scores.shape[1] > 1 else scores[:, 0]
            )
        return np.clip(scores, -60, 60)

    def _loaded(self) -> CrossEncoder:
        """Load the model once."""
        with self._lock:
            if self._model is None:
                if Path(self._name).is_absolute() and not Path(self._name).is_dir():
                    raise ModelError(f"The reader {self._name!r} cannot be loaded: there is no such folder.")
                from sentence_transformers import CrossEncoder

                try:
                    self._model = CrossEncoder(self._name, device=self._device, trust_remote_code=False)
                except (OSError, ValueError, RuntimeError) as error:
                    raise ModelError(
                        f"The reader {self._name!r} cannot be loaded: {str(error).splitlines()[0]}.",
                        "Give a folder with a cross-encoder, an id that can be reached, 'bundled' or 'none'.",
                    ) from error
            return self._model


class _Whole(Reading):
    """A reading without spans: every stretch of the passage scores alike."""

    def within(self, start: int, end: int, max_tokens: int = 30) -> float:
        """Return the passage's own score for any stretch that is not empty."""
        return self.answerable if end > start else -np.inf
