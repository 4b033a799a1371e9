"""The ``base`` section: the language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from toolkit.config.section import Section


class BaseSettings(Section):
    """The language model under the voice."""

    model: str = Field(
        "bundled",
        description="'bundled' (SmolLM2-135M-Instruct, grounded), 'bundled-plain', a hub id, or a local folder",
    )
    revision: str | None = Field(None, description="branch, tag or commit of a hub id")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the model runs")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="number format of the weights")
    load_in_4bit: bool = Field(False, description="serve the base in 4 bits (NF4): a third of the memory, on a GPU")
