"""The settings of a bot, ``bot.yaml``: every key with its unit, unknown keys refused, all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolkit.errors import ConfigError

DECLINE = "I am sorry, the documents I have do not say anything about that."


class _Section(BaseModel):
    """A part of ``bot.yaml``: refuses keys it does not know and never changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class BaseSettings(_Section):
    """The language model under the voice."""

    model: str = Field("bundled", description="'bundled' (SmolLM2-135M-Instruct), a hub id, or a local folder")
    revision: str | None = Field(None, description="branch, tag or commit of a hub id")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the model runs")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="number format of the weights")
    load_in_4bit: bool = Field(False, description="serve the base in 4 bits (NF4): a third of the memory, on a GPU")


class KnowledgeSettings(_Section):
    """The documents and how they are found again."""

    documents: Path = Field(Path("documents"), description="folder, file or glob, relative to bot.yaml")
    embedder: str = Field(
        "bundled",
        description="'bundled' (all-MiniLM-L6-v2), or a sentence-transformers id, or a folder relative to bot.yaml",
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


class VoiceSettings(_Section):
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


class ChainSettings(_Section):
    """How a question becomes an answer."""

    system: str = Field(
        "You answer customers in the voice of the house. Use only the notes.",
        description="system message of every prompt, in training and in serving alike",
    )
    decline: str | None = Field(
        None, description="the reply where the documents do not tell; default: the most typical declining example reply"
    )
    evidence_sentences: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="sentences picked from the passages and shown to the model"
    )
    rewrite: Literal["auto", "never"] = Field("auto", description="turn a follow-up into a question of its own")
    max_false_refusals: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.08, description="share of answerable questions that the gate may decline when its threshold is fitted"
    )
    max_new_tokens: Annotated[int, Field(ge=8, le=4096)] = Field(96, description="longest reply, in tokens of the base")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, description="0 is greedy: the same reply each time")
    history_turns: Annotated[int, Field(ge=0, le=20)] = Field(3, description="earlier exchanges that are looked at")


class EvaluationSettings(_Section):
    """What the bot is measured on after a build."""

    questions: Path | None = Field(None, description="JSONL of questions with facts and sources, relative to bot.yaml")
    split: str | None = Field(None, description="only the questions whose 'split' is this")
    calibration_split: str | None = Field(
        None, description="the questions whose 'split' is this fit the gate, and are never reported on"
    )
    voice_prompts: Annotated[int, Field(ge=4)] = Field(32, description="held-out prompts that the voice is measured on")


    @model_validator(mode="after")
    def _reports_on_others(self) -> EvaluationSettings:
        if self.calibration_split is not None and self.split in (None, self.calibration_split):
            raise ValueError("a calibration_split needs a 'split' of its own to report on")
        return self


class BotConfig(_Section):
    """The whole of ``bot.yaml``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(description="name of the bot")
    output: Path | None = Field(None, description="the bot folder, relative to bot.yaml; default ../bots/<name>")
    base: BaseSettings = BaseSettings()
    knowledge: KnowledgeSettings | None = None
    voice: VoiceSettings | None = None
    chain: ChainSettings = ChainSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _has_a_half(self) -> BotConfig:
        if self.knowledge is None and self.voice is None:
            raise ValueError("a bot needs 'knowledge', 'voice', or both")
        return self


def load_config(path: Path | str) -> tuple[BotConfig, Path]:
    """Read ``bot.yaml``.

    Args:
        path: The file, or the folder that holds a ``bot.yaml``.

    Returns:
        The settings with every path made absolute, and the file they came from.

    Raises:
        ConfigError: The file is missing, is not YAML, or has faults; all faults are listed together.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "bot.yaml"
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist.", "Lay one out with: housevoice init <folder>") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigError(f"{file}{line} is not YAML: {getattr(error, 'problem', error)}.") from error
    return parse_config(raw, file), file


def parse_config(raw: Any, file: Path) -> BotConfig:
    """Check what ``bot.yaml`` holds and make its paths absolute.

    Args:
        raw: The parsed YAML.
        file: Where it came from; paths in it are relative to its folder.

    Raises:
        ConfigError: With every fault, one a line.
    """
    if not isinstance(raw, dict):
        raise ConfigError(f"{file} holds no settings.", "Lay a commented one out with: housevoice init <folder>")
    try:
        config = BotConfig.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors()]
        noun = "fault" if len(faults) == 1 else "faults"
        raise ConfigError(
            f"{file} has {len(faults)} {noun}:\n" + "\n".join(f"  - {fault}" for fault in faults),
            "Every key is described in docs/configuration.md.",
        ) from error
    return _absolute(config, file.resolve().parent)


def _fault(item: Any) -> str:
    """Put one fault of pydantic's into words with the key's whole path."""
    key = ".".join(str(part) for part in item["loc"]) or "bot.yaml"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(key)}"
    if item["type"] == "missing":
        return f"{key}: missing"
    return f"{key}: {item['msg'].removeprefix('Value error, ')} (found {item['input']!r})"[:300]


def _nearest(key: str) -> str:
    """Suggest the known key that an unknown one was probably meant to be."""
    import difflib

    section: Any = BotConfig
    *path, name = key.split(".")
    for part in path:
        annotation = section.model_fields[part].annotation
        section = next((a for a in getattr(annotation, "__args__", (annotation,)) if hasattr(a, "model_fields")), None)
        if section is None:
            return ""
    close = difflib.get_close_matches(name, section.model_fields, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known here: {', '.join(section.model_fields)}"


def _absolute(config: BotConfig, folder: Path) -> BotConfig:
    """Resolve the paths of ``config`` against the folder of its ``bot.yaml``."""
    update: dict[str, Any] = {"output": (folder / (config.output or Path("..") / "bots" / config.name)).resolve()}
    if config.knowledge:
        found: dict[str, Any] = {"documents": folder / config.knowledge.documents}
        for key in ("embedder", "reranker"):
            # A name that is no folder here is one on the hub.
            name = getattr(config.knowledge, key)
            if name not in (None, "bundled") and (folder / name).is_dir():
                found[key] = str((folder / name).resolve())
        update["knowledge"] = config.knowledge.model_copy(update=found)
    if config.voice:
        update["voice"] = config.voice.model_copy(update={"examples": folder / config.voice.examples})
    if config.evaluation.questions:
        questions = folder / config.evaluation.questions
        update["evaluation"] = config.evaluation.model_copy(update={"questions": questions})
    return config.model_copy(update=update)


def dump_config(config: BotConfig) -> str:
    """Write the resolved settings as YAML, in the order of the sections."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
