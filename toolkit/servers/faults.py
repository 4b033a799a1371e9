"""What can go wrong with a model server, said with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.errors import ModelError
from toolkit.servers.address import PRESETS, ModelAddress

_NAMED_MODELS = 12


def unreachable(address: ModelAddress, why: str) -> ModelError:
    """Return the error for a server that does not answer."""
    preset = PRESETS.get(address.kind)
    start = f"Start it ({preset.start.format(model=address.model)}), or correct" if preset else "Start it, or correct"
    return ModelError(f"No server answers at {address.url}: {why}.", f"{start} the address in bot.yaml.")


def silent(address: ModelAddress, seconds: float) -> ModelError:
    """Return the error for a server that takes too long."""
    return ModelError(
        f"The server at {address.url} said nothing for {seconds:g} s.",
        "Raise base.timeout where it is the base, or take a smaller model or less evidence (chain.evidence_tokens).",
    )


def broken_off(address: ModelAddress) -> ModelError:
    """Return the error for a reply that ends before the server says that it is whole."""
    return ModelError(
        f"The server at {address.url} broke off in the middle of a reply.", "Look into its log, and ask again."
    )


def unable(address: ModelAddress, why: str) -> ModelError:
    """Return the error for a server that answers that it cannot."""
    return ModelError(
        f"The server at {address.url} could not reply: {why}",
        "Look into its log. It may be busy, or the prompt too long for it: lower chain.evidence_tokens or "
        "base.example_tokens, or give the model a longer context.",
    )


def refused(address: ModelAddress) -> ModelError:
    """Return the error for a key that the server does not take."""
    wrong = "the key" if address.key else "a request without a key"
    return ModelError(
        f"The server at {address.url} refuses {wrong}.",
        f"Put its key into the environment variable {address.key_name}.",
    )


def missing(address: ModelAddress, model: str, listed: Sequence[str] | None) -> ModelError:
    """Return the error for a model that the server does not have.

    Args:
        address: The server.
        model: What it was asked for.
        listed: What it has; None where it does not tell.
    """
    has = f"; it has {named(listed)}" if listed else "; it has none" if listed is not None else ""
    preset = PRESETS.get(address.kind)
    fetch = f"Put it there ({preset.fetch.format(model=model)}), or name" if preset else "Name"
    return ModelError(f"The server at {address.url} has no model '{model}'{has}.", f"{fetch} another one in bot.yaml.")


def named(models: Sequence[str]) -> str:
    """Return the names of models, the first of many."""
    more = f" and {len(models) - _NAMED_MODELS} more" if len(models) > _NAMED_MODELS else ""
    return ", ".join(models[:_NAMED_MODELS]) + more
