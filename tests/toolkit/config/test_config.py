"""``bot.yaml``: every fault at once, with the key, what was found, and what was probably meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.config import VOICES, BotConfig, VoiceSettings, dump_config, load_config, parse_config
from toolkit.errors import ConfigError

HERE = Path("bot.yaml")


def write(folder: Path, raw: Any) -> Path:
    file = folder / "bot.yaml"
    file.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw), encoding="utf-8")
    return file


def faults(raw: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, Path("bot.yaml"))
    return caught.value


def test_all_faults_come_together() -> None:
    error = faults(
        {
            "name": "my bot!",
            "bsae": {},
            "knowledge": {"k": 0, "chunk_token": 100},
            "voice": {"lora_alpha": "many", "quantization": "nf8"},
        }
    )
    assert "6 faults" in error.message
    for key in ("name:", "bsae:", "knowledge.k:", "knowledge.chunk_token:", "voice.lora_alpha:", "voice.quantization:"):
        assert f"- {key}" in error.message
    assert "'many'" in error.message
    assert "'nf8'" in error.message
    assert error.hint


@pytest.mark.parametrize("split", [None, "tune"])
def test_nothing_is_reported_that_the_gate_was_fitted_on(split: str | None) -> None:
    error = faults({"name": "a", "voice": {}, "evaluation": {"split": split, "calibration_split": "tune"}})
    assert "a 'split' of its own" in error.message


def test_one_fault_is_one_fault() -> None:
    assert "1 fault:" in faults({"name": "a", "voice": {"r": 0}}).message


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ({"name": "a", "voice": {"learning_rat": 0.1}}, "learning_rate"),
        ({"name": "a", "knowlege": {}, "voice": {}}, "knowledge"),
        ({"name": "a", "voice": {}, "base": {"modle": "x"}}, "model"),
    ],
)
def test_unknown_key_suggests_the_known_one(raw: dict[str, Any], meant: str) -> None:
    assert f"did you mean '{meant}'?" in faults(raw).message


def test_unknown_key_like_no_other_lists_those_that_there_are() -> None:
    message = faults({"name": "a", "voice": {}, "evaluation": {"zzz": 1}}).message
    assert "known here: questions, split, calibration_split, voice_prompts" in message


def test_missing_name_and_missing_halves_are_named() -> None:
    assert "name: missing" in faults({"voice": {}}).message
    assert "a bot needs 'knowledge', 'voice', or both" in faults({"name": "a"}).message


def voice_of(**voice: Any) -> VoiceSettings:
    config = parse_config({"name": "a", "base": {"load_in_4bit": voice.get("method") == "loftq"}, "voice": voice}, HERE)
    assert config.voice is not None
    return config.voice


def test_a_voice_without_a_method_is_tuned_by_qlora() -> None:
    voice = voice_of(quantization="none", r=8)
    assert (voice.method, voice.quantization, type(voice)) == ("qlora", "none", VOICES["qlora"])
    assert voice_of().quantization == "auto"
    assert VoiceSettings(quantization="none", r=8) == voice.model_copy(update={"examples": Path("voice.jsonl")})


@pytest.mark.parametrize("method", VOICES)
def test_each_method_has_its_settings_and_they_read_back_the_same(method: str) -> None:
    voice = voice_of(method=method)
    assert type(voice) is VOICES[method]
    assert voice.quantization == {"qlora": "auto", "loftq": "nf4"}.get(method, "none")
    config = parse_config({"name": "a", "base": {"load_in_4bit": method == "loftq"}, "voice": {"method": method}}, HERE)
    again = BotConfig.model_validate(yaml.safe_load(dump_config(config)))
    assert again == config
    assert type(again.voice) is VOICES[method]
    assert type(VoiceSettings(method=method)) is VOICES[method]


def test_a_key_of_another_method_is_refused() -> None:
    error = faults({"name": "a", "voice": {"method": "ia3", "r": 8, "lerning_rate": 0.1, "zzz": 1}})
    assert "voice.r: unknown key: method 'ia3' has none of that name" in error.message
    assert "did you mean 'learning_rate'?" in error.message
    assert "feedforward_modules" in error.message
    assert "voice.num_virtual_tokens" in faults({"name": "a", "voice": {"num_virtual_tokens": 8}}).message


@pytest.mark.parametrize("method", ["qlra", 3, None])
def test_a_method_that_there_is_not_is_named_with_those_that_there_are(method: Any) -> None:
    message = faults({"name": "a", "voice": {"method": method, "r": 0}}).message
    assert f"no method is called {method!r}" in message
    assert ", ".join(VOICES) in message


@pytest.mark.parametrize(
    ("voice", "base", "says"),
    [
        ({"method": "pissa", "quantization": "nf4"}, {}, "set quantization to none"),
        ({"method": "full", "quantization": "auto"}, {}, "set quantization to none"),
        ({"method": "qat", "quantization": "nf4"}, {}, "set quantization to none"),
        ({"method": "lora", "quantization": "nf4"}, {}, "'method: qlora'"),
        ({"method": "loftq"}, {}, "set base.load_in_4bit"),
        ({"method": "full"}, {"load_in_4bit": True}, "set base.load_in_4bit to false"),
        ({"method": "qat"}, {"load_in_4bit": True}, "set base.load_in_4bit to false"),
        ({"method": "prefix", "gradient_checkpointing": True}, {}, "set gradient_checkpointing to false"),
        ({"method": "prompt", "prompt_tuning_init": "TEXT"}, {}, "set both or none"),
        ({"method": "prompt", "prompt_tuning_init_text": "Be kind."}, {}, "set both or none"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(
    voice: dict[str, Any], base: dict[str, Any], says: str
) -> None:
    message = faults({"name": "a", "voice": voice, "base": base}).message
    assert "1 fault:" in message
    assert says in message
    assert voice["method"] in message
    assert "found" not in message


def test_another_method_is_put_in_place_of_that_of_the_file(tmp_path: Path) -> None:
    raw = {"name": "a", "voice": {"r": 8, "learning_rate": 0.1, "oops": 1}}
    with pytest.raises(ConfigError, match="voice.oops: unknown key") as caught:
        load_config(write(tmp_path, raw), method="ia3")
    assert "voice.r" not in caught.value.message
    del raw["voice"]["oops"]
    voice = load_config(write(tmp_path, raw), method="ia3")[0].voice
    assert voice is not None
    assert (voice.method, voice.learning_rate) == ("ia3", VOICES["ia3"]().learning_rate)
    raw["voice"] |= {"quantization": "nf4", "num_train_epochs": 2, "target_modules": ["q_proj"]}
    same = load_config(write(tmp_path, raw), method="qlora")[0].voice
    assert same is not None
    assert (same.quantization, same.learning_rate) == ("nf4", 0.1)
    dora = load_config(tmp_path, method="dora")[0].voice
    assert dora is not None
    assert dora.model_dump() == VoiceSettings(
        method="dora", r=8, learning_rate=0.1, num_train_epochs=2, target_modules=["q_proj"], examples=dora.examples
    ).model_dump()
    with pytest.raises(ConfigError, match="no method is called 'zzz'"):
        load_config(tmp_path, method="zzz")
    other = load_config(write(tmp_path, {"name": "a", "knowledge": {}}), method="bitfit")[0].voice
    assert type(other) is VOICES["bitfit"]


@pytest.mark.parametrize("raw", [None, [], "words", 3])
def test_a_file_without_settings_is_named(raw: Any) -> None:
    error = faults(raw)
    assert "bot.yaml holds no settings" in error.message
    assert "housevoice init" in error.hint


def test_missing_file_and_bad_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist") as missing:
        load_config(tmp_path / "none.yaml")
    assert "housevoice init" in missing.value.hint
    with pytest.raises(ConfigError, match="line 2 is not YAML"):
        load_config(write(tmp_path, "name: a\n  voice: [\n"))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(ConfigError, match="bot.yaml"):
        load_config(tmp_path / "bot.yaml")


def test_paths_are_resolved_against_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    raw = {
        "name": "a",
        "knowledge": {"documents": "papers/*.md"},
        "voice": {"examples": "../replies.jsonl"},
        "evaluation": {"questions": "q.jsonl"},
    }
    config, file = load_config(write(folder, raw))
    assert file == folder / "bot.yaml"
    assert config.knowledge is not None
    assert config.voice is not None
    assert config.evaluation.questions is not None
    assert config.output == (tmp_path / "bots" / "a").resolve()
    assert config.knowledge.documents == folder.resolve() / "papers/*.md"
    assert config.voice.examples.resolve() == (tmp_path / "replies.jsonl").resolve()
    assert config.evaluation.questions == folder.resolve() / "q.jsonl"


def test_models_in_folders_beside_the_file_are_found_and_names_stay(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    raw = {"name": "a", "knowledge": {"embedder": "models/mine", "reranker": "cross-encoder/some-name"}}
    knowledge = load_config(write(tmp_path, raw))[0].knowledge
    assert knowledge is not None
    assert knowledge.embedder == str(tmp_path.resolve() / "models" / "mine")
    assert knowledge.reranker == "cross-encoder/some-name"


def test_the_options_of_finding_are_checked() -> None:
    message = faults(
        {"name": "a", "knowledge": {"mmr": 1.5, "join_neighbours": -1, "chroma_port": 0, "chroma_hots": "x"}}
    ).message
    for key in ("knowledge.mmr:", "knowledge.join_neighbours:", "knowledge.chroma_port:", "'chroma_host'"):
        assert key in message


def test_the_folder_stands_for_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"name": "a", "voice": {}})
    assert load_config(tmp_path)[1] == tmp_path / "bot.yaml"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = parse_config(
        {"name": "a", "output": str(tmp_path / "out"), "voice": {"examples": "/v.jsonl"}}, tmp_path / "x"
    )
    assert config.output == tmp_path / "out"
    assert config.voice is not None
    assert config.voice.examples == Path("/v.jsonl")


def test_what_is_dumped_reads_back_the_same(tmp_path: Path) -> None:
    config = parse_config({"name": "a", "knowledge": {}, "voice": {"r": 8}}, tmp_path / "bot.yaml")
    assert BotConfig.model_validate(yaml.safe_load(dump_config(config))) == config


def test_every_key_says_what_it_means() -> None:
    for name, section in BotConfig.model_fields.items():
        kinds = [
            kind
            for kind in getattr(section.annotation, "__args__", (section.annotation,))
            if hasattr(kind, "model_fields")
        ]
        for kind in kinds:
            for key, field in kind.model_fields.items():
                assert field.description, f"{name}.{key}"
    for method, kind in VOICES.items():
        for key, field in kind.model_fields.items():
            assert field.description or key == "method", f"{method}: {key}"
