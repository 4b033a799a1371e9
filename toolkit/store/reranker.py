"""Cross-encoders: question and passage read together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.errors import ModelError
from toolkit.offline import call_nobody


class CrossEncoderReranker:
    """Scores passages by reading question and passage together: slower, and better than any vector.

    Args:
        model: A loaded ``sentence_transformers.CrossEncoder``.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one score a text, higher is better."""
        if not texts:
            return []
        scores = self._model.predict([(query, text) for text in texts], show_progress_bar=False)
        return [float(score) for score in scores]


def load_reranker(name: str, *, device: str = "cpu") -> CrossEncoderReranker:
    """Load a cross-encoder by its name on the hub, or from a folder.

    Raises:
        ModelError: It cannot be loaded.
    """
    call_nobody()
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoderReranker(CrossEncoder(name, device=device, trust_remote_code=False))
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The cross-encoder {name!r} cannot be loaded: {str(error).splitlines()[0]}.",
            "Give a folder with a cross-encoder, or an id that can be reached.",
        ) from error
