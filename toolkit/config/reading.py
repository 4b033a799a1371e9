"""Reading and writing ``bot.yaml``: unknown keys refused, paths made absolute, all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolkit.config.bot_config import BotConfig
from toolkit.config.voice_settings import DEFAULT_METHOD, VOICES, VoiceSettings
from toolkit.errors import ConfigError


def load_config(path: Path | str, *, method: str | None = None) -> tuple[BotConfig, Path]:
    """Read ``bot.yaml``.

    Args:
        path: The file, or the folder that holds a ``bot.yaml``.
        method: Another tune method than the file's; keys of ``voice`` that mean something else to it are left out.

    Returns:
        The settings with every path made absolute, and the file they came from.

    Raises:
        ConfigError: The file is missing, is not YAML, or has faults; all faults are listed together.

    Example:
        >>> config, file = load_config("mybot/bot.yaml")
        >>> config.name, config.chain.max_new_tokens
        ('house', 12)
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
    return parse_config(raw if method is None else _with_method(raw, method), file), file


def _with_method(raw: Any, method: str) -> Any:
    """Put another tune method into what ``bot.yaml`` holds."""
    if not isinstance(raw, dict) or not isinstance(raw.get("voice"), dict | None):
        return raw  # the fault is named when it is parsed
    voice = raw.get("voice") or {}
    before, after = VOICES.get(voice.get("method", DEFAULT_METHOD)), VOICES.get(method)
    if before and after:
        # One that both have with the same default means the same to both; a rate or a rank of another kind does not.
        other = {key for key, field in before.model_fields.items() if field.default != _default(after, key)}
        voice = {key: value for key, value in voice.items() if key not in other or before is after}
    return raw | {"voice": voice | {"method": method}}


def _default(kind: type[VoiceSettings], key: str) -> Any:
    return kind.model_fields[key].default if key in kind.model_fields else None


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
        faults = [_fault(item, raw) for item in error.errors()]
        noun = "fault" if len(faults) == 1 else "faults"
        raise ConfigError(
            f"{file} has {len(faults)} {noun}:\n" + "\n".join(f"  - {fault}" for fault in faults),
            "Every key is described in docs/configuration.md.",
        ) from error
    return _absolute(config, file.resolve().parent)


def _fault(item: Any, raw: Any) -> str:
    """Put one fault of pydantic's into words with the key's whole path."""
    key = ".".join(str(part) for part in item["loc"]) or "bot.yaml"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(key, raw)}"
    if item["type"] == "missing":
        return f"{key}: missing"
    said = item["msg"].removeprefix("Value error, ")
    # A whole section that does not go together says so itself.
    return f"{key}: {said}" if isinstance(item["input"], dict) else f"{key}: {said} (found {item['input']!r})"[:300]


def _nearest(key: str, raw: Any) -> str:
    """Suggest the known key that an unknown one was probably meant to be."""
    import difflib

    section: Any = BotConfig
    *path, name = key.split(".")
    for part in path:
        annotation = section.model_fields[part].annotation
        section = next((a for a in getattr(annotation, "__args__", (annotation,)) if hasattr(a, "model_fields")), None)
        if section is None:
            return ""
    if path == ["voice"]:  # what it may hold depends on the method
        method = raw["voice"].get("method", DEFAULT_METHOD)
        section = VOICES[method]
        if any(name in other.model_fields for other in VOICES.values()):
            return f": method '{method}' has none of that name"
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
        files = {key: getattr(config.voice, key) for key in ("examples", "preferences")}
        named = {key: folder / file for key, file in files.items() if file is not None}
        update["voice"] = config.voice.model_copy(update=named)
    if config.evaluation.questions:
        questions = folder / config.evaluation.questions
        update["evaluation"] = config.evaluation.model_copy(update={"questions": questions})
    return config.model_copy(update=update)


def dump_config(config: BotConfig) -> str:
    """Write the resolved settings as YAML, in the order of the sections."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
