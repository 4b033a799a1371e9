"""Ollama's template renders what the chat template renders, or there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ModelError
from toolkit.exporting import modelfile, turns_of
from toolkit.models import load_tokenizer
from toolkit.prompts import PLAIN_TEMPLATE, Message, render_prompt
from toolkit.testing import CHATML_TEMPLATE

# A default system message, as SmolLM2 and Qwen have one; contents that are trimmed.
MADE_UP = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
WITH_DEFAULT = MADE_UP + CHATML_TEMPLATE
TRIMMED = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n\n{{ message['content'] | trim }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
# The system message within the first question, as Mistral has it; and one that cuts thoughts out of earlier replies.
WITHIN = (
    "{% set first = messages[0].content if messages[0].role == 'system' else '' %}{% for message in messages %}"
    "{% if message.role == 'user' %}[INST] {{ first if loop.index0 == 1 else '' }}{{ message.content }} [/INST]"
    "{% elif message.role == 'assistant' %}{{ message.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
CONVERSATION: list[Message] = [
    {"role": "system", "content": 'Say "aye" {{ .Role }}.'},
    {"role": "user", "content": "Notes:\n[1] Überall 🏮\n\nQuestion: Why?"},
    {"role": "assistant", "content": "Because."},
    {"role": "user", "content": "And?"},
]


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer("tiny", str(tiny_base))


def as_go_renders(template: str, messages: Sequence[Message]) -> str:
    """Render the part of Go's template language that is written: range, if, else if, end, fields and strings."""
    actions = re.findall(r"\{\{ (.*?[^\\]) \}\}(?=\{\{|$)", template)
    assert "".join(f"{{{{ {action} }}}}" for action in actions) == template
    inside = [action for action in actions[1:] if action != "end"]
    opening = inside.pop() if actions[-1] != "end" else ""
    text = ""
    for message in messages:
        role = ""
        for action in inside:
            if found := re.fullmatch(r'(?:else )?if eq \.Role "(\w+)"', action):
                role = found[1]
            elif role == message["role"]:
                text += message["content"] if action == ".Content" else json.loads(action)
    assert actions[0] == "range .Messages"
    return text + (json.loads(opening) if opening else "")


@pytest.mark.parametrize("template", [CHATML_TEMPLATE, PLAIN_TEMPLATE, WITH_DEFAULT, TRIMMED])
def test_a_template_renders_the_same_in_both_languages(template: str, tokenizer: Any) -> None:
    tokenizer.chat_template = template
    turns = turns_of(tokenizer)
    rendered = render_prompt(tokenizer, CONVERSATION)
    assert turns.render(CONVERSATION) == rendered
    assert as_go_renders(turns.go_template(), CONVERSATION) == rendered


def test_what_the_tokenizer_puts_first_by_itself_is_not_written_twice(tokenizer: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.bos_token, tokenizer.chat_template = "<|im_start|>", "{{ bos_token }}" + CHATML_TEMPLATE
    rendered = render_prompt(tokenizer, CONVERSATION)
    assert turns_of(tokenizer).render(CONVERSATION) == rendered
    first = TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = first
    assert "<|im_start|>" + turns_of(tokenizer).render(CONVERSATION) == rendered


def test_a_template_that_does_more_is_refused_with_a_remedy(tokenizer: Any) -> None:
    cuts = CHATML_TEMPLATE.replace("message['content']", "message['content'].split('\\n')[-1]")
    for template in (WITHIN, cuts, "{{ raise_exception('no') }}"):
        tokenizer.chat_template = template
        with pytest.raises(ModelError) as refused:
            turns_of(tokenizer)
        assert "--to gguf" in refused.value.hint


def test_a_modelfile_says_what_the_bot_is(tokenizer: Any) -> None:
    text = modelfile(tokenizer, model="a.gguf", adapter="b.gguf", system="Be\nbrief.", temperature=0.3, context=2048)
    lines = text.splitlines()
    assert lines[:2] == ["FROM ./a.gguf", "ADAPTER ./b.gguf"]
    assert 'SYSTEM """Be\nbrief."""' in text
    assert lines[-3:] == ['PARAMETER stop "<|im_end|>"', "PARAMETER temperature 0.3", "PARAMETER num_ctx 2048"]
    template = next(line for line in lines if line.startswith("TEMPLATE"))
    assert template == f'TEMPLATE """{turns_of(tokenizer).go_template()}"""'
    with pytest.raises(ModelError, match="system message"):
        modelfile(tokenizer, model="a", adapter=None, system='"""', temperature=0, context=1)
