"""Rows into an adapter that is bound to its base."""

from toolkit.tuning.acceptance import Acceptance, measure_tune
from toolkit.tuning.adapters import attach_adapter, is_in_layers, lent_for_tuning, takes_padding
from toolkit.tuning.methods import METHODS, check_method
from toolkit.tuning.preferences import choose_loss, prefer
from toolkit.tuning.record import check_base
from toolkit.tuning.training import train_adapter

__all__ = [
    "METHODS",
    "Acceptance",
    "attach_adapter",
    "check_base",
    "check_method",
    "choose_loss",
    "is_in_layers",
    "lent_for_tuning",
    "measure_tune",
    "prefer",
    "takes_padding",
    "train_adapter",
]
