"""How far exports answer as their bot does: ``python benchmarks/exports.py bots/sample /tmp/exports``.

Every form is written with its adapter merged and, where it can be, apart, loaded again, and asked 100 prompts as the
bot serves them. Of the first 32 tokens of each greedy reply the bot's own model tells whether it would have written the
same, to the token or up to ties under .125 nats. Sizes and seconds, the proof among them, stand beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pipelines.cli.screen import progress, say
from pipelines.exporting import export_bot
from toolkit.errors import HousevoiceError
from toolkit.exporting import QUANTIZATIONS, Agreement

PROMPTS = 100
# The form, the number format of its GGUF, and where the adapter is. The others are these with other files around them.
RUNS = [
    ("merged", None, "merged"),
    *(("gguf", quantization, adapter) for adapter in ("merged", "apart") for quantization in QUANTIZATIONS),
    ("vllm", None, "apart"),
    ("ollama", "q8_0", "merged"),
    ("lmstudio", "q8_0", "merged"),
]


def shown(agreement: Agreement | None) -> str:
    """Return an agreement as a cell of a table."""
    if agreement is None:
        return ""
    alike = 1 - agreement.other / max(1, agreement.tokens)
    return f"{agreement.share:.0%} ({agreement.exact} exact, {agreement.tied} tied), {alike:.1%} of the tokens"


def run(bot: Path, folder: Path, prompts: int) -> list[str]:
    """Export a bot in every form and return the rows of a Markdown table."""
    rows = [
        "| `--to` | `--quantization` | `--adapter` | MiB | s | as the bot | as the same weights | loaded with |",
        "|---|---|---|---|---|---|---|---|",
    ]
    asked = None
    for to, quantization, adapter in RUNS:
        started, target = time.perf_counter(), folder / "-".join(filter(None, (to, quantization, adapter)))
        cells = [to, quantization or "", adapter]
        try:
            with progress() as on_progress:
                result = export_bot(
                    bot, to, output=target, quantization=quantization, adapter=adapter, prompts=prompts, asked=asked,
                    force=True, on_progress=on_progress, on_note=say,
                )  # fmt: skip
        except HousevoiceError as error:
            rows.append(f"| {' | '.join(cells)} | | | {error.message} | | |")
            continue
        seconds, asked = time.perf_counter() - started, result.asked
        cells += [f"{result.bytes / 2**20:.0f}", f"{seconds:.0f}", shown(result.agreement), shown(result.rounded)]
        rows.append(f"| {' | '.join([*cells, result.agreement.engine])} |")
        say(rows[-1])
    return rows


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bot", type=Path)
    parser.add_argument("folder", type=Path, help="where the exports go; about 2 GiB for the sample")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    given = parser.parse_args()
    print("\n".join(run(given.bot, given.folder, given.prompts)))


if __name__ == "__main__":
    main()
