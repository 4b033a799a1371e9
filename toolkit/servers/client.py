"""What every client of a model server shares: whether it is installed, its patience, and its errors said in words."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any

from toolkit.errors import MissingExtra, ModelError
from toolkit.servers.address import ModelAddress
from toolkit.servers.faults import missing, refused, silent, unable, unreachable
from toolkit.servers.listing import list_models

# A server is there or is not; how long a model may think is the settings' to say.
_CONNECT_SECONDS = 5.0
# The client wants a key, and a server without keys reads none.
_NO_KEY = "none"


def need_client() -> None:
    """See to it that the client of model servers is there.

    Raises:
        MissingExtra: It is not installed.
    """
    if importlib.util.find_spec("langchain_openai") is None:
        raise MissingExtra(
            "A model on a server needs langchain-openai, which is not installed.",
            "Install it with: pip install 'housevoice[remote]'",
        )


def client_options(address: ModelAddress, seconds: float, retries: int) -> dict[str, Any]:
    """Return what LangChain's clients of the OpenAI protocol are made with, whatever they ask for.

    Args:
        address: The server and the model.
        seconds: Longest silence.
        retries: How often a request is sent again.
    """
    import openai

    return {
        "model": address.model,
        "base_url": address.url,
        "api_key": address.key or _NO_KEY,
        "timeout": openai.Timeout(seconds, connect=_CONNECT_SECONDS),
        "max_retries": retries,
    }


def explained(error: Exception, address: ModelAddress, seconds: float) -> ModelError | None:
    """Return an error of the client with its remedy; None for one that is no fault of the server's.

    Args:
        error: What the client raised.
        address: The server and the model.
        seconds: Its patience.
    """
    import openai

    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return silent(address, seconds)
    if isinstance(error, openai.APIConnectionError):
        return unreachable(address, str(error.__cause__ or error).rstrip("."))
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return refused(address)
    if isinstance(error, openai.NotFoundError):
        listed: list[str] | None = None
        with contextlib.suppress(ModelError):
            listed = list_models(address)
        return missing(address, address.model, listed)
    if isinstance(error, openai.APIError):
        # FastAPI, which several servers stand on, tells the reason under another name than the protocol does.
        detail = error.body.get("detail") if isinstance(error.body, dict) else None
        return unable(address, str(detail or error.message))
    return None
