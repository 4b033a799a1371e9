"""The ``voice`` section: the example replies and the tune. What it may hold besides depends on ``voice.method``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from toolkit.config.section import Section

DEFAULT_METHOD = "qlora"

# Why the weights under a tune cannot be in 4 bits, and what to do, by method.
WITHOUT_FOUR_BITS = {
    "lora": "lora tunes weights that are not quantised; in 4 bits it is 'method: qlora'",
    "pissa": "pissa splits the weights of the base in two, which weights in 4 bits cannot be; set quantization to none",
    "full": "full tunes the weights themselves, and those in 4 bits have no gradient; set quantization to none",
    "qat": "qat quantises by itself while it trains; set quantization to none",
}
# Methods whose adapter preferences can go on from, with a copy of it in the same layers as the reference.
TAKE_PREFERENCES = ("qlora", "lora", "dora", "rslora", "pissa", "loftq")
# The settings of that second tune: the tune of the voice does not depend on them.
PREFERENCE_KEYS = (
    "preferences",
    "preference_loss",
    "preference_beta",
    "preference_learning_rate",
    "preference_epochs",
)
# Methods that put weights of their own in the place of those of the base.
REPLACE_WEIGHTS = ("full", "qat")

Rank = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


def _targets(default: Any = "all-linear") -> Any:
    return Field(default, description="layers that are tuned, as PEFT names them")


def _rate(default: float) -> Any:
    return Field(default, description="peak of the cosine schedule")


class VoiceSettings(Section):
    """The example replies and how they are learnt from: what every method takes. Names are those of PEFT and TRL.

    Called, it gives the settings of the method that is named, as ``pathlib.Path`` gives a path of the system it is on.

    Example:
        >>> type(VoiceSettings()).__name__, type(VoiceSettings(method="ia3")).__name__
        ('QLoraVoice', 'Ia3Voice')
    """

    examples: Path = Field(Path("voice.jsonl"), description="example replies, relative to bot.yaml")
    method: str = Field(DEFAULT_METHOD, description="how the voice is tuned: one of those in docs/methods.md")
    quantization: Literal["auto", "nf4", "none"] = Field(
        "none", description="the weights under the tune: 'nf4' in 4 bits, 'none' as they are; 'auto' nf4 where it runs"
    )
    learning_rate: Rate = _rate(5e-4)
    num_train_epochs: Annotated[float, Field(gt=0, le=100)] = Field(3.0, description="passes over the examples")
    per_device_train_batch_size: Positive = Field(4, description="rows a step")
    gradient_accumulation_steps: Positive = Field(1, description="steps added up before an update")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, more time")
    torch_compile: bool | None = Field(
        None,
        description="compile the layers before the tune, on a GPU: once half a minute for each length of rows; "
        "not set: where the run wins that back",
    )
    max_length: Annotated[int, Field(ge=64)] = Field(640, description="longest training row, in tokens of the base")
    rows_without_passages: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="share of the rows with passages that are shown without them"
    )
    rows_that_decline: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="rows added, as a share of those with passages, that show a question with its answer taken out of "
        "the passages and a declining reply",
    )
    rows_from_documents: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0,
        description="rows added, as a share of the example replies, that answer a question made from the documents in "
        "the document's own words",
    )
    # A tenth takes the forgetting away and costs voice: see docs/added-rows.md.
    replay_rows: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0, description="rows of general chat added, as a share of the example replies, as far as they go"
    )
    held_out: Annotated[float, Field(ge=0, lt=0.9)] = Field(
        0.15, description="share of the example replies kept from training, to measure the voice on"
    )
    min_examples: Annotated[int, Field(ge=2)] = Field(20, description="fewer example replies than this are refused")
    # Not by default: on the sample this loss is at its least after two of three passes, and whether the voice has
    # settled by then is not known.
    early_stopping_patience: Annotated[int, Field(ge=0)] = Field(
        0,
        description="measurements of the loss on held-out replies without a better one after which the tune stops; "
        "the best adapter is kept; 0 measures none",
    )
    report_to: Literal["none", "tensorboard"] = Field("none", description="who else is told the figures of the tune")
    preferences: Path | None = Field(
        None, description="replies that are wanted beside replies that are not, relative to bot.yaml"
    )
    preference_loss: Literal["auto", "dpo", "kto"] = Field(
        "auto", description="how preferences are learnt: 'auto' by dpo where all are pairs, else by kto"
    )
    preference_beta: Annotated[float, Field(gt=0, le=10)] = Field(
        0.1, description="beta of TRL: how much it costs to go away from the voice as it was tuned"
    )
    preference_learning_rate: Rate = Field(5e-5, description="peak of the cosine schedule of the preferences")
    preference_epochs: Annotated[float, Field(gt=0, le=100)] = Field(
        3.0, description="num_train_epochs of TRL: passes over the preferences"
    )
    seed: int = Field(0, description="seed of every random choice of the tune")

    def __new__(cls, *args: Any, **settings: Any) -> VoiceSettings:
        """Make settings of the method that is named."""
        if cls is VoiceSettings:
            cls = VOICES.get(settings.get("method", DEFAULT_METHOD), VoiceSettings)
        return super().__new__(cls)

    @model_validator(mode="wrap")
    @classmethod
    def _of_the_method(cls, raw: Any, handler: ModelWrapValidatorHandler[VoiceSettings]) -> VoiceSettings:
        """Read a section as the settings of the method that it names."""
        if cls is not VoiceSettings or not isinstance(raw, dict):
            return handler(raw)
        method = raw.get("method", DEFAULT_METHOD)
        if not isinstance(method, str) or method not in VOICES:
            raise PydanticCustomError(
                "unknown_method",
                "no method is called {method}; there are {known}",
                {"method": repr(method), "known": ", ".join(VOICES)},
            )
        return VOICES[method].model_validate(raw)

    @model_validator(mode="after")
    def _goes_together(self) -> VoiceSettings:
        if self.quantization != "none" and self.method in WITHOUT_FOUR_BITS:
            raise ValueError(WITHOUT_FOUR_BITS[self.method])
        if self.preferences is not None and self.method not in TAKE_PREFERENCES:
            raise ValueError(
                f"preferences do not go with {self.method}, but with {', '.join(TAKE_PREFERENCES)}; take one of those"
            )
        return self


class _RankKeys(VoiceSettings):
    r: Rank = Field(16, description="rank of the update")
    lora_dropout: Share = Field(0.0, description="share of adapter inputs dropped")
    target_modules: str | list[str] = _targets()


class _LoraKeys(_RankKeys):
    lora_alpha: Positive = Field(32, description="scale of the update is lora_alpha / r")


class QLoraVoice(_LoraKeys):
    """LoRA over weights in 4 bits."""

    method: Literal["qlora"] = "qlora"
    quantization: Literal["auto", "nf4", "none"] = Field(
        "auto", description="'nf4' in 4 bits, 'none' for LoRA on weights as they are; 'auto' takes nf4 where it runs"
    )


class LoraVoice(_LoraKeys):
    """LoRA and its relatives."""

    method: Literal["lora", "dora", "rslora", "pissa", "alora"] = "lora"


class LoftQVoice(_RankKeys):
    """LoRA that begins with what the 4 bits have lost."""

    method: Literal["loftq"] = "loftq"
    quantization: Literal["nf4"] = Field("nf4", description="the weights under the tune are in 4 bits")

    @property
    def lora_alpha(self) -> int:
        """As much as the rank: what the 4 bits have lost is made up for at a scale of 1."""
        return self.r


class VeraVoice(VoiceSettings):
    """Vectors that scale random matrices shared by all layers."""

    method: Literal["vera"] = "vera"
    learning_rate: Rate = _rate(5e-3)
    r: Rank = Field(256, description="rank of the shared matrices")
    vera_dropout: Share = Field(0.0, description="share of adapter inputs dropped")
    d_initial: Rate = Field(0.1, description="what the inner vectors begin with")
    target_modules: str | list[str] = _targets()


class Ia3Voice(VoiceSettings):
    """Vectors that scale keys, values and the MLP."""

    method: Literal["ia3"] = "ia3"
    learning_rate: Rate = _rate(1.5e-2)
    target_modules: str | list[str] | None = Field(
        None, description="layers that are tuned; default: those that PEFT knows for the family of the base"
    )
    feedforward_modules: list[str] | None = Field(
        None, description="those of them whose input is scaled in place of the output; default: as PEFT knows"
    )


class OftVoice(VoiceSettings):
    """Rotations of the inputs."""

    method: Literal["oft"] = "oft"
    learning_rate: Rate = _rate(1e-3)
    oft_block_size: Positive = Field(32, description="size of a rotated block; it divides the width of the layers")
    module_dropout: Share = Field(0.0, description="share of blocks left unrotated")
    target_modules: str | list[str] = _targets()


class MissVoice(VoiceSettings):
    """Rows that are shared by shards of a matrix."""

    method: Literal["miss"] = "miss"
    r: Rank = Field(64, description="rank of the update; at most the width of the layers")
    miss_dropout: Share = Field(0.0, description="share of adapter inputs dropped")
    target_modules: str | list[str] = _targets()


class _VirtualKeys(VoiceSettings):
    num_virtual_tokens: Annotated[int, Field(ge=1, le=1024)] = Field(20, description="virtual tokens before a prompt")


class PrefixVoice(_VirtualKeys):
    """Keys and values before those of a prompt."""

    method: Literal["prefix"] = "prefix"
    learning_rate: Rate = _rate(1e-2)
    prefix_projection: bool = Field(False, description="let a small network make the virtual tokens while they train")
    encoder_hidden_size: Positive = Field(128, description="width of that network")

    @model_validator(mode="after")
    def _keeps_activations(self) -> PrefixVoice:
        if self.gradient_checkpointing:
            raise ValueError(
                "prefix keeps its tokens in a cache, which recomputing fills twice; set gradient_checkpointing to false"
            )
        return self


class PromptVoice(_VirtualKeys):
    """Embeddings before those of a prompt."""

    method: Literal["prompt"] = "prompt"
    learning_rate: Rate = _rate(3e-2)
    prompt_tuning_init: Literal["SAMPLE_VOCAB", "RANDOM", "TEXT"] = Field(
        "SAMPLE_VOCAB", description="what the virtual tokens begin with: words by chance, noise, or a text"
    )
    prompt_tuning_init_text: str | None = Field(None, description="that text")

    @model_validator(mode="after")
    def _has_its_text(self) -> PromptVoice:
        if (self.prompt_tuning_init == "TEXT") != bool(self.prompt_tuning_init_text):
            raise ValueError("'prompt_tuning_init: TEXT' and prompt_tuning_init_text come together; set both or none")
        return self


class PTuningVoice(_VirtualKeys):
    """Embeddings before those of a prompt, made by a small network."""

    method: Literal["p_tuning"] = "p_tuning"
    learning_rate: Rate = _rate(5e-3)
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = Field("MLP", description="kind of the network")
    encoder_hidden_size: Positive = Field(128, description="width of the network")
    encoder_num_layers: Positive = Field(2, description="layers of an LSTM")
    encoder_dropout: Share = Field(0.0, description="share of the numbers in an LSTM dropped")


class BitFitVoice(VoiceSettings):
    """Biases."""

    method: Literal["bitfit"] = "bitfit"
    learning_rate: Rate = _rate(5e-3)
    target_modules: str | list[str] = _targets()


class BottleneckVoice(VoiceSettings):
    """Small networks after attention and MLP."""

    method: Literal["adapter"] = "adapter"
    learning_rate: Rate = _rate(1e-3)
    reduction_factor: Positive = Field(16, description="how much narrower the small network is than the base")
    non_linearity: Literal["relu", "gelu", "silu", "tanh"] = Field("gelu", description="what it bends with")
    adapter_dropout: Share = Field(0.0, description="share of adapter inputs dropped")
    target_modules: list[str] = Field(
        ["o_proj", "down_proj"], description="the layers that end attention and MLP, as PEFT names them"
    )


class FullVoice(VoiceSettings):
    """All weights."""

    method: Literal["full"] = "full"
    learning_rate: Rate = _rate(5e-5)


class QatVoice(VoiceSettings):
    """The weights of the linear layers, rounded to 4 bits while they train."""

    method: Literal["qat"] = "qat"
    learning_rate: Rate = _rate(5e-5)
    group_size: Annotated[int, Field(ge=16, le=256, multiple_of=16)] = Field(
        32, description="weights of a row that share a scale; it divides the width of the layers"
    )


# The settings of each method.
VOICES: dict[str, type[VoiceSettings]] = {
    "qlora": QLoraVoice,
    **dict.fromkeys(("lora", "dora", "rslora", "pissa"), LoraVoice),
    "loftq": LoftQVoice,
    "alora": LoraVoice,
    "vera": VeraVoice,
    "ia3": Ia3Voice,
    "oft": OftVoice,
    "miss": MissVoice,
    "prefix": PrefixVoice,
    "prompt": PromptVoice,
    "p_tuning": PTuningVoice,
    "bitfit": BitFitVoice,
    "adapter": BottleneckVoice,
    "full": FullVoice,
    "qat": QatVoice,
}
