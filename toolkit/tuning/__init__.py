"""Rows into an adapter that is bound to its base."""

from toolkit.tuning.adapters import attach_adapter, check_base, lent_for_tuning
from toolkit.tuning.training import train_adapter

__all__ = ["attach_adapter", "check_base", "lent_for_tuning", "train_adapter"]
