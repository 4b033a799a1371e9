"""The general chat that comes with the package: readable, plain, varied, and packed with it."""

from __future__ import annotations

import fnmatch
import tomllib
from pathlib import Path

from tests.conftest import ROOT
from toolkit.examples import general_examples
from toolkit.examples.checks import contradictions, repeated
from toolkit.examples.general import FILE


def test_the_exchanges_are_many_short_and_all_different() -> None:
    examples = general_examples()
    assert len(examples) >= 60
    assert repeated(examples).level == contradictions(examples).level == "ok"
    assert max(len(example.reply.split()) for example in examples) <= 60
    assert len({example.reply.split()[0] for example in examples}) > len(examples) / 2
    assert any(example.history for example in examples)
    assert not any(example.declines for example in examples)


def test_the_file_is_packed_with_the_toolkit() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["toolkit"]
    inside = FILE.relative_to(ROOT / "toolkit")
    assert inside == Path("examples/general.jsonl")
    assert any(fnmatch.fnmatch(str(inside), pattern) for pattern in patterns)
