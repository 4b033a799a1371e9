"""An embedder on a server that speaks the OpenAI protocol, through LangChain's ``OpenAIEmbeddings``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.embedding.base import USUAL_WINDOW, Embedder, EmbedderIdentity, estimated_tokens, unit
from toolkit.errors import ModelError
from toolkit.servers import ModelAddress
from toolkit.servers.client import client_options, explained, need_client

# Vectors are told all at once: these many are there in less time on any machine, or are not coming.
_SECONDS = 60.0
_RETRIES = 2
_TEXTS_AT_ONCE = 64


class RemoteEmbedder(Embedder):
    """An embedder on a server.

    Its identity is the name of the model: the server may move. As nothing is known of the weights, the store compares
    a vector when it is opened. A server does not tell the model's window, so that passages have 256 tokens at most.

    Args:
        address: The server and the model.

    Raises:
        MissingExtra: ``langchain-openai`` is not installed.
        ModelError: The server does not answer, or has no such model.
    """

    verified = False

    def __init__(self, address: ModelAddress) -> None:
        need_client()
        import openai
        from langchain_openai import OpenAIEmbeddings

        options = client_options(address, _SECONDS, _RETRIES)
        self._address = address
        # What runs on this machine is not asked for through a proxy for the world outside.
        http = openai.DefaultHttpxClient(timeout=options["timeout"], trust_env=not address.is_local)
        self._client = OpenAIEmbeddings(
            **options,
            http_client=http,
            chunk_size=_TEXTS_AT_ONCE,
            check_embedding_ctx_length=False,  # it would send tokens of OpenAI's own models
        )
        self.max_tokens = USUAL_WINDOW
        self.identity = EmbedderIdentity(f"server:{address.model}", "", len(self._vectors(["dimension"])[0]), True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Estimate the tokens of each text, rather too many than too few."""
        return [estimated_tokens(text) for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts into unit vectors of shape ``(len(texts), dimension)``, float32.

        Raises:
            ModelError: The server does not answer, or gives other vectors than before.
        """
        if not texts:
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        vectors = self._vectors(texts)
        if vectors.shape != (len(texts), self.identity.dimension):
            raise ModelError(f"{self._address} gave vectors of shape {vectors.shape} for {len(texts)} texts.")
        return unit(vectors)

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        try:
            return np.asarray(self._client.embed_documents(list(texts)), dtype=np.float32)
        except Exception as error:  # noqa: BLE001 - told with its remedy, or raised as it is
            told = explained(error, self._address, _SECONDS)
            if told is None:
                raise
            raise told from error
