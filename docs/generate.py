"""Writes docs/cli.md and docs/configuration.md from the code; a test fails when they have drifted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


def command_line() -> str:
    """Return the help of every command as Markdown."""
    import typer
    from typer.testing import CliRunner

    from demo.command import app

    group: Any = typer.main.get_command(app)
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"})
    parts = ["# The command line\n\nWritten by `make docs`.\n"]
    for name in ["", *group.commands]:
        arguments = [name, "--help"] if name else ["--help"]
        output = runner.invoke(app, arguments, prog_name="housevoice").output
        text = "\n".join(line.rstrip() for line in output.strip().splitlines())
        parts.append(f"## housevoice {name}".rstrip() + f"\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def configuration() -> str:
    """Return every setting with its default and meaning as Markdown."""
    from toolkit.config import BotConfig

    parts = [
        "# Configuration\n\nEvery key of `bot.yaml`. Written by `make docs`. Unknown keys are refused, and all faults "
        "are reported together. Leave `knowledge` out for a voice alone, `voice` out for documents alone.\n",
        "| key | default | meaning |\n|---|---|---|\n"
        "| `name` | | name of the bot |\n| `output` | `../bots/<name>` | the bot folder, relative to bot.yaml |\n",
    ]
    for key, field in BotConfig.model_fields.items():
        annotation: Any = field.annotation
        section = next(
            (kind for kind in getattr(annotation, "__args__", (annotation,)) if hasattr(kind, "model_fields")), None
        )
        if section is None:
            continue
        rows = "".join(
            f"| `{name}` | `{_shown(item.default)}` | {item.description} |\n"
            for name, item in section.model_fields.items()
        )
        parts.append(f"## {key}\n\n| key | default | meaning |\n|---|---|---|\n{rows}")
    return "\n".join(parts)


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    (DOCS / "cli.md").write_text(command_line(), encoding="utf-8")
    (DOCS / "configuration.md").write_text(configuration(), encoding="utf-8")
