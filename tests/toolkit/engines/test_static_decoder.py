"""Decoding over a cache of fixed length: the tokens are those of transformers' own decoding.

A graph is recorded on an NVIDIA GPU alone; here each step is made as it is written.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from toolkit.bot import BotFolder
from toolkit.engines import Decoding, TextEngine
from toolkit.engines.static_decoder import StaticDecoder, decodes_statically
from toolkit.models import load_base
from toolkit.prompts import Message

PROMPT = "The Ember lamp burns for 38 hours on a full battery."


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> Any:
    return load_base(str(tiny_base))


def greedy(loaded: Any, prompt: Any, most: int, **options: Any) -> list[int]:
    import torch

    with torch.inference_mode():
        written = loaded.model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=most, min_new_tokens=most,
            do_sample=False, pad_token_id=loaded.tokenizer.pad_token_id, **options,
        )  # fmt: skip
    return list(written[0, prompt.shape[1] :].tolist())


def decoded(decoder: StaticDecoder, prompt: Any, most: int, **options: Any) -> list[int]:
    import torch

    with torch.inference_mode():
        return list(decoder.tokens(prompt, most, adapter=False, **options))


def encoded(loaded: Any, text: str) -> Any:
    return loaded.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]


def test_the_tokens_are_those_of_generate_whatever_was_read_before(loaded: Any) -> None:
    decoder = StaticDecoder(loaded.model)
    eos = loaded.model.generation_config.eos_token_id
    for text in (PROMPT, "A kite flies.", PROMPT * 3):
        prompt = encoded(loaded, text)
        expected = greedy(loaded, prompt, 12)
        found = decoded(decoder, prompt, 12)
        if eos not in found:  # generate was kept from ending
            assert found == expected
        assert len(found) == 12


def test_a_token_is_kept_from_coming_first(loaded: Any) -> None:
    decoder, prompt = StaticDecoder(loaded.model), encoded(loaded, PROMPT)
    first = decoded(decoder, prompt, 1)[0]
    assert decoded(decoder, prompt, 1, forbidden=first) != [first]


def test_a_long_prompt_makes_room(loaded: Any) -> None:
    decoder = StaticDecoder(loaded.model)
    short, long = encoded(loaded, "A kite."), encoded(loaded, PROMPT * 120)
    assert long.shape[1] > 1024
    before = decoded(decoder, short, 5)
    assert len(decoded(decoder, long, 3)) == 3
    assert decoded(decoder, short, 5) == before


def test_who_stops_early_leaves_nothing_behind(loaded: Any) -> None:
    decoder, prompt = StaticDecoder(loaded.model), encoded(loaded, PROMPT)
    whole = decoded(decoder, prompt, 8)
    import torch

    with torch.inference_mode():
        assert list(itertools.islice(decoder.tokens(prompt, 8, adapter=False), 3)) == whole[:3]
    assert decoded(decoder, prompt, 8) == whole


def test_a_processor_decodes_as_before(loaded: Any) -> None:
    assert not decodes_statically(loaded.model)


def test_an_engine_writes_the_same_either_way(
    small_bot: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened() -> TextEngine:
        return TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"), BotFolder(small_bot).adapter)

    plain = opened()
    monkeypatch.setattr("toolkit.engines.text_engine.decodes_statically", lambda model: True)
    static = opened()
    asked: list[Message] = [{"role": "user", "content": PROMPT}]
    decoding = Decoding(max_new_tokens=12)
    for adapter in (True, False, True):
        written = plain.generate([asked], adapter=adapter, decoding=decoding)
        assert static.generate([asked], adapter=adapter, decoding=decoding) == written
        assert "".join(static.stream(asked, adapter=adapter, decoding=decoding)).strip() == written[0]
        assert static.complete(PROMPT, adapter=adapter, decoding=decoding) == plain.complete(
            PROMPT, adapter=adapter, decoding=decoding
        )


def test_what_cannot_be_recorded_is_written_as_before(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    plain = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    monkeypatch.setattr("toolkit.engines.text_engine.decodes_statically", lambda model: True)
    monkeypatch.setattr(StaticDecoder, "tokens", refuse)
    static = TextEngine(load_base(str(tiny_base), device="cpu", dtype="float32"))
    asked: list[Message] = [{"role": "user", "content": PROMPT}]
    decoding = Decoding(max_new_tokens=8)
    written = plain.generate([asked], adapter=False, decoding=decoding)
    assert "".join(static.stream(asked, adapter=False, decoding=decoding)).strip() == written[0]
    assert static.generate([asked], adapter=False, decoding=decoding) == written
