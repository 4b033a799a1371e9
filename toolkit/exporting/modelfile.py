"""A chat template as Ollama's Go template, and the Modelfile around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import ModelError
from toolkit.exporting.vocabulary import adds_bos
from toolkit.prompts import Message, render_prompt, stop_token_ids, template_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = ("system", "user", "assistant")
# Contents that no template holds, and that a template which trims or cuts contents leaves as they are.
_PROBES = {role: f"<{role}-probe>" for role in ROLES}
_SPOKEN: tuple[tuple[str, ...], ...] = (("user",), ("user", "assistant", "user"), ("user", "assistant") * 3 + ("user",))


@dataclass(frozen=True)
class Turns:
    """A chat template that writes each message between two texts of its role's, and then opens the reply.

    Attributes:
        around: By role: what stands before a message, and what after it.
        opening: What opens the reply.
    """

    around: Mapping[str, tuple[str, str]]
    opening: str

    def render(self, messages: Sequence[Message]) -> str:
        """Return messages as the template renders them, up to where the reply begins."""
        text = ""
        for message in messages:
            before, after = self.around[message["role"]]
            text += before + message["content"] + after
        return text + self.opening

    def go_template(self) -> str:
        """Return the template in Go's language, all in one line: nothing depends on how a Modelfile breaks lines."""
        cases = [
            f'if eq .Role "{role}" }}}}{_literal(before)}{{{{ .Content }}}}{_literal(after)}{{{{ '
            for role, (before, after) in self.around.items()
        ]
        return f"{{{{ range .Messages }}}}{{{{ {'else '.join(cases)}end }}}}{{{{ end }}}}{_literal(self.opening)}"


def _literal(text: str) -> str:
    """Return an action of a Go template that writes a text as it is."""
    # Strings are written alike in JSON and in Go, as long as letters beyond ASCII are not escaped.
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""


def turns_of(tokenizer: PreTrainedTokenizerBase) -> Turns:
    """Read off a chat template what it writes around each message, and see to it that nothing else decides.

    Conversations begin with a system message, which the Modelfile has: what a template makes up without one is left
    out. What begins a text is left to the tokenizer where that puts it there by itself.

    Raises:
        ModelError: The template does more than that.
    """
    found = _read(tokenizer)
    for roles in _SPOKEN:
        for body in ("one line", "two\nlines", 'Notes:\n[1] a "b" {{ c }}\n\nQuestion: d?'):
            messages = [{"role": "system", "content": f"system {body}"}]
            messages += [{"role": role, "content": f"{number} {body}"} for number, role in enumerate(roles)]
            if found is None or found.render(messages) != _without_bos(tokenizer, render_prompt(tokenizer, messages)):
                raise ModelError(
                    "The chat template of this base does more than to write its messages one after the other, so it "
                    "cannot be written as a template of Ollama's here.",
                    "Export with --to gguf, which carries the chat template as it is: llama.cpp and LM Studio run it.",
                )
    assert found is not None
    return found


def _read(tokenizer: PreTrainedTokenizerBase) -> Turns | None:
    """Return what a template writes around the messages of a short conversation; None where it cannot be told."""
    asked = [{"role": role, "content": _PROBES[role]} for role in ("system", "user", "assistant", "user")]
    try:
        texts = [_without_bos(tokenizer, _rendered(tokenizer, asked[:count])) for count in (2, 3, 4)]
    except Exception:  # noqa: BLE001 - a template may raise anything, and says so to whom it renders for
        return None
    opened = _without_bos(tokenizer, render_prompt(tokenizer, asked[:2]))
    first, second, third = texts
    user, assistant = third.removeprefix(second), second.removeprefix(first)
    if not (third.startswith(second) and second.startswith(first) and opened.startswith(first)):
        return None
    written = {"system": first.removesuffix(user), "user": user, "assistant": assistant}
    if not first.endswith(user) or any(text.count(_PROBES[role]) != 1 for role, text in written.items()):
        return None
    around = {}
    for role, text in written.items():
        before, _, after = text.partition(_PROBES[role])
        around[role] = (before, after)
    return Turns(around, opened.removeprefix(first))


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Return messages as the template renders them, no reply opened."""
    return str(tokenizer.apply_chat_template(list(messages), chat_template=template_of(tokenizer), tokenize=False))


def _without_bos(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Return a text without the token that the tokenizer puts before it by itself."""
    return text.removeprefix(str(tokenizer.bos_token)) if adds_bos(tokenizer) else text


def modelfile(
    tokenizer: PreTrainedTokenizerBase,
    *,
    model: str,
    adapter: str | None,
    system: str,
    temperature: float,
    context: int,
) -> str:
    """Return a Modelfile for Ollama.

    https://docs.ollama.com/modelfile

    Args:
        tokenizer: The tokenizer of the base, with its chat template.
        model: The GGUF, relative to the Modelfile.
        adapter: The GGUF of the LoRA, relative to it.
        system: The system message.
        temperature: 0 is greedy.
        context: Tokens that a conversation may have.

    Raises:
        ModelError: The chat template cannot be written as one of Ollama's, or the system message not into a Modelfile.
    """
    if '"""' in system:
        raise ModelError(
            'The system message holds """, which ends a text in a Modelfile.', "Change chain.system in bot.yaml."
        )
    stops = [tokenizer.decode([number]) for number in stop_token_ids(tokenizer)]
    lines = [
        f"FROM ./{model}",
        *([f"ADAPTER ./{adapter}"] if adapter else []),
        f'TEMPLATE """{turns_of(tokenizer).go_template()}"""',
        f'SYSTEM """{system}"""',
        *(f'PARAMETER stop "{stop}"' for stop in stops),  # nothing is escaped between these
        f"PARAMETER temperature {temperature:g}",
        f"PARAMETER num_ctx {context}",
    ]
    return "\n".join(lines) + "\n"
