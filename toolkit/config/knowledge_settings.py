"""The ``knowledge`` section: the documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from toolkit.config.section import Section
from toolkit.servers.address import model_address


class KnowledgeSettings(Section):
    """The documents and how they are found again."""

    documents: Path = Field(Path("documents"), description="folder, file or glob, relative to bot.yaml")
    embedder: str = Field(
        "bundled",
        description="'bundled' (all-MiniLM-L6-v2), a sentence-transformers id, a folder relative to bot.yaml, or a "
        "model on a server: 'ollama:<model>', ..., 'openai:<model>@<url>'",
    )
    chunk_tokens: Annotated[int, Field(ge=32, le=8192)] = Field(
        160, description="longest passage, in tokens of the embedder; never more than its window"
    )
    k: Annotated[int, Field(ge=1, le=100)] = Field(8, description="passages fetched for a question")
    reranker: str | None = Field(
        None, description="cross-encoder that reads the passages again and orders them: a hub id or a folder; slower"
    )
    mmr: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="balance of fit (1) and variety (0) of the passages; default: fit alone"
    )
    join_neighbours: Annotated[int, Field(ge=0, le=10)] = Field(
        0, description="passages before and after a hit that are joined with it where they continue it"
    )
    chroma_host: str | None = Field(
        None, description="host of a Chroma server that holds the vectors; default: the bot folder holds them"
    )
    chroma_port: Annotated[int, Field(ge=1, le=65535)] = Field(8000, description="port of the Chroma server")
    parse_seconds: Annotated[float, Field(gt=0)] = Field(30.0, description="longest time for one file, in seconds")
    parse_megabytes: Annotated[int, Field(ge=64)] = Field(1024, description="most memory for one file, in MiB")

    @field_validator("embedder")
    @classmethod
    def _is_no_broken_address(cls, value: str) -> str:
        model_address(value)
        return value
