"""The voice on a real llama.cpp server: a LoRA adapter chosen by name, on and off, never mixed up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.engines import Decoding, TextEngine
from toolkit.engines.remote import RemoteEngine
from toolkit.exporting import low_rank, write_adapter, write_model
from toolkit.models import load_base
from toolkit.prompts import Message
from toolkit.servers import ModelAddress

pytestmark = pytest.mark.e2e

HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"
KEY = "only for this test"
SHORT = Decoding(max_new_tokens=16)


def asked(question: str) -> list[Message]:
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]


@pytest.fixture(scope="module")
def address(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelAddress]:
    """Serve the tiny model with a random adapter."""
    xllamacpp = pytest.importorskip("xllamacpp")
    import torch
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("served")
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    write_model(folder / "tiny.gguf", loaded.model, loaded.tokenizer, "f16", name="tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        settings = LoraConfig(r=4, task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False)
        voiced = get_peft_model(loaded.model, settings)
    write_adapter(folder / "house.gguf", voiced.config, low_rank(voiced, "lora"), name="house")
    options = xllamacpp.CommonParams()
    options.model.path, options.model_alias = str(folder / "tiny.gguf"), {"tiny"}
    options.n_ctx, options.n_parallel, options.verbosity, options.ui = 1024, 1, -1, False
    options.cpuparams.n_threads = 1
    options.api_keys = [KEY]
    options.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(folder / "house.gguf"), 1.0)]
    server = xllamacpp.Server(options)
    found = ModelAddress("llamacpp", "tiny", f"{server.listening_address}/v1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(found.key_name, KEY)
        yield found
    del server


def test_the_voice_is_on_and_off_by_name(address: ModelAddress, tiny_base: Path) -> None:
    # What was read before is read anew: of a random model, the last digit decides.
    engine = RemoteEngine(address, adapter_name="house.gguf", extra_body={"cache_prompt": False})
    engine.check()
    here = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    said: dict[tuple[str, bool], set[str]] = {}
    questions = ("How long does the lamp burn?", "What does it cost?", "How long does the kite burn?")
    for question in questions * 3:
        for voice in (True, False):
            pieces = engine.stream(asked(question), adapter=voice, decoding=SHORT)
            said.setdefault((question, voice), set()).add("".join(pieces).strip().rstrip(HALF_A_LETTER))
    for question in questions:
        (plain,) = here.generate([asked(question)], adapter=False, decoding=SHORT)
        assert said[question, False] == {plain.rstrip(HALF_A_LETTER)}
        assert len(said[question, True]) == 1
        assert said[question, True] != said[question, False]


def test_a_reply_that_is_stopped_leaves_the_server_free(address: ModelAddress) -> None:
    engine, cancel = RemoteEngine(address), threading.Event()
    pieces = engine.stream(asked("Hello!"), adapter=False, decoding=Decoding(900, temperature=1.0), cancel=cancel)
    next(pieces)
    cancel.set()
    started = time.monotonic()
    list(pieces)
    engine.generate([asked("Hello!")], adapter=False, decoding=Decoding(1))
    assert time.monotonic() - started < 2.0
