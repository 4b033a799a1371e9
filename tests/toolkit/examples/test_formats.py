"""One reply in every format and every kind of file, and what is wrong with a row of each."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from toolkit.errors import DataError
from toolkit.examples import Example, Preference, read_examples, read_preferences
from toolkit.prompts import Turn

USER, BOT = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ahoy."}
BEFORE = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]
HISTORY = (Turn("Who?", "Me."),)

FORMATS: dict[str, dict[str, Any]] = {
    "messages": {"messages": [USER, BOT]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ahoy."}]},
    "parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Ahoy."}]},
        ]
    },
    "developer": {"messages": [{"role": "developer", "content": "Be kind."}, USER, BOT]},
    "completion": {"prompt": "Hi?", "completion": "Ahoy."},
    "conversational completion": {"prompt": [USER], "completion": [BOT]},
    "alpaca": {"instruction": "Hi?", "input": "", "output": "Ahoy."},
    "kto": {"prompt": "Hi?", "completion": "Ahoy.", "label": True},
    "preference": {"prompt": "Hi?", "chosen": "Ahoy.", "rejected": "Yes?"},
    "conversational preference": {
        "prompt": [USER],
        "chosen": [BOT],
        "rejected": [{"role": "assistant", "content": "Yes?"}],
    },
    "preference without a prompt": {"chosen": [USER, BOT], "rejected": [USER, BOT | {"content": "Yes?"}]},
    "preference that repeats the prompt": {
        "prompt": "Hi?",
        "chosen": [USER, BOT],
        "rejected": [USER, BOT | {"content": "Yes?"}],
    },
}


def write_jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_json(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "rows.json"
    file.write_text("\n " + json.dumps(rows, indent=1), encoding="utf-8")
    return file


def write_lines_named_json(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_jsonl(folder, rows).rename(folder / "lines.json")


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file


def write_table(folder: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    file = folder / ("rows.tsv" if delimiter == "\t" else "rows.csv")
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow([json.dumps(cell) if isinstance(cell, list | bool) else cell for cell in row.values()])
    return file


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Path]] = {
    "jsonl": write_jsonl,
    "json": write_json,
    "lines.json": write_lines_named_json,
    "parquet": write_parquet,
    "csv": write_table,
    "semicolons": lambda folder, rows: write_table(folder, rows, ";"),
    "tsv": lambda folder, rows: write_table(folder, rows, "\t"),
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_in_every_file_gives_the_same_example(name: str, kind: str, tmp_path: Path) -> None:
    line = 2 if kind in ("csv", "semicolons", "tsv") else 1
    assert read_examples(WRITERS[kind](tmp_path, [FORMATS[name]])) == [Example("Hi?", "Ahoy.", (), line, line)]


@pytest.mark.parametrize("kind", WRITERS)
def test_what_a_row_says_of_itself_is_read_from_every_file(kind: str, tmp_path: Path) -> None:
    row = {"prompt": "Hi?", "completion": "Ahoy.", "declines": True, "source": "lamps.md", "conversation": 7}
    first, second = read_examples(WRITERS[kind](tmp_path, [row, row]))
    assert (first.declines, first.source) == (True, "lamps.md")
    assert first.conversation == second.conversation == first.line
    assert second.line == first.line + 1


def test_several_turns_are_read_from_every_kind_of_row(tmp_path: Path) -> None:
    whole = read_examples(write_jsonl(tmp_path, [{"messages": [*BEFORE, USER, BOT]}]))
    assert whole == [Example("Who?", "Me.", (), 1, 1), Example("Hi?", "Ahoy.", HISTORY, 1, 1)]
    # Of a prompt only what completes it is to be learnt.
    last = read_examples(write_jsonl(tmp_path, [{"prompt": [*BEFORE, USER], "completion": [BOT]}]))
    assert last == whole[1:]
    longer = {"prompt": [USER], "completion": [BOT, USER | {"content": "Bye."}, BOT | {"content": "Farewell."}]}
    assert [example.reply for example in read_examples(write_jsonl(tmp_path, [longer]))] == ["Ahoy.", "Farewell."]
    judged = {"prompt": [*BEFORE, USER], "chosen": [BOT], "rejected": [BOT | {"content": "Yes?"}]}
    assert read_examples(write_jsonl(tmp_path, [judged])) == whole[1:]


def test_preferences_keep_both_replies(tmp_path: Path) -> None:
    rows = [FORMATS[name] for name in FORMATS if "preference" in name]
    rows.append({"prompt": [*BEFORE, USER], "chosen": "Ahoy.", "rejected": "Yes?", "source": "a"})
    found = read_preferences(write_jsonl(tmp_path, rows))
    assert found[:-1] == [Preference("Hi?", (), "Ahoy.", "Yes?", line, line) for line in range(1, len(rows))]
    assert found[-1] == Preference("Hi?", HISTORY, "Ahoy.", "Yes?", len(rows), len(rows), "a")
    assert found[0].paired
    assert found[0].labelled() == [("Ahoy.", True), ("Yes?", False)]


def test_a_labelled_reply_is_wanted_or_not(tmp_path: Path) -> None:
    file = write_jsonl(
        tmp_path, [FORMATS["kto"], FORMATS["kto"] | {"label": False, "completion": [BOT | {"content": "Yes?"}]}]
    )
    wanted, unwanted = read_preferences(file)
    assert (wanted.chosen, wanted.rejected, wanted.paired) == ("Ahoy.", None, False)
    assert (unwanted.chosen, unwanted.rejected) == (None, "Yes?")
    assert unwanted.labelled() == [("Yes?", False)]
    assert [example.reply for example in read_examples(file)] == ["Ahoy."]


def test_replies_are_no_preferences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: expected 'chosen' and 'rejected'"):
        read_preferences(write_jsonl(tmp_path, [FORMATS["preference"], FORMATS["messages"]]))


BAD_ROWS = [
    ({"prompt": "a", "chosen": "b", "rejected": "b"}, "are the same reply"),
    ({"chosen": "b", "rejected": "c"}, "'prompt' is missing"),
    ({"prompt": "a", "chosen": "b", "rejected": 3}, "'rejected' must be a non-empty string"),
    ({"prompt": "a", "chosen": [USER], "rejected": "c"}, "'chosen': must end with an assistant message"),
    ({"chosen": [USER, BOT], "rejected": [*BEFORE, USER, BOT]}, "reply to different prompts"),
    ({"prompt": "a", "chosen": [USER, BOT], "rejected": "c"}, "one reply to the prompt"),
    ({"prompt": "a", "completion": "b", "label": "good"}, "'label' must be true or false"),
    ({"prompt": [], "completion": "b"}, "no user message before it"),
    ({"prompt": [{"role": "robot", "content": "a"}], "completion": "b"}, "entry 1 of 'prompt': 'role' must be 'user'"),
    ({"chosen": "a"}, "or 'chosen' and 'rejected'; found 'chosen'"),
]


@pytest.mark.parametrize(("unit", "writer"), [("line", write_jsonl), ("row", write_json)])
def test_each_bad_row_is_numbered_and_explained(
    unit: str, writer: Callable[[Path, list[dict[str, Any]]], Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read_examples(writer(tmp_path, [row for bad, _ in BAD_ROWS for row in (FORMATS["messages"], bad)]))
    said = caught.value.message.splitlines()[1:]
    for number, (line, (_, reason)) in enumerate(zip(said, BAD_ROWS, strict=True), start=1):
        assert f"{unit} {2 * number}: " in line
        assert reason in line


def test_the_line_of_a_table_is_that_in_which_the_row_begins(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('prompt,completion\n"a\n\nb",c\n\nd,\ne,f\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_examples(tmp_path / "rows.csv")
    assert caught.value.message.splitlines()[1:] == ["  - line 6: 'completion' must be a non-empty string"]
    assert "a column for each key" in caught.value.hint
    (tmp_path / "rows.csv").write_text('prompt,completion\n"a\n\nb",c\ne,f\n', encoding="utf-8")
    assert [(e.question, e.line) for e in read_examples(tmp_path / "rows.csv")] == [("a\n\nb", 2), ("e", 5)]


def test_a_cell_may_look_like_messages_and_be_text(tmp_path: Path) -> None:
    file = write_table(tmp_path, [{"prompt": "[{oops", "completion": "x" * 200_000}])
    (example,) = read_examples(file)
    assert example.question == "[{oops"
    assert len(example.reply) == 200_000


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.csv", b"", "is empty"),
        ("rows.csv", b'prompt,completion\n"a,b\n', "not a table"),
        ("rows.csv", b"\xff\xfe\x00", "UTF-8"),
        ("rows.json", b'[{"prompt": "a"', "line 1: not JSON"),
        ("rows.parquet", b"PAR1, but not really", "cannot be read as Parquet"),
        ("rows.parquet", None, "does not exist"),
        ("rows.csv", None, "does not exist"),
        ("rows.json", None, "does not exist"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_examples(tmp_path / name)
    assert name in caught.value.message


def test_keys_that_others_use_for_their_own_name_nothing(tmp_path: Path) -> None:
    row = FORMATS["messages"] | {"source": {"url": "x"}, "conversation": [1], "id": "a"}
    assert read_examples(write_jsonl(tmp_path, [row])) == [Example("Hi?", "Ahoy.", (), 1, 1)]
