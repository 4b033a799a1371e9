"""The command line: results on standard output, one sentence for a mistake, and exit codes that mean something."""

from __future__ import annotations

import errno
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.command import main
from tests.conftest import ROOT, Sources, mounted_disk
from toolkit.store import Knowledge, Passage
from toolkit.testing import HashEmbedder

QUESTION = "How long does the Ember lamp burn on a full battery?"
COMMANDS = ("init", "build", "ingest", "tune", "chat", "ask", "search", "serve", "demo", "eval", "doctor")
HELP_SECONDS = 0.5


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Return a function that runs a command in this process."""

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["housevoice", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        told = capsys.readouterr()
        return Result(code, told.out, told.err)

    return call


def refused(result: Result) -> str:
    """Check that a command ended with a mistake in one sentence, and return what it said."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.count("Error: ") == 1
    assert "Traceback" not in result.err
    return result.err


@pytest.fixture
def sources(make_sources: Callable[..., Sources], tiny_base: Path, embedder: HashEmbedder) -> Sources:
    return make_sources(tiny_base)


def test_help_is_quick_and_names_every_command() -> None:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "demo", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - started)
    assert all(re.search(rf"^  {name}\b", done.stdout, re.MULTILINE) for name in COMMANDS)
    assert statistics.median(seconds) <= HELP_SECONDS, seconds


def test_every_command_has_its_help(run: Callable[..., Result]) -> None:
    for name in COMMANDS:
        result = run(name, "--help")
        assert result.code == 0
        assert re.search("Usage: .*housevoice", result.out)


@pytest.mark.parametrize("arguments", [("burn",), ("build",), ("search", "bot"), ("search", "bot", "q", "--k", "0")])
def test_a_wrong_call_is_explained(arguments: tuple[str, ...], run: Callable[..., Result]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert re.search("Usage: .*housevoice", result.err)


@pytest.mark.parametrize("command", ["build", "ingest", "tune"])
def test_a_missing_file_is_named(command: str, run: Callable[..., Result], tmp_path: Path) -> None:
    said = refused(run(command, tmp_path / "none.yaml"))
    assert "none.yaml does not exist" in said
    assert "housevoice init" in said


def test_all_faults_of_the_settings_are_named_at_once(run: Callable[..., Result], sources: Sources) -> None:
    sources.change(bsae={"model": "x"}, voice={"lora_alfa": 1, "r": 0})
    said = refused(run("build", sources.config))
    assert "3 faults" in said
    for part in ("bsae", "voice.lora_alfa", "did you mean 'lora_alpha'?", "voice.r"):
        assert part in said


def test_each_bad_line_of_the_replies_is_numbered(run: Callable[..., Result], sources: Sources) -> None:
    lines = sources.voice.read_text().splitlines()
    lines[2], lines[4] = "{", '{"messages": []}'
    sources.voice.write_text("\n".join(lines))
    said = refused(run("build", sources.config))
    assert "voice.jsonl has 2 bad lines" in said
    assert "line 3: not JSON" in said
    assert "line 5: there is no assistant message" in said
    assert not sources.output.exists()


def test_mistakes_are_found_before_anything_heavy_is_imported(make_sources: Callable[..., Sources]) -> None:
    sources = make_sources("nowhere")
    sources.voice.write_text("{\n")
    script = (
        "import sys\n"
        f"sys.argv = ['housevoice', 'build', {str(sources.config)!r}]\n"
        "from demo.command import main\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('torch', 'transformers', 'peft', 'trl') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "line 1: not JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() == "[]"


def test_an_empty_document_folder_is_named(run: Callable[..., Result], sources: Sources) -> None:
    for file in sources.documents.iterdir():
        file.unlink()
    assert "holds no documents" in refused(run("build", sources.config))


def test_too_few_examples_are_named(run: Callable[..., Result], sources: Sources) -> None:
    sources.change(voice={"min_examples": 50})
    said = refused(run("build", sources.config))
    assert "holds 12 example replies; at least 50 are needed" in said
    assert "voice.min_examples" in said


def test_an_adapter_of_another_base_is_named(
    run: Callable[..., Result], bot_copy: Path, other_tiny_base: Path, embedder: HashEmbedder
) -> None:
    raw = yaml.safe_load((bot_copy / "bot.yaml").read_text())
    raw["base"]["model"] = str(other_tiny_base)
    (bot_copy / "bot.yaml").write_text(yaml.safe_dump(raw))
    result = run("ask", bot_copy, QUESTION)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert "another one" in result.err or "was trained on" in result.err


def test_a_folder_that_is_no_bot_is_named(run: Callable[..., Result], tmp_path: Path) -> None:
    for command in (("ask", tmp_path, "Hi?"), ("search", tmp_path, "lamp"), ("eval", tmp_path), ("chat", tmp_path)):
        result = run(*command)
        assert result.code == 2
        assert "is not a built bot" in result.err


def test_a_disk_without_room_is_named(
    run: Callable[..., Result], sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    import pipelines.build  # noqa: F401 - a module first imported under the patch would keep the double for good

    monkeypatch.setattr("toolkit.bot.folder.write_text", full)
    said = refused(run("build", sources.config))
    assert "No space left on device" in said
    assert "Free some room" in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that a knowledge does not fit on."""
    with mounted_disk(tmp_path / "disk", "256k") as disk:
        yield disk


def test_a_disk_that_is_truly_full_is_named(run: Callable[..., Result], sources: Sources, small_disk: Path) -> None:
    sources.change(voice=None, output=str(small_disk / "bot"))
    result = run("build", sources.config)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    assert re.search("full|No space left|no room", result.err)


def test_a_build_is_told_and_ends_with_its_folder(run: Callable[..., Result], sources: Sources) -> None:
    result = run("build", sources.config)
    assert result.code == 0, result.err
    assert result.out == f"{sources.output.resolve()}\n"
    for part in ("Documents: 3 new", "Tuning on cpu", "Tuned on", "Tuning the voice: ", "Done: "):
        assert part in result.err
    again = run("build", sources.config)
    assert "3 unchanged" in again.err
    assert "The voice is up to date." in again.err


def test_another_method_than_that_of_the_file_is_tuned(run: Callable[..., Result], sources: Sources) -> None:
    sources.change(voice={"num_train_epochs": 1}, knowledge=None, chain=None)
    result = run("tune", sources.config, "--method", "adapter")
    assert result.code == 0, result.err
    assert json.loads((sources.output / "adapter" / "adapter_config.json").read_text())["peft_type"] == "BOTTLENECK"
    assert yaml.safe_load((sources.output / "bot.yaml").read_text())["voice"]["method"] == "adapter"
    assert "The voice is up to date." in run("tune", sources.config, "--method", "adapter").err
    assert run("ask", sources.output, QUESTION).out
    for method, says in (("loftq", "base.load_in_4bit"), ("zzz", "no method is called 'zzz'")):
        assert says in refused(run("tune", sources.config, "--method", method))


def test_a_method_that_does_not_run_here_is_refused_before_a_model_is_loaded(
    run: Callable[..., Result], make_sources: Callable[..., Sources]
) -> None:
    sources = make_sources("nowhere")
    sources.change(base={"load_in_4bit": True})
    assert "loftq needs an NVIDIA GPU" in refused(run("tune", sources.config, "--method", "loftq"))
    assert not sources.output.exists()


def test_ctrl_c_ends_with_130(run: Callable[..., Result], sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.build.build", interrupted)
    result = run("build", sources.config)
    assert result.code == 130
    assert "Traceback" not in result.err
    assert "Stopped" in result.err


def test_ctrl_c_in_the_middle_of_a_tune_says_that_it_goes_on(
    run: Callable[..., Result], sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.tuning.train_adapter", interrupted)
    result = run("build", sources.config)
    assert result.code == 130
    assert "goes on from the last checkpoint" in result.err


@pytest.mark.parametrize("start", ["", "trap '' INT; "], ids=["in front", "in the background"])
def test_a_true_ctrl_c_leaves_no_traceback(start: str) -> None:
    script = (
        "import os, signal, sys, time\n"
        # A shell starts what is in the background deaf to Ctrl-C: `nohup make test &`.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import pipelines.build\n"
        "def work(*a, **k):\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(20)\n"
        "pipelines.build.build = work\n"
        "sys.argv = ['housevoice', 'build', 'x']\n"
        "from demo.command import main\n"
        "main()\n"
    )
    done = subprocess.run(
        ["bash", "-c", f'{start}exec "$@"', "-", sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "Stopped" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_failure(small_bot: Path) -> None:
    command = f"{sys.executable} -m demo --help | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_new_bot_is_laid_out(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("init", tmp_path / "mybot")
    assert result.code == 0
    assert result.out.split() == [str(tmp_path / "mybot" / name) for name in ("bot.yaml", "documents", "voice.jsonl")]
    assert "housevoice build" in result.err
    assert "exists already" in refused(run("init", tmp_path / "mybot"))


KEYS = {"question", "answer", "abstained", "citations", "passages", "adapter", "seconds"}


def test_asking_once(run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder) -> None:
    plain = run("ask", small_bot, QUESTION)
    assert plain.code == 0, plain.err
    assert plain.out.strip()
    answer = json.loads(run("ask", small_bot, QUESTION, "--json").out)
    assert set(answer) == KEYS
    assert answer["question"] == QUESTION
    assert answer["adapter"] is True
    assert plain.out.startswith(answer["answer"])
    bare = json.loads(run("ask", small_bot, QUESTION, "--json", "--no-voice", "--no-knowledge").out)
    assert (bare["adapter"], bare["passages"], bare["citations"]) == (False, [], [])


def test_the_trace_of_an_answer_is_shown_or_printed_as_data(
    run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder
) -> None:
    shown = run("ask", small_bot, QUESTION, "--trace").out
    lines = [line for line in shown.splitlines() if line.startswith("- ")]
    assert lines[0].startswith("- route: what kind of message it is (")
    assert "    kind: question" in shown
    assert "      1. id " in shown, "the passages stand one below the other"
    told = json.loads(run("ask", small_bot, QUESTION, "--trace", "--json").out)["trace"]
    assert [step["name"] for step in told] == [line[2:].partition(":")[0] for line in lines]
    assert set(told[0]) == {"name", "inputs", "outputs", "seconds", "adapter", "tokens"}


def test_asking_in_bulk_gives_a_line_a_question(
    run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder, tmp_path: Path
) -> None:
    asked = [f"{QUESTION} {number}" for number in range(5)]
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps({"question": question}) + "\n" for question in asked))
    result = run("ask", small_bot, "--questions", file, "--json")
    assert result.code == 0, result.err
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [answer["question"] for answer in answers] == asked
    assert all(set(answer) == KEYS for answer in answers)
    for citation in answers[0]["citations"]:
        assert set(citation) == {"source", "page", "quote"}
    for passage in answers[0]["passages"]:
        assert set(passage) == {"id", "source", "text", "score"}
    assert set(answers[0]["seconds"]) == {"retrieve", "first_token", "total"}


def test_asking_needs_one_question_or_a_file(run: Callable[..., Result], small_bot: Path, tmp_path: Path) -> None:
    assert "either a question or --questions" in refused(run("ask", small_bot))
    (tmp_path / "q.jsonl").write_text("{}\n")
    assert "line 1" in refused(run("ask", small_bot, "--questions", tmp_path / "q.jsonl"))


def test_searching_shows_what_is_retrieved(run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder) -> None:
    plain = run("search", small_bot, "Storm kite", "--k", "2")
    assert plain.code == 0
    assert plain.out.lstrip().startswith("1. kite.md")
    rows = [json.loads(line) for line in run("search", small_bot, "Storm kite", "--k", "2", "--json").out.splitlines()]
    assert len(rows) == 2
    assert set(rows[0]) == {"id", "source", "page", "heading", "text", "score"}
    assert rows[0]["source"] == "kite.md"


def test_searching_says_when_nothing_was_found(
    run: Callable[..., Result], bot_copy: Path, embedder: HashEmbedder
) -> None:
    gate = bot_copy / "chain" / "gate.json"
    content = json.loads(gate.read_text())
    for threshold, said in ((0.0, False), (1.1, True)):
        gate.write_text(json.dumps(content | {"threshold": threshold}))
        result = run("search", bot_copy, "How heavy is the Storm kite?")
        assert result.code == 0
        assert ("probably do not tell" in result.err) is said


@pytest.mark.parametrize("k", ["1", "8", "20"])
def test_searching_looks_once(
    k: str, run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, searched = "How heavy is the Storm kite?", []
    real = Knowledge.search

    def counting(self: Knowledge, asked: str, *arguments: Any, **options: Any) -> list[Passage]:
        searched.append(asked)
        return real(self, asked, *arguments, **options)

    monkeypatch.setattr(Knowledge, "search", counting)
    result = run("search", small_bot, query, "--k", k)
    assert result.code == 0
    assert searched == [query]
    assert 1 <= result.out.count(" (0.") <= int(k)


def test_measuring_prints_what_it_found(
    run: Callable[..., Result], bot_copy: Path, embedder: HashEmbedder, tmp_path: Path
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"question": QUESTION, "facts": [["38"]], "sources": ["lamp.md"]}) + "\n")
    result = run("eval", bot_copy, "--questions", file, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["answers"]["answerable"] == 1
    shown = run("eval", bot_copy, "--questions", file)
    assert "report.html" in shown.out
    head = next(line for line in shown.out.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["neither", "knowledge", "adapter", "both"]
    few = run("eval", bot_copy, "--questions", file, "--arms", "knowledge, both", "--perturb", "--limit", "1")
    assert "Typos: of " in few.out


def test_what_cannot_be_measured_is_said(run: Callable[..., Result], bot_copy: Path, embedder: HashEmbedder) -> None:
    assert "No arm is called 'all'" in refused(run("eval", bot_copy, "--arms", "all"))
    assert "Leave out --arms" in refused(run("eval", bot_copy, "--against", bot_copy, "--arms", "both"))
    assert "compared with itself" in refused(run("eval", bot_copy, "--against", bot_copy))


def test_chatting(
    run: Callable[..., Result], small_bot: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter([QUESTION, "", "Hello!"])

    def read(prompt: str = "") -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    result = run("chat", small_bot)
    assert result.code == 0, result.err
    assert "house: ask away" in result.out
    assert "(a new conversation)" in result.out


def test_the_doctor_ends_by_what_it_found(run: Callable[..., Result], sources: Sources) -> None:
    healthy = run("doctor", sources.config)
    assert healthy.code == 0
    assert "BAD" not in healthy.out
    sources.voice.unlink()
    ill = run("doctor", sources.config)
    assert ill.code == 2
    assert "BAD  example replies" in ill.out
