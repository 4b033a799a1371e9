"""Servers that models run on: their addresses, what they have, and what can be wrong with them."""

from toolkit.servers.address import KINDS, PRESETS, ModelAddress, model_address
from toolkit.servers.listing import FoundServer, check_model, find_servers, list_adapters, list_models

__all__ = [
    "KINDS", "PRESETS", "FoundServer", "ModelAddress", "check_model", "find_servers", "list_adapters", "list_models",
    "model_address",
]  # fmt: skip
