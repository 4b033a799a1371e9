"""Rows into an adapter that is bound to its base."""

from toolkit.tuning.adapters import attach_adapter, check_base
from toolkit.tuning.training import train_adapter

__all__ = ["attach_adapter", "check_base", "train_adapter"]
