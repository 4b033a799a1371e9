"""The ``voice`` section: the example replies and the tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from toolkit.config.section import Section


class VoiceSettings(Section):
    """The example replies and how the adapter learns from them. Names are those of PEFT and TRL."""

    examples: Path = Field(Path("voice.jsonl"), description="example replies, relative to bot.yaml")
    quantization: Literal["auto", "nf4", "none"] = Field(
        "auto", description="'nf4' is QLoRA, 'none' is LoRA on 16-bit weights; 'auto' takes nf4 where it runs"
    )
    r: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="rank of the update")
    lora_alpha: Annotated[int, Field(ge=1)] = Field(32, description="scale of the update is lora_alpha / r")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share of adapter inputs dropped")
    target_modules: str | list[str] = Field("all-linear", description="layers that get an adapter, as PEFT names them")
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = Field(5e-4, description="peak of the cosine schedule")
    num_train_epochs: Annotated[float, Field(gt=0, le=100)] = Field(3.0, description="passes over the examples")
    per_device_train_batch_size: Annotated[int, Field(ge=1)] = Field(4, description="rows a step")
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = Field(1, description="steps added up before an update")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, more time")
    max_length: Annotated[int, Field(ge=64)] = Field(640, description="longest training row, in tokens of the base")
    rows_without_passages: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="share of the rows with passages that are shown without them"
    )
    rows_that_decline: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="rows added, as a share of those with passages, that show a question with its answer taken out of "
        "the passages and a declining reply",
    )
    held_out: Annotated[float, Field(ge=0, lt=0.9)] = Field(
        0.15, description="share of the example replies kept from training, to measure the voice on"
    )
    min_examples: Annotated[int, Field(ge=2)] = Field(20, description="fewer example replies than this are refused")
    seed: int = Field(0, description="seed of every random choice of the tune")
