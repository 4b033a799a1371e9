"""What an export says of itself: a README for people, and a record for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.exporting.forms import PUBLISHER, Written
from pipelines.exporting.wanted import RECORD, Wanted
from toolkit.bot import installed_versions
from toolkit.config import BotConfig
from toolkit.exporting import Agreement
from toolkit.files import write_text
from toolkit.prompts import answer_messages

_USE = {
    "merged": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
```""",
    "gguf": "Any program on llama.cpp opens it: `llama-server -m {file}{lora}`.",
    "ollama": "In this folder: `ollama create {name} -f Modelfile`, then `ollama run {name}`.",
    "lmstudio": "Put the folder `{publisher}` of this export into LM Studio's own folder of models, which is "
    "`~/.lmstudio/models` unless it was moved: the file then lies in `~/.lmstudio/models/{publisher}/{name}/`, and the "
    "model is listed as `{publisher}/{name}`.",
    "vllm": "`sh serve.sh` serves it on port 8000 under the name `{name}`{plain}; further options of `vllm serve` may "
    "follow.",
}


def write_card(
    folder: Path,
    wanted: Wanted,
    config: BotConfig,
    written: Written,
    agreement: Agreement,
    rounded: Agreement | None,
    *,
    base: str,
) -> None:
    """Write the README and the record of an export.

    Args:
        folder: Where the export lies.
        wanted: What it is.
        config: The settings of the bot.
        written: Its files.
        agreement: How far it answers as the bot does.
        rounded: How far it answers as the same weights do in this process; None where they were not rounded further.
        base: Name and fingerprint of the base.
    """
    voice = f"tuned by `{wanted.method}`" if wanted.method else "that of the base: the bot has no voice of its own"
    lies = "" if wanted.method is None else " in a file of its own" if wanted.apart else ", merged into the weights"
    use = _USE[wanted.form].format(
        folder=config.name,
        file=written.model.name,
        lora=f" --lora {written.adapter.name}" if written.adapter else "",
        name=config.name,
        publisher=PUBLISHER,
        plain=f", and without its voice as `{config.name}-plain`" if wanted.apart else "",
    )
    messages = answer_messages(config.chain.system, "When are you open?", ["Opening hours: from 9 to 5."])
    shown = "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
    compared = [f"- with the bot: {agreement}"]
    if rounded is not None:
        compared.append(f"- with the same weights, rounded to {wanted.quantization}: {rounded}")
    header = "library_name: transformers\n" if wanted.form == "merged" else ""
    text = f"""---
pipeline_tag: text-generation
{header}---
# {config.title or config.name}

Exported by housevoice for {wanted.form}{f" in {wanted.quantization}" if wanted.quantization else ""}.

- base: {base}
- voice: {voice}{lies}

The licence of the base applies to these weights.

## Use

{use}

It is the model alone: what the bot knows of its documents, it is shown as notes with each question. It was trained on
prompts that are laid out like this:

```text
{shown}
```

## Compared with the bot

Greedy replies to {agreement.prompts} prompts as the bot serves them, the voice on:

{chr(10).join(compared)}
"""
    write_text(folder / "README.md", text)
    write_text(folder / RECORD, json.dumps(_record(wanted, config, agreement, rounded, base), indent=2) + "\n")


def _record(
    wanted: Wanted, config: BotConfig, agreement: Agreement, rounded: Agreement | None, base: str
) -> dict[str, Any]:
    return {
        "bot": config.name,
        "to": wanted.form,
        "quantization": wanted.quantization,
        "adapter": None if wanted.method is None else "apart" if wanted.apart else "merged",
        "base": base,
        "with_the_bot": vars(agreement),
        "with_the_same_weights": vars(rounded) if rounded else None,
        "libraries": installed_versions(),
    }
