"""What a model server has: asked for its list, and looked for on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from toolkit.errors import ModelError
from toolkit.servers.address import PRESETS, ModelAddress
from toolkit.servers.faults import missing, refused, unreachable

# A list is told at once; a server that is just loading a model may take some seconds.
_LIST_SECONDS = 10.0
# On this machine a connection is there at once or not at all.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class FoundServer:
    """A server that runs on this machine.

    Attributes:
        kind: The preset that it is.
        url: Where.
        models: What it lists.
    """

    kind: str
    url: str
    models: tuple[str, ...]


def list_models(address: ModelAddress, *, seconds: float = _LIST_SECONDS) -> list[str] | None:
    """Return the names of a server's models; None where it has no such list.

    Args:
        address: The server.
        seconds: Longest wait.

    Raises:
        ModelError: It does not answer, or refuses the key.
    """
    rows = _rows(_get(address, f"{address.url}/models", seconds))
    return None if rows is None else [str(row["id"]) for row in rows]


def list_adapters(address: ModelAddress, *, seconds: float = _LIST_SECONDS) -> dict[str, int]:
    """Return the LoRA adapters of a llama.cpp server: their files' names, each with the number it is asked for by.

    Raises:
        ModelError: It does not answer, or refuses the key.
    """
    told = _get(address, f"{address.url.removesuffix('/v1')}/lora-adapters", seconds)
    rows = [row for row in told if isinstance(row, dict) and "id" in row] if isinstance(told, list) else []
    return {str(row.get("path", "")).replace("\\", "/").rsplit("/", 1)[-1]: int(row["id"]) for row in rows}


def check_model(address: ModelAddress) -> None:
    """See to it that a server runs and has the model.

    Raises:
        ModelError: It does not.
    """
    listed = list_models(address)
    # `transformers serve` lists what lies in the hub's cache, and serves folders and what it fetches as well.
    if listed is not None and address.kind != "transformers" and not has(listed, address.model):
        raise missing(address, address.model, listed)


def has(listed: list[str], model: str) -> bool:
    """Tell whether a list of models holds one; Ollama writes ``:latest`` where nobody named a tag."""
    return model in listed or f"{model}:latest" in listed


def find_servers(*, seconds: float = _LOOK_SECONDS) -> Iterator[FoundServer]:
    """Yield the model servers that run on this machine, on their usual ports.

    Args:
        seconds: Longest wait for each.
    """
    seen: set[str] = set()
    for kind, preset in PRESETS.items():
        if preset.url in seen:
            continue
        seen.add(preset.url)
        try:
            rows = _rows(_get(ModelAddress(kind, "", preset.url), f"{preset.url}/models", seconds))
        except ModelError:
            continue
        if rows is not None:
            models = tuple(str(row["id"]) for row in rows)
            yield FoundServer(_kind_of(kind, rows), preset.url, models)


def _kind_of(kind: str, rows: list[dict[str, Any]]) -> str:
    """Tell two servers on the same port apart: vLLM signs its list."""
    if kind == "vllm" and not any(row.get("owned_by") == "vllm" for row in rows):
        return "transformers"
    return kind


def _rows(told: Any) -> list[dict[str, Any]] | None:
    """Return the entries of a list of models; None where it is none, as of another program on the port."""
    rows = told.get("data") if isinstance(told, dict) else None
    if told is not None and isinstance(told, dict) and rows is None and "object" in told:
        return []  # Ollama without a single model
    return [row for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else None


def _get(address: ModelAddress, url: str, seconds: float) -> Any:
    """Return what a server tells as JSON; None where it has no such page.

    Raises:
        ModelError: It does not answer, or refuses the key.
    """
    import httpx

    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    try:
        # A proxy for the world outside must not be asked for what runs on this machine.
        reply = httpx.get(url, headers=headers, timeout=seconds, trust_env=not address.is_local)
    except httpx.TimeoutException as error:
        raise unreachable(address, f"nothing within {seconds:g} s") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise unreachable(address, str(error) or type(error).__name__) from error
    if reply.status_code in (401, 403):
        raise refused(address)
    if reply.is_error:
        return None
    try:
        return reply.json()
    except ValueError:
        return None
