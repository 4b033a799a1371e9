"""What every part of ``bot.yaml`` is: read once, and strict about its keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of ``bot.yaml``: refuses keys it does not know and never changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
