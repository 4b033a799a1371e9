"""Exports of the small bot: written, loaded again and compared; refused where they cannot be, with nothing left."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import pipelines
from pipelines.cli.app import new_app
from pipelines.exporting import ExportResult, export_bot
from pipelines.parts import Openers, open_base
from toolkit.config import BaseSettings
from toolkit.errors import ConfigError, DataError, ModelError, StoreFull
from toolkit.exporting.families import Places
from toolkit.models import LoadedModel
from toolkit.testing import HashEmbedder
from toolkit.tuning.training import keep_training_kernels

pytestmark = pytest.mark.usefixtures("embedder")
# Enough for a wrong one to show, on replies that mean nothing.
PROMPTS = 3
needs_llama_cpp = pytest.mark.usefixtures("_llama_cpp")


@pytest.fixture
def _llama_cpp() -> None:
    pytest.importorskip("xllamacpp")


@pytest.fixture
def export(small_bot: Path, tmp_path: Path) -> Callable[..., ExportResult]:
    """Return what exports the small bot to ``out``."""
    return lambda to, **options: export_bot(
        small_bot, to, **({"output": tmp_path / "out", "prompts": PROMPTS} | options)
    )


def change(bot: Path, **sections: Any) -> None:
    """Change keys in sections of a built bot's settings."""
    file = bot / "bot.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section, keys in sections.items():
        raw[section] |= keys
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_merged_weights_open_with_transformers_alone(export: Callable[..., ExportResult], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    told: list[str] = []
    result = export("merged", on_progress=lambda what, done, total: told.append(what))
    assert result.agreement.share == 1
    assert result.agreement.engine.startswith("transformers")
    assert result.rounded is None
    model, tokenizer = (kind.from_pretrained(result.folder) for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    assert tokenizer.chat_template
    record = json.loads((result.folder / "export.json").read_text(encoding="utf-8"))
    assert (record["to"], record["adapter"], record["with_the_bot"]["prompts"]) == ("merged", "merged", PROMPTS)
    assert "agree in their first 32 tokens" in (result.folder / "README.md").read_text(encoding="utf-8")
    assert {"Laying out prompts", "Writing the model", "Asking the export", "Comparing with the bot"} <= set(told)
    assert left_in(tmp_path) == ["out"]


@needs_llama_cpp
def test_a_modelfile_lies_beside_a_gguf_and_an_adapter_of_their_own(export: Callable[..., ExportResult]) -> None:
    result = export("ollama", adapter="apart")
    assert left_in(result.folder) == [
        "Modelfile", "README.md", "export.json", "house-base-q8_0.gguf", "house-voice.gguf"
    ]  # fmt: skip
    written = (result.folder / "Modelfile").read_text(encoding="utf-8")
    assert "FROM ./house-base-q8_0.gguf\nADAPTER ./house-voice.gguf\n" in written
    assert result.rounded is not None
    assert result.rounded.share == 1
    assert result.rounded.engine.startswith("xllamacpp")


def test_lm_studio_finds_a_gguf_two_folders_deep(
    export: Callable[..., ExportResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.exporting.proving.is_installed", lambda: False)
    result = export("lmstudio", quantization="f16")
    assert (result.folder / "housevoice" / "house" / "house-f16.gguf").is_file()
    assert result.agreement.share == 1
    assert result.agreement.engine.startswith("transformers")  # without llama.cpp


def test_vllm_gets_base_and_adapter_and_the_command(export: Callable[..., ExportResult]) -> None:
    result = export("vllm", adapter="apart")
    assert left_in(result.folder) == ["README.md", "adapter", "base", "export.json", "serve.sh"]
    command = (result.folder / "serve.sh").read_text(encoding="utf-8")
    assert "vllm serve ./base " in command
    assert "--max-lora-rank 8 --lora-modules house=./adapter" in command
    settings = json.loads((result.folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == "./base"
    assert result.agreement.share == 1


def test_a_base_served_in_4_bits_goes_along_as_what_they_stand_for(bot_copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    change(bot_copy, base={"load_in_4bit": True})

    def open_narrow(settings: BaseSettings, quantization: str, on_progress: Any) -> LoadedModel:
        assert quantization == "nf4"
        loaded = open_base(settings, quantization, on_progress)
        keep_training_kernels(loaded.model)  # the other one wants layers that are wider than these
        return loaded

    result = export_bot(bot_copy, "merged", output=tmp_path / "out", prompts=PROMPTS, openers=Openers(base=open_narrow))
    assert result.agreement.share == 1


def test_a_bot_without_a_voice_goes_along_as_its_base(bot_copy: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load((bot_copy / "bot.yaml").read_text(encoding="utf-8"))
    (bot_copy / "bot.yaml").write_text(yaml.safe_dump(raw | {"voice": None}), encoding="utf-8")
    asked = tmp_path / "asked.jsonl"
    asked.write_text(json.dumps({"question": "What does the Ember lamp cost?", "unanswerable": True}), encoding="utf-8")
    result = export_bot(bot_copy, "gguf", output=tmp_path / "out", quantization="f16", questions=asked)
    assert (result.agreement.prompts, result.agreement.share) == (1, 1)
    assert result.wanted.method is None
    with pytest.raises(ConfigError, match="no adapter"):
        export_bot(bot_copy, "vllm", adapter="apart")


@needs_llama_cpp
def test_a_gguf_that_was_written_wrong_is_not_handed_out(
    export: Callable[..., ExportResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Places, "laid_out", lambda self, tensor, rows: rows)  # queries and keys as they lie elsewhere
    with pytest.raises(ModelError, match="answers otherwise"):
        export("gguf", quantization="f16")
    assert left_in(tmp_path) == ["out"]
    assert left_in(tmp_path / "out") == []


def test_what_is_there_is_kept_unless_it_is_an_export_and_that_is_asked_for(
    export: Callable[..., ExportResult], small_bot: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "export.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="holds an export") as refused:
        export("merged")
    assert "--force" in refused.value.hint
    (out / "export.json").rename(out / "letters.txt")
    for place, force in ((out, True), (small_bot, True), (small_bot.parent, True)):
        with pytest.raises(DataError, match="--output|is no export|bot itself"):
            export("merged", output=place, force=force)
    assert left_in(out) == ["letters.txt"]
    shutil.rmtree(out)
    assert export("vllm").folder == out
    assert export("merged", force=True).folder == out
    assert not (out / "serve.sh").exists()


def test_what_does_not_go_together_is_refused_before_a_model_is_loaded(
    export: Callable[..., ExportResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.parts.Parts.base", lambda self: pytest.fail("a model was loaded"))
    for to, options, why in (
        ("paper", {}, "none of merged"),
        ("gguf", {"quantization": "q2"}, "none of f16"),
        ("merged", {"quantization": "q8_0"}, "16 bits"),
        ("merged", {"adapter": "apart"}, "in its weights"),
        ("lmstudio", {"adapter": "apart"}, "loads no adapters"),
    ):
        with pytest.raises(ConfigError, match=why):
            export(to, **options)


def test_a_voice_that_does_not_merge_is_refused(bot_copy: Path) -> None:
    change(bot_copy, voice={"method": "alora"})
    with pytest.raises(ModelError, match="where a reply begins"):
        export_bot(bot_copy, "gguf")


def test_a_full_disk_is_seen_before_anything_is_written(
    export: Callable[..., ExportResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("pipelines.exporting.wanted.shutil.disk_usage", lambda place: usage(1, 1, 1000))
    with pytest.raises(StoreFull, match="are free"):
        export("merged")
    assert left_in(tmp_path) == []


def test_a_bot_away_from_its_sources_is_asked_what_it_was_measured_on(
    bot_copy: Path, tmp_path: Path, embedder: HashEmbedder
) -> None:
    change(bot_copy, voice={"examples": "gone.jsonl"}, evaluation={"questions": None})
    (bot_copy / "report").mkdir(exist_ok=True)
    report = bot_copy / "report" / "report.json"
    report.write_text(json.dumps({"details": []}), encoding="utf-8")
    with pytest.raises(DataError, match="no questions") as refused:
        export_bot(bot_copy, "merged")
    assert "--questions" in refused.value.hint
    asked = {"details": [{"question": "What does the Ember lamp cost?"}]}
    report.write_text(json.dumps(asked), encoding="utf-8")
    assert export_bot(bot_copy, "merged").agreement.prompts == 1
    assert (bot_copy / "export" / "merged" / "README.md").is_file()


def test_the_command_tells_where_the_export_lies(small_bot: Path, tmp_path: Path) -> None:
    asked = ["export", str(small_bot), "--to", "vllm", "--output", str(tmp_path / "out"), "--prompts", "1"]
    done = CliRunner().invoke(new_app(), asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out")
    assert "Compared with the bot: 1 of 1 replies agree" in done.stderr


def test_it_is_one_of_the_jobs_that_are_offered() -> None:
    assert pipelines.export_bot is export_bot
