"""Errors: a message, a remedy, and both survive the way between processes."""

from __future__ import annotations

import pickle

import pytest

from toolkit import errors

KINDS = [
    errors.ConfigError,
    errors.DataError,
    errors.ModelError,
    errors.AdapterMismatch,
    errors.IndexMismatch,
    errors.StoreLocked,
    errors.StoreFull,
    errors.TuneDiverged,
    errors.TuneRejected,
    errors.MissingExtra,
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_caught_as_one_and_crosses_processes_whole(kind: type[errors.HousevoiceError]) -> None:
    back = pickle.loads(pickle.dumps(kind("The lamp is out.", "Light it.")))
    assert type(back) is kind
    assert isinstance(back, errors.HousevoiceError)
    assert (back.message, back.hint) == ("The lamp is out.", "Light it.")


def test_text_is_message_then_hint() -> None:
    assert str(errors.DataError("The lamp is out.", "Light it.")) == "The lamp is out.\nLight it."
    assert str(errors.DataError("The lamp is out.")) == "The lamp is out."
