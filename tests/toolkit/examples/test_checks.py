"""What is told of example replies before a tune: each fault is found, and a file without any is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import evidence
from toolkit.examples import Example, Finding, PlainRow, check_examples, enough_held_out, marked
from toolkit.examples.checks import FEW_EXAMPLES, contradictions, lengths, supervised
from toolkit.prompts import Turn, answer_messages

SYSTEM = "Be kind."


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def example(question: str, reply: str, line: int, **more: Any) -> Example:
    return Example(question, reply, more.pop("history", ()), line, line, **more)


def rows(*examples: Example) -> list[PlainRow]:
    return [PlainRow(item, answer_messages(SYSTEM, item.question)) for item in examples]


def many(count: int = FEW_EXAMPLES) -> list[Example]:
    return [example(f"What does lamp {n} cost?", f"Ahoy, it costs {n} euros.", n) for n in range(1, count + 1)]


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def test_good_examples_are_all_right(tokenizer: Any) -> None:
    findings = check_examples(rows(*many()), tokenizer, 640)
    assert {finding.level for finding in findings} == {"ok"}
    assert list(found(findings)) == [
        "training as serving", "supervised tokens", "marks in the text", "lengths", "duplicates", "contradictions",
        "enough replies",
    ]  # fmt: skip


def test_a_reply_without_words_is_nothing_to_learn_from(tokenizer: Any) -> None:
    finding = found(check_examples(rows(*many(), example("Who?", "", 99)), tokenizer, 640))["supervised tokens"]
    assert (finding.level, finding.lines) == ("bad", (99,))


def test_a_reply_that_does_not_end_is_found(tokenizer: Any) -> None:
    # A template that ends a turn only after a full stop, and otherwise with a mark that ends nothing.
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
        "{{ '<|im_start|>' if message['content'].endswith('!') else '<|im_end|>' }}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    finding = found(check_examples(rows(*many(), example("Who?", "Me!", 99)), tokenizer, 640))["supervised tokens"]
    assert (finding.level, finding.lines) == ("bad", (99,))
    assert "would not stop" in finding.said
    assert supervised([[-100, 5, 2]], [1], [2]).level == "ok"


def test_a_template_that_renders_prompts_otherwise_in_training_is_found(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% if not add_generation_prompt %}trained {% endif %}"
        "{% for message in messages %}{{ message['content'] + '<|im_end|>' }}{% endfor %}"
    )
    findings = found(check_examples(rows(*many()), tokenizer, 640))
    assert findings["training as serving"].level == "bad"
    assert "another base" in findings["training as serving"].said
    assert "lengths" not in findings


def test_marks_of_the_base_in_a_text_are_found(tokenizer: Any) -> None:
    odd = [example("Say <|im_end|> please", "Ahoy.", 98), example("Who?", "I am <|im_start|>system", 99)]
    finding = found(check_examples(rows(*many(), *odd), tokenizer, 640))["marks in the text"]
    assert (finding.level, finding.lines) == ("bad", (98, 99))


def test_lengths_are_told_and_rows_that_are_left_out_counted(tokenizer: Any) -> None:
    long = example("Tell me all.", "word " * 700, 70)
    finding = found(check_examples(rows(*many(), long), tokenizer, 640))["lengths"]
    assert (finding.level, finding.lines) == ("note", (70,))
    assert "1 of 65 rows are left out (line 70)" in finding.said
    assert lengths([900, 800], [1, 2], 640).level == "bad"
    spread = lengths(list(range(1, 101)), list(range(100)), 640)
    assert spread.said.startswith("half have 51 tokens or fewer, 95% 96, the longest 100;")


def test_what_is_said_twice_is_found(tokenizer: Any) -> None:
    again = [example("what does lamp 3 cost", "Ahoy,  it costs 3 euros.", 80), example("Ahoy 1?", "Aye.", 81)]
    later = example("What does lamp 3 cost?", "Ahoy, it costs 3 euros.", 82, history=(Turn("Hi.", "Aye."),))
    finding = found(check_examples(rows(*many(), *again, later), tokenizer, 640))["duplicates"]
    assert (finding.level, finding.lines) == ("note", (80,))


def test_replies_that_contradict_each_other_are_found() -> None:
    base = many(3)
    assert contradictions(base).level == "ok"
    worded = contradictions([*base, example("What does lamp 1 cost", "One of them is 1 euros.", 9)])
    assert (worded.level, worded.lines) == ("note", (1, 9))
    assert "other words" in worded.said
    priced = contradictions([*base, example("What does lamp 2 cost?", "It costs 7 euros, friend.", 9)])
    assert priced.lines == (2, 9)
    assert "different numbers" in priced.said
    declined = contradictions([*base, example("What does lamp 2 cost?", "2? I cannot tell.", 9, declines=True)])
    assert "declined" in declined.said
    # What was said before makes it another question.
    after = example("What does lamp 2 cost?", "It costs 7 euros.", 9, history=(Turn("In gold?", "Aye."),))
    assert contradictions([*base, after]).level == "ok"


def test_replies_about_one_source_alone_are_told(tokenizer: Any) -> None:
    even = [example(f"Ask {n}?", f"Aye {n}.", n, source=f"{n % 3}.md") for n in range(1, 13)]
    assert found(check_examples(rows(*even), tokenizer, 640))["subjects"].level == "ok"
    sided = [*even, *(example(f"More {n}?", f"Aye {n}.", n, source="0.md") for n in range(20, 40))]
    finding = found(check_examples(rows(*sided), tokenizer, 640))["subjects"]
    assert finding.level == "note"
    assert "32 rows are about 3 sources, 24 of them about 0.md" in finding.said


def test_a_woven_row_is_about_what_it_rests_on(tokenizer: Any) -> None:
    class Woven(PlainRow):
        kind = "passages"
        evidence = [evidence("The lamp burns.", source="lamp.md")]

    woven = [Woven(row.example, row.messages) for row in rows(*many(12))]
    assert "1 sources, 12 of them about lamp.md" in found(check_examples(woven, tokenizer, 640))["subjects"].said


def test_few_rows_are_said_to_be_few(tokenizer: Any) -> None:
    assert found(check_examples(rows(*many(5)), tokenizer, 640))["enough replies"].level == "note"
    assert found(check_examples([], tokenizer, 640))["enough replies"].said.startswith("0 to learn from")
    assert enough_held_out(8).level == "note"
    assert "12%" in enough_held_out(8).said
    assert enough_held_out(0).said.startswith("none")
    assert enough_held_out(40).level == "ok"


def test_a_row_is_shown_with_what_is_learnt_from(tokenizer: Any) -> None:
    stretches = marked(tokenizer, answer_messages(SYSTEM, "Hi?"), "Ahoy, friend.")
    assert [loss for _, loss in stretches] == [False, True]
    prompt, reply = (text for text, _ in stretches)
    assert prompt.endswith("Hi?<|im_end|>\n<|im_start|>assistant\n")
    assert reply == "Ahoy, friend.<|im_end|>"
