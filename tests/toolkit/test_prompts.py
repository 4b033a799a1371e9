"""Rendering: what is trained on is what is served, the loss is on the reply, and EOS is learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ModelError
from toolkit.prompts import (
    PLAIN_TEMPLATE,
    UNTOLD,
    ShownReply,
    Turn,
    answer_messages,
    encode_pair,
    question_in,
    render_pair,
    render_prompt,
    rewrite_messages,
    short_messages,
    stop_token_ids,
    talk_messages,
    template_hash,
    with_examples,
)

CASES = {
    "plain": answer_messages("Be kind.", "How long does it burn?"),
    "notes": answer_messages("Be kind.", "How long?", ["It burns\nfor 38 hours.", "It costs 40 euros."]),
    "short": short_messages("How long?", ["It burns for 38 hours."]),
    "talk": talk_messages("Be kind.", "Ada", ["lamps", "kites"], "And you?", [Turn("Hello!", "Ahoy.")]),
    "rewriting": rewrite_messages("And the price?", [Turn("How long?", "38 hours.")], examples=True),
    "letters": answer_messages("Be kind.", "Wie groß ist 灯? <b>{{ x }}</b>"),
}


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture
def plain_tokenizer(tiny_base: Path) -> Any:
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(tiny_base)
    plain.chat_template = None
    return plain


def test_notes_are_numbered_as_a_reply_cites_them() -> None:
    messages = answer_messages("S", "Q?", ["first  one", "sec\nond"])
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"] == "S"
    assert messages[-1]["content"] == "Notes:\n[1] first one\n[2] sec ond\n\nQuestion: Q?"
    assert answer_messages("S", "Q?")[-1]["content"] == "Q?"


def test_the_short_answer_is_asked_of_the_same_notes() -> None:
    messages = short_messages("Q?", ["one"])
    assert messages[-1] == answer_messages("S", "Q?", ["one"])[-1]
    assert UNTOLD in messages[0]["content"]


def test_talk_knows_name_subjects_and_what_was_said() -> None:
    messages = talk_messages("S", "Ada", ["lamps", "kites"], "Thanks!", [Turn("a", "b"), Turn("c", "d")])
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert messages[0]["content"] == "S\nYour name is Ada. You can tell about: lamps, kites."
    assert [message["content"] for message in messages[1:]] == ["a", "b", "c", "d", "Thanks!"]
    assert talk_messages("S", "Ada", [], "Hi")[0]["content"] == "S\nYour name is Ada."


def test_examples_stand_as_exchanges_and_the_question_is_found_again() -> None:
    asked = answer_messages("S", "Q?", ["one"])
    shown = with_examples(asked, [ShownReply("A?", "a", ("two",)), ShownReply("Hi", "Ho")])
    assert [(message["role"], message["content"]) for message in shown] == [
        ("system", "S"), ("user", "Notes:\n[1] two\n\nQuestion: A?"), ("assistant", "a"), ("user", "Hi"),
        ("assistant", "Ho"), ("user", "Notes:\n[1] one\n\nQuestion: Q?"),
    ]  # fmt: skip
    assert with_examples(asked, []) == asked
    assert (question_in(shown), question_in(answer_messages("S", "Hi"))) == ("Q?", "Hi")


def test_rewriting_shows_the_exchanges_and_of_a_long_reply_its_beginning() -> None:
    history = [Turn("Old?", "Old."), Turn("How heavy?", "3\nkg. " + "x" * 400), Turn("Last?", "")]
    (system, user) = rewrite_messages("And the price?", history)
    assert system["role"] == "system"
    lines = user["content"].split("\n")
    assert lines[:2] == ["Asked: Old?", "Replied: Old."]
    assert lines[2:4] == ["Asked: How heavy?", "Replied: " + ("3 kg. " + "x" * 400)[:200]]
    assert lines[4:] == ["Asked: Last?", "Last question: And the price?"]


def test_examples_of_rewriting_are_shown_to_a_base_that_was_not_trained_on_it() -> None:
    history = [Turn("How heavy?", "3 kg.")]
    bare, shown = (rewrite_messages("And the price?", history, examples=examples) for examples in (False, True))
    assert [message["role"] for message in shown[1:-1]] == ["user", "assistant"] * 2
    assert [shown[0], shown[-1]] == bare


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["tokenizer", "plain_tokenizer"])
def test_a_training_row_starts_with_exactly_the_served_prompt(
    case: str, kind: str, request: pytest.FixtureRequest
) -> None:
    chosen = request.getfixturevalue(kind)
    served = render_prompt(chosen, CASES[case])
    prompt, completion = render_pair(chosen, CASES[case], "It burns for 38 hours.")
    assert prompt == served
    assert completion.startswith("It burns for 38 hours.")
    ids, _ = encode_pair(chosen, CASES[case], "It burns for 38 hours.")
    served_ids = chosen(served, add_special_tokens=False)["input_ids"]
    assert ids[: len(served_ids)] == served_ids
    assert chosen.decode(ids) == prompt + completion


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["tokenizer", "plain_tokenizer"])
def test_labels_cover_the_reply_and_its_end_and_nothing_else(
    case: str, kind: str, request: pytest.FixtureRequest
) -> None:
    chosen = request.getfixturevalue(kind)
    ids, labels = encode_pair(chosen, CASES[case], "It burns for 38 hours.")
    trained = [label for label in labels if label != -100]
    assert len(ids) == len(labels)
    assert labels == [-100] * (len(ids) - len(trained)) + ids[-len(trained) :]
    assert chosen.decode(trained[:-1]) == "It burns for 38 hours."
    assert trained[-1] == chosen.eos_token_id


def test_generation_stops_where_training_ends(tokenizer: Any, plain_tokenizer: Any) -> None:
    for chosen in (tokenizer, plain_tokenizer):
        ids, _ = encode_pair(chosen, CASES["plain"], "Yes.")
        assert ids[-1] in stop_token_ids(chosen)
        assert chosen.eos_token_id in stop_token_ids(chosen)


def test_the_end_of_turn_of_the_template_stops_as_well_as_eos(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    other = AutoTokenizer.from_pretrained(tiny_base, eos_token="<|im_start|>")
    assert stop_token_ids(other) == sorted(other.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]))


def test_a_template_that_renders_training_differently_is_refused(plain_tokenizer: Any) -> None:
    render_pair(plain_tokenizer, CASES["plain"], "Yes.")
    # Templates of thinking models take something out of the past, or put something before the reply.
    plain_tokenizer.chat_template = "{% if add_generation_prompt %}think {% endif %}" + PLAIN_TEMPLATE
    with pytest.raises(ModelError, match="differently in training than in serving") as caught:
        render_pair(plain_tokenizer, CASES["plain"], "Yes.")
    assert caught.value.hint


def test_the_template_is_named_by_its_content(tokenizer: Any, plain_tokenizer: Any) -> None:
    name = template_hash(tokenizer)
    assert name == template_hash(tokenizer)
    assert name != template_hash(plain_tokenizer)
    plain_tokenizer.chat_template = tokenizer.chat_template
    assert name == template_hash(plain_tokenizer)
    plain_tokenizer.eos_token = "<|im_start|>"
    assert name != template_hash(plain_tokenizer)
