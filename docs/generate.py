"""Writes docs/cli.md, docs/configuration.md, docs/report.schema.json and the table of docs/methods.md from the code.

A test fails when they have drifted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
START, END = "<!-- written by make docs -->", "<!-- until here -->"


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
        "| `name` | | name of the bot |\n| `output` | `../bots/<name>` | the bot folder, relative to bot.yaml |\n"
        f"| `tools` | `[]` | {BotConfig.model_fields['tools'].description} |\n",
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
        if key == "voice":
            parts.append(_by_method())
    return "\n".join(parts)


def _by_method() -> str:
    """Return the keys of ``voice`` that not every method takes, or that differ in their defaults."""
    from toolkit.config import VOICES, VoiceSettings

    rows = []
    for kind in dict.fromkeys(VOICES.values()):
        names = ", ".join(f"`{name}`" for name, other in VOICES.items() if other is kind)
        for key, item in kind.model_fields.items():
            common = VoiceSettings.model_fields.get(key)
            if key != "method" and (common is None or common.default != item.default):
                rows.append(f"| {names} | `{key}` | `{_shown(item.default)}` | {item.description} |\n")
    return (
        "What else a [method](methods.md) takes, or takes another default for:\n\n"
        f"| method | key | default | meaning |\n|---|---|---|---|\n{''.join(rows)}"
    )


def methods() -> str:
    """Return the table of the tune methods as Markdown."""
    from toolkit.config import VOICES, WITHOUT_FOUR_BITS
    from toolkit.tuning import METHODS

    lora = {"is": "is one", "converts": "converts", "": ""}
    lines = ["| method | what is trained | `learning_rate` | in 4 bits | merges | LoRA |", "|---|---|---|---|---|---|"]
    for name, method in METHODS.items():
        trained = f"{method.trains} ({method.paper})" if method.paper else method.trains
        rate = VOICES[name].model_fields["learning_rate"].default
        four_bits, merges = ("yes" if can else "" for can in (name not in WITHOUT_FOUR_BITS, method.merges))
        cells = (f"`{name}`", trained, f"{rate:g}", four_bits, merges, lora[method.lora])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def report_schema() -> str:
    """Return the JSON schema of report.json."""
    from pipelines.report import Evaluation

    return json.dumps(Evaluation.model_json_schema(), indent=1) + "\n"


def with_table(page: str) -> str:
    """Return docs/methods.md with the table as it is now."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n{methods()}{END}{rest.partition(END)[2]}"


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    (DOCS / "cli.md").write_text(command_line(), encoding="utf-8")
    (DOCS / "configuration.md").write_text(configuration(), encoding="utf-8")
    (DOCS / "report.schema.json").write_text(report_schema(), encoding="utf-8")
    page = DOCS / "methods.md"
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
