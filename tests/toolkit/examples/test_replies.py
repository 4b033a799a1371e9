"""Example replies: every format people have, every bad line numbered, and a split that leaks nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import DataError
from toolkit.examples import Example, read_examples, split_examples
from toolkit.prompts import Turn


def write(folder: Path, *rows: Any) -> Path:
    file = folder / "voice.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


FORMATS = {
    "messages": {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ahoy."}]},
    "with system": {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi?"},
            {"role": "assistant", "content": "Ahoy."},
        ]
    },
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Ahoy."}]},
    "prompt and completion": {"prompt": "Hi?", "completion": " Ahoy."},
    "alpaca": {"instruction": "Hi?", "input": "", "output": "Ahoy."},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_example(name: str, tmp_path: Path) -> None:
    assert read_examples(write(tmp_path, FORMATS[name])) == [Example("Hi?", "Ahoy.", (), 1, 1)]


def test_alpaca_input_belongs_to_the_question(tmp_path: Path) -> None:
    row = {"instruction": "Say it shorter.", "input": "A long text.", "output": "Short."}
    assert read_examples(write(tmp_path, row))[0].question == "Say it shorter.\n\nA long text."


def test_a_conversation_gives_an_example_a_reply_with_what_was_said_before(tmp_path: Path) -> None:
    row = {
        "messages": [
            {"role": "user", "content": "Hello."},
            {"role": "user", "content": "How heavy is it?"},
            {"role": "assistant", "content": "3 kg."},
            {"role": "user", "content": "And the price?"},
            {"role": "assistant", "content": "9 euros."},
        ],
        "declines": True,
    }
    first, second = read_examples(write(tmp_path, "", row))
    assert first == Example("Hello.\nHow heavy is it?", "3 kg.", (), 2, 2, True)
    assert second == Example("And the price?", "9 euros.", (Turn("Hello.\nHow heavy is it?", "3 kg."),), 2, 2, True)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "voice.jsonl").write_text("\ufeff" + json.dumps(FORMATS["messages"]), encoding="utf-8")
    assert len(read_examples(tmp_path / "voice.jsonl")) == 1


BAD_LINES = [
    ('{"messages": [', "not JSON"),
    ("[1, 2]", "expected an object, found list"),
    ('{"question": "a"}', "found 'question'"),
    ("{}", "no keys"),
    ('{"messages": "a"}', "'messages' must be a list"),
    ('{"messages": ["a"]}', "entry 1 of 'messages' must be an object"),
    (
        '{"messages": [{"role": "robot", "content": "a"}]}',
        "entry 1 of 'messages': 'role' must be 'user', 'assistant' or 'system'",
    ),
    ('{"messages": [{"role": "user", "content": " "}]}', "'content' must be a non-empty string"),
    ('{"conversations": [{"from": "gpt"}]}', "entry 1 of 'conversations': 'content' is missing"),
    ('{"messages": [{"role": "assistant", "content": "a"}]}', "no user message before it"),
    ('{"messages": [{"role": "user", "content": "a"}]}', "no assistant message"),
    ('{"messages": []}', "no assistant message"),
    ('{"prompt": "a", "completion": 3}', "'completion' must be a non-empty string"),
    ('{"instruction": null, "output": "a"}', "'instruction' must be a non-empty string"),
    ('{"prompt": "a", "completion": "b", "declines": "no"}', "'declines' must be true or false"),
    ('{"prompt": "", "completion": ""}', "'prompt' must be a non-empty string; 'completion' must be a non-empty"),
]


def test_each_bad_line_is_numbered_and_explained(tmp_path: Path) -> None:
    good = json.dumps(FORMATS["messages"])
    rows = [line for bad, _ in BAD_LINES for line in (good, bad)]
    with pytest.raises(DataError) as caught:
        read_examples(write(tmp_path, *rows))
    said = caught.value.message.splitlines()
    assert said[0].endswith(f"voice.jsonl has {len(BAD_LINES)} bad lines:")
    assert len(said) == len(BAD_LINES) + 1
    for number, (line, (_, reason)) in enumerate(zip(said[1:], BAD_LINES, strict=True), start=1):
        assert f"line {2 * number}:" in line
        assert reason in line
    assert '"messages"' in caught.value.hint


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="25 bad lines") as caught:
        read_examples(write(tmp_path, *["{}"] * 25))
    assert caught.value.message.endswith("and 5 more")


def test_missing_unreadable_and_short_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_examples(tmp_path / "voice.jsonl")
    (tmp_path / "voice.jsonl").write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_examples(tmp_path / "voice.jsonl")
    with pytest.raises(DataError, match="holds 1 example replies; at least 2"):
        read_examples(write(tmp_path, FORMATS["messages"]), min_examples=2)


def conversations(count: int) -> list[Example]:
    return [
        Example(f"Question {number} part {part}?", "Yes.", (), number, number)
        for number in range(count)
        for part in range(3)
    ]


def test_split_never_cuts_a_conversation() -> None:
    train, held = split_examples(conversations(200), 0.2, 0)
    assert not {example.conversation for example in train} & {example.conversation for example in held}
    assert len(train) + len(held) == 600
    assert 0.12 <= len(held) / 600 <= 0.28


def test_split_keeps_those_who_ask_the_same_together() -> None:
    examples = [
        example
        for number in range(100)
        for example in (
            Example(f"How is no {number}", "a", (), 2 * number, 1),
            Example(f"HOW is no. {number}?!", "b", (), 2 * number + 1, 2),
        )
    ]
    train, held = split_examples(examples, 0.3, 1)
    asked = [
        {" ".join(example.question.lower().replace(".", "").strip("?!").split()) for example in part}
        for part in (train, held)
    ]
    assert held
    assert not asked[0] & asked[1]


def test_split_is_stable_when_rows_are_added_and_depends_on_the_seed() -> None:
    few, many = conversations(60), conversations(90)
    assert split_examples(few, 0.3, 0)[1] == [e for e in split_examples(many, 0.3, 0)[1] if e.conversation < 60]
    assert split_examples(few, 0.3, 0) == split_examples(few, 0.3, 0)
    assert split_examples(few, 0.3, 0)[1] != split_examples(few, 0.3, 7)[1]
    assert split_examples(few, 0.0, 0)[1] == []


def from_sources(count: int, rows: int) -> list[Example]:
    return [
        Example(f"Question {number} of {source}?", "Yes.", (), line, line, source=f"{source}.md")
        for source in range(count)
        for number in range(rows)
        if (line := source * rows + number + 1)
    ]


def test_split_keeps_a_source_together() -> None:
    examples = from_sources(50, 4)
    train, held = split_examples(examples, 0.2, 0)
    assert held
    assert not {example.source for example in train} & {example.source for example in held}
    assert split_examples(examples, 0.2, 0)[1] == held != split_examples(examples, 0.2, 1)[1]
    # Without their sources they would be torn apart.
    torn = split_examples([Example(e.question, e.reply, (), e.line, e.line) for e in examples], 0.2, 0)
    assert {e.line // 4 for e in torn[0]} & {e.line // 4 for e in torn[1]}


def test_a_question_ties_two_sources_together() -> None:
    examples = from_sources(40, 2)
    tied = [Example("When is it open?", "Now.", (), 1000 + n, 1000 + n, source=f"{n}.md") for n in range(40)]
    train, held = split_examples([*examples, *tied[:2]], 0.3, 0)
    sides = [{example.source for example in side} for side in (train, held)]
    assert not sides[0] & sides[1]
    assert any({"0.md", "1.md"} <= side for side in sides)
    # Where all are tied into one group, there is nothing left to measure on but single conversations.
    train, held = split_examples([*examples, *tied], 0.3, 0)
    assert train
    assert held


def test_few_sources_are_too_coarse_to_split_by() -> None:
    train, held = split_examples(from_sources(3, 40), 0.2, 0)
    assert 12 <= len(held) <= 36
    assert {example.source for example in train} == {example.source for example in held}
