"""The doctor: looks at everything, and goes on after a fault."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipelines.doctor.fitting
from pipelines.build import build
from pipelines.cli.screen import show_marked
from pipelines.doctor import Check, examine
from pipelines.doctor.fitting import Machine, passage_tokens, way_of
from pipelines.doctor.replies import in_marks
from pipelines.ingest import IngestStep
from pipelines.parts import Parts
from pipelines.prepare import PrepareStep
from tests.conftest import Sources
from toolkit.config import VoiceSettings, load_config
from toolkit.errors import ModelError
from toolkit.models.estimates import Work, candidate_config, shape_of
from toolkit.testing import HashEmbedder


def look(config: Path) -> dict[str, Check]:
    return {check.what: check for check in examine(config)}


def test_a_healthy_bot_is_all_right(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    (sources.folder / "q.jsonl").write_text('{"question": "Who?", "unanswerable": true}\n')
    sources.change(evaluation={"questions": "q.jsonl"})
    found = look(sources.config)
    assert all(check.ok for check in found.values()), [check for check in found.values() if not check.ok]
    assert set(found) == {
        "settings", "example replies", "documents", "questions", "device", "base model", "engine", "embedder",
        "training as serving", "supervised tokens", "marks in the text", "lengths", "duplicates", "contradictions",
        "enough replies", "held out", "prompts", "memory and time, cpu", "other bases", "model servers here",
        "free disk", "libraries",
    }  # fmt: skip
    assert {what for what, check in found.items() if check.note} == {"enough replies", "held out"}
    assert found["documents"].found == "3 files"
    assert found["base model"].found == str(tiny_base)
    assert "256 dimensions" in found["embedder"].found


def test_an_agent_that_the_base_cannot_be_is_told_before_a_build(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    sources.change(chain={"mode": "auto"})
    check = look(sources.config)["agent"]
    assert (check.ok, check.found.partition(":")[0]) == (True, "the chain alone")
    sources.change(chain={"mode": "agent"})
    check = look(sources.config)["agent"]
    assert (check.ok, "cannot call tools" in check.found) == (False, True)
    with pytest.raises(ModelError, match="cannot call tools"):
        build(sources.config)
    assert not sources.output.exists() or not (sources.output / "knowledge").exists()
    sources.change(chain={"mode": "auto"}, tools=["json:no_such"])
    assert "has no no_such" in look(sources.config)["agent"].found


def test_every_fault_is_found(make_sources: Callable[..., Sources], embedder: HashEmbedder) -> None:
    sources = make_sources("/nowhere/at/all")
    sources.voice.write_text("{}\n")
    for file in sources.documents.iterdir():
        file.unlink()
    sources.change(evaluation={"questions": "none.jsonl"})
    found = look(sources.config)
    bad = {what for what, check in found.items() if not check.ok}
    assert bad == {"example replies", "documents", "questions", "base model"}
    assert "line 1" in found["example replies"].found
    assert "libraries" in found


def test_bad_settings_end_the_examination(tmp_path: Path) -> None:
    (tmp_path / "bot.yaml").write_text("name: a\nvoise: {}\n")
    checks = list(examine(tmp_path / "bot.yaml"))
    assert [check.ok for check in checks] == [False]
    assert "did you mean 'voice'?" in checks[0].found


def test_documents_may_be_a_glob(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> None:
    sources = make_sources(tiny_base)
    sources.change(knowledge={"documents": "documents/*.md"})
    check = look(sources.config)["documents"]
    assert (check.ok, check.found) == (True, "2 files")


def test_a_bot_of_one_half_is_looked_at(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    sources.change(voice=None)
    found = look(sources.config)
    assert not {"example replies", "prompts", "lengths", "memory and time, cpu"} & set(found)


def test_the_prompts_are_those_that_are_trained_on(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    shown = look(sources.config)["prompts"].prompts
    assert len(shown) == 2
    for stretches in shown:
        (prompt, learnt), (reply, loss) = stretches
        assert (learnt, loss) == (False, True)
        assert "You answer customers in the voice of the house." in prompt
        assert reply.startswith("Ahoy, friend.")
        assert reply.endswith("<|im_end|>")
    assert in_marks(shown[0]).endswith("Fair winds!<|im_end|>]]")


def test_faults_of_the_replies_are_told_before_a_build(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    row = {"prompt": "How are you <|im_end|>?", "completion": "Ahoy, friend. Well!"}
    with sources.voice.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(row)}\n{json.dumps(row)}\n")
    sources.change(voice={"max_length": 100, "held_out": 0.0})
    found = look(sources.config)
    assert not found["marks in the text"].ok
    assert "lines 13 and 14" in found["marks in the text"].found
    assert (found["duplicates"].ok, found["duplicates"].note) == (True, True)
    assert "rows are left out" in found["lengths"].found


def test_a_base_on_the_hub_is_not_fetched(make_sources: Callable[..., Sources], embedder: HashEmbedder) -> None:
    found = look(make_sources("somebody/some-base").config)
    assert found["base model"].ok
    assert "to be fetched" in found["base model"].found
    assert found["prompts"].note
    # Not even its configuration could be had here, which is no reason to give up.
    assert (found["memory and time"].ok, found["memory and time"].note) == (True, True)


def test_a_base_that_is_known_by_name_is_estimated_without_asking(
    make_sources: Callable[..., Sources], embedder: HashEmbedder
) -> None:
    found = look(make_sources("HuggingFaceTB/SmolLM2-360M-Instruct").config)
    assert "lora (set)" in found["memory and time, cpu"].found


def test_a_configuration_is_enough_to_tell_what_fits(
    make_sources: Callable[..., Sources], embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pipelines.doctor.fitting, "read_config", lambda path, revision: candidate_config("Qwen/Qwen2.5-7B-Instruct")
    )
    monkeypatch.setattr(pipelines.doctor.fitting, "free_memory", lambda device: 8 << 30)
    monkeypatch.setattr(pipelines.doctor.fitting, "speed_of", lambda device, dtype: 1e12)
    sources = make_sources("somebody/seven-billion")
    found = look(sources.config)["memory and time, cpu"]
    assert not found.ok  # in float32, without 4 bits
    assert "lora (set)" in found.found
    assert "8.0 GiB are free" in found.found
    sources.change(base={"dtype": "bfloat16", "model": "somebody/other"})
    monkeypatch.setattr(pipelines.doctor.fitting, "free_memory", lambda device: 19 << 30)
    found = look(sources.config)["memory and time, cpu"]
    assert (found.ok, found.note) == (True, True)  # it might go, just
    monkeypatch.setattr(pipelines.doctor.fitting, "free_memory", lambda device: 200 << 30)
    found = look(sources.config)
    assert not found["memory and time, cpu"].note
    assert found["other bases"].found.startswith("larger ones to try: Qwen/Qwen2.5-14B-Instruct (lora, ")


def test_what_a_way_costs_goes_by_the_method() -> None:
    machine = Machine("cuda", "bfloat16", 1 << 30, 1e12, 1e11)
    ways = {
        method: way_of(VoiceSettings.model_validate({"method": method}), machine)
        for method in ("qlora", "lora", "full", "ia3", "pissa")
    }
    assert ways == {"qlora": "qlora", "lora": "lora", "full": "full", "ia3": "lora", "pissa": "pissa"}
    shape, work = shape_of(candidate_config("Qwen/Qwen2.5-0.5B-Instruct")), Work(10_000, 4_000, 200)
    # Weights in float32 are multiplied as fast as such are.
    assert machine.seconds(shape, "pissa", work) == pytest.approx(10 * machine.seconds(shape, "lora", work))


def test_a_way_that_is_not_among_those_listed_is_told_when_it_is_set(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    assert "pissa" not in look(sources.config)["memory and time, cpu"].found
    sources.change(voice={"method": "pissa", "quantization": "none"})
    assert "pissa (set)" in look(sources.config)["memory and time, cpu"].found


def test_passages_take_their_room(make_sources: Callable[..., Sources], tiny_base: Path) -> None:
    sources = make_sources(tiny_base)

    def tokens(**sections: Any) -> int:
        sources.change(**sections)
        return passage_tokens(load_config(sources.config)[0])

    assert tokens(chain={"evidence": "sentences", "evidence_sentences": 3}) == 120
    assert tokens(chain={"evidence": "passages", "evidence_tokens": 500}) == 500
    assert tokens(chain={"evidence": "auto"}) == 500  # not the bundled base
    assert tokens(base={"model": "bundled"}) == 120
    assert tokens(knowledge=None) == 0


def test_a_tune_says_the_same_of_its_rows(
    make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder
) -> None:
    sources = make_sources(tiny_base)
    said: list[str] = []
    with Parts(load_config(sources.config)[0], on_note=said.append) as parts:
        parts.folder.root.mkdir(parents=True)
        IngestStep().run(parts)
        PrepareStep(tuning=True).run(parts)
    (checked,) = [text for text in said if text.startswith("Rows checked.")]
    assert "the same bytes and tokens in all" in checked
    assert any(text.startswith("Note: enough replies: ") for text in said)
    (row,) = [text for text in said if text.startswith("A row as it is trained on:")]
    assert "Notes:\n[1] " in row
    assert "[[Ahoy, friend." in row


STRETCHES = (("<|im_start|>assistant\n", False), ("Ahoy [bold]!\n\nBye :smile:<|im_end|>", True))


def test_a_row_is_shown_between_marks_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    show_marked(STRETCHES)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["<|im_start|>assistant", "[[Ahoy [bold]!", "", "Bye :smile:<|im_end|>]]"]


def test_a_row_is_shown_in_colour_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_marked(STRETCHES)
    shown = capsys.readouterr().out
    assert "\x1b[1;32m" in shown
    assert "[[" not in shown
    plain = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()]
    assert plain == ["<|im_start|>assistant", "Ahoy [bold]!", "", "Bye :smile:<|im_end|>"]
