"""The README has every module in its tree; what else it says is tested with the other pages, in test_docs.py."""

from __future__ import annotations

from tests.pages import README, ROOT


def test_every_module_is_in_the_tree() -> None:
    text = README.read_text(encoding="utf-8")
    layers = [ROOT / layer for layer in ("toolkit", "pipelines", "demo")]
    rooms = [file.parent for layer in layers for file in layer.glob("*/__init__.py")]
    modules = [file for layer in layers for file in layer.glob("*.py") if not file.name.startswith("__")]
    missing = [str(path.relative_to(ROOT)) for path in (*rooms, *modules) if path.stem not in text]
    assert not missing
