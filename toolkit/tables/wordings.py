"""The languages in which questions over tables are understood."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from toolkit.language import Language
from toolkit.tables import en
from toolkit.tables.wording import Wording

WORDINGS: Mapping[str, Wording] = MappingProxyType({"en": en.WORDING})


def wording_of(language: Language) -> Wording | None:
    """Return what questions over tables sound like in a language; None where that is not known."""
    return WORDINGS.get(language.name)
