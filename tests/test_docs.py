from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def _generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_line_page_is_what_the_commands_say():
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == _generator().command_line(), "run: make docs"


def test_the_configuration_page_is_what_the_settings_say():
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == _generator().configuration(), "run: make docs"
