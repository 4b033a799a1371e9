"""The ``base`` section: the language model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.config.section import Section
from toolkit.servers.address import ModelAddress, model_address

# What a server decides for itself, and what only a server can be told.
_OF_WEIGHTS_HERE = ("revision", "engine", "device", "dtype", "load_in_4bit")
_OF_A_SERVER = ("adapter_name", "example_tokens", "timeout", "retries", "extra_body")


class BaseSettings(Section):
    """The language model under the voice."""

    model: str = Field(
        "bundled",
        description="'bundled' (SmolLM2-135M-Instruct, grounded), 'bundled-plain', a hub id, a folder, or a model on "
        "a server: 'ollama:<model>', 'lmstudio:', 'vllm:', 'llamacpp:', 'transformers:', 'openai:<model>@<url>'",
    )
    revision: str | None = Field(None, description="branch, tag or commit of a hub id")
    engine: Literal["auto", "transformers", "llamacpp"] = Field(
        "transformers",
        description="what runs the model when the bot is asked: transformers, the reference, or llama.cpp",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the model runs")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="number format of the weights")
    load_in_4bit: bool = Field(False, description="serve the base in 4 bits (NF4): a third of the memory, on a GPU")
    adapter_name: str | None = Field(
        None, description="of a server: the adapter that is the voice, as the server calls it"
    )
    example_tokens: Annotated[int, Field(ge=0)] = Field(
        600,
        description="of a server: room in a prompt for example replies, which are the voice where no adapter is, in "
        "tokens of about four letters",
    )
    timeout: Annotated[float, Field(gt=0)] = Field(
        120.0, description="of a server: longest silence before and within a reply, in seconds"
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="of a server: how often a request is sent again that failed before its reply began"
    )
    extra_body: dict[str, Any] = Field(
        {}, description="of a server: further fields of every request, such as {chat_template_kwargs: {...}}"
    )

    @field_validator("model")
    @classmethod
    def _is_no_broken_address(cls, value: str) -> str:
        model_address(value)
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> BaseSettings:
        """Refuse what would have no effect."""
        elsewhere = self.address is not None
        for key in _OF_WEIGHTS_HERE if elsewhere else _OF_A_SERVER:
            if getattr(self, key) != BaseSettings.model_fields[key].default:
                why = "is the server's to decide" if elsewhere else "is for a model on a server"
                raise ValueError(f"{key} {why}; leave it out where base.model is '{self.model}'")
        return self

    @property
    def address(self) -> ModelAddress | None:
        """Where the model is; None where it runs in this process."""
        return model_address(self.model)
