"""The only place where messages are rendered, for training and for serving alike (the seam)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = dict[str, str]

# For a tokenizer that brings no chat template: plain text roles that any base can continue.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] + '\n' + message['content'] + ((eos_token if message['role'] == 'assistant' else '')"
    " + '\n') }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)


DEFAULT_SYSTEM = "You answer customers in the voice of the house. Use only the notes."

# The short answer where the notes do not tell. Its first token begins hardly any answer, so that the score of that one
# token tells how likely the model holds a refusal, and forbidding it forces an answer.
UNTOLD = "unanswerable"


# About so many letters make a token in the languages with an alphabet: for room that need not be kept to the token.
LETTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Turn:
    """One exchange of a conversation: what was asked and what was replied."""

    question: str
    reply: str


@dataclass(frozen=True)
class ShownReply:
    """An example reply as it is shown to a base that has no adapter.

    Attributes:
        question: What was asked.
        reply: What the house replied.
        notes: What the reply rests on; empty for small talk.
    """

    question: str
    reply: str
    notes: tuple[str, ...] = ()

    @property
    def letters(self) -> int:
        """How much room it takes in a prompt."""
        return len(_with_notes(self.question, self.notes)) + len(self.reply)


# What the bundled base was grounded on: see pipelines/grounding. Another base understands them as they stand.
SHORT_TASK = f"Answer from the notes in as few words as possible. If they do not tell, write: {UNTOLD}"
REWRITE_TASK = "Rewrite the last question so that it can be understood alone. Write only it."


def answer_messages(system: str, question: str, notes: Sequence[str] = ()) -> list[Message]:
    """Lay out the messages that the final answer is written from.

    Args:
        system: The system message of ``bot.yaml``.
        question: The question, able to stand alone.
        notes: Sentences or passages, best first, each with its heading.
    """
    return [{"role": "system", "content": system}, {"role": "user", "content": _with_notes(question, notes)}]


def short_messages(question: str, notes: Sequence[str]) -> list[Message]:
    """Lay out the messages for the answer in a few words, or the word that says that the notes do not tell."""
    return [{"role": "system", "content": SHORT_TASK}, {"role": "user", "content": _with_notes(question, notes)}]


def talk_messages(
    system: str, name: str, subjects: Sequence[str], said: str, history: Sequence[Turn] = ()
) -> list[Message]:
    """Lay out the messages for what wants no facts: greetings, thanks, who the bot is and what it can do.

    Args:
        system: The system message of ``bot.yaml``.
        name: What the bot is called.
        subjects: What its documents are about, a few words each; empty without documents.
        said: What the person says.
        history: Earlier exchanges.
    """
    known = f" You can tell about: {', '.join(subjects)}." if subjects else ""
    return [{"role": "system", "content": f"{system}\nYour name is {name}.{known}"}, *chat_messages(said, history)]


def chat_messages(said: str, history: Sequence[Turn] = ()) -> list[Message]:
    """Lay out the messages of a chat as it was, with nothing of the bot's before it.

    Args:
        said: What the person says.
        history: Earlier exchanges.
    """
    messages = []
    for turn in history:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.reply})
    return [*messages, {"role": "user", "content": said}]


def rewrite_messages(question: str, history: Sequence[Turn], *, examples: bool = False) -> list[Message]:
    """Lay out the messages that turn a follow-up into a question of its own.

    Args:
        question: The follow-up.
        history: Earlier exchanges, oldest first; a reply may be empty.
        examples: Whether to show two examples first: for a base that was not trained on the task.
    """
    messages = [{"role": "system", "content": REWRITE_TASK}]
    for asked, replied, follow_up, alone in _REWRITTEN if examples else ():
        messages.append({"role": "user", "content": _rewrite_task([Turn(asked, replied)], follow_up)})
        messages.append({"role": "assistant", "content": alone})
    messages.append({"role": "user", "content": _rewrite_task(history, question)})
    return messages


_REWRITTEN = (
    ("How heavy is the Oslo bike?", "It weighs 14 kg.", "And the price?", "What is the price of the Oslo bike?"),
    ("When is the library open?", "From 9 to 5.", "Is it closed on Sunday?", "Is the library closed on Sunday?"),
)
_NOTES, _QUESTION = "Notes:\n", "\n\nQuestion: "
# Of an earlier reply, what it is about stands in its first words; the rest only takes time to read.
_REPLY_LETTERS = 200


def _rewrite_task(history: Sequence[Turn], question: str) -> str:
    """Lay out one rewriting task: the exchanges before, then the follow-up."""
    lines = []
    for turn in history:
        lines.append(f"Asked: {turn.question}")
        if turn.reply:
            lines.append(f"Replied: {' '.join(turn.reply.split())[:_REPLY_LETTERS]}")
    return "\n".join([*lines, f"Last question: {question}"])


def with_examples(messages: Sequence[Message], shown: Sequence[ShownReply]) -> list[Message]:
    """Put example replies before what is asked, as exchanges in which the house replied.

    Args:
        messages: What :func:`answer_messages` or :func:`talk_messages` laid out.
        shown: Example replies, the one that is most like the question last.
    """
    exchanges = []
    for item in shown:
        exchanges.append({"role": "user", "content": _with_notes(item.question, item.notes)})
        exchanges.append({"role": "assistant", "content": item.reply})
    (system, *rest) = messages
    return [system, *exchanges, *rest]


def question_in(messages: Sequence[Message]) -> str:
    """Return the question that messages ask, without its notes."""
    content = messages[-1]["content"]
    return content.partition(_QUESTION)[2] if content.startswith(_NOTES) else content


def _with_notes(question: str, notes: Sequence[str]) -> str:
    """Put numbered notes before a question; the number is what a reply cites them by."""
    if not notes:
        return question
    listed = "\n".join(f"[{number}] {' '.join(note.split())}" for number, note in enumerate(notes, start=1))
    return f"{_NOTES}{listed}{_QUESTION}{question}"


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the chat template that prompts are rendered with."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or PLAIN_TEMPLATE


def template_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Name the template and the special tokens by their content, for the bot's lock."""
    content = f"{template_of(tokenizer)}|{tokenizer.eos_token}|{tokenizer.bos_token}|{len(tokenizer)}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> str:
    """Render messages up to the place where the reply starts."""
    rendered = tokenizer.apply_chat_template(
        list(messages), chat_template=template_of(tokenizer), tokenize=False, add_generation_prompt=True
    )
    return str(rendered)


def render_tools_prompt(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]
) -> str:
    """Render messages with the tools that may be called, as the template of the base does it.

    Args:
        tokenizer: That of a base whose template has a place for tools.
        messages: Messages, calls of tools and their results among them.
        tools: The tools, as JSON schemas of functions.
    """
    rendered = tokenizer.apply_chat_template(
        list(messages),
        tools=list(tools),
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,  # where a template knows it: an agent thinks by looking
    )
    return str(rendered)


def render_pair(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str) -> tuple[str, str]:
    """Render a training row: the very prompt that serving renders, and the reply with its end of turn.

    Returns:
        The prompt and the completion; the completion ends with the token that ends a turn.

    Raises:
        ModelError: The template renders the prompt differently once a reply follows it, so that training and
            serving would not see the same string.
    """
    prompt = render_prompt(tokenizer, messages)
    whole = str(
        tokenizer.apply_chat_template(
            [*messages, {"role": "assistant", "content": reply}],
            chat_template=template_of(tokenizer),
            tokenize=False,
        )
    )
    if not whole.startswith(prompt):
        raise ModelError(
            "The chat template of this base renders a prompt differently in training than in serving.",
            "Choose another base, or give the tokenizer a template whose prompt is a prefix of the conversation.",
        )
    # What follows the turn's end belongs to the next turn; a template without an end gets the EOS token.
    completion = whole[len(prompt) :].rstrip("\n")
    if not any(completion.endswith(token) for token in tokenizer.all_special_tokens):
        completion += str(tokenizer.eos_token)
    return prompt, completion


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str
) -> tuple[list[int], list[int]]:
    """Tokenise a training row.

    Returns:
        The token ids and the labels, both of shape (length,): labels are -100 over the prompt, so that the loss is
        on the reply and its end of turn only.
    """
    prompt, completion = render_pair(tokenizer, messages, reply)
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    tail = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return head + tail, [-100] * len(head) + tail


def stop_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that end a reply: EOS and the token with which the template ends a turn."""
    _, completion = render_pair(tokenizer, [{"role": "user", "content": "a"}], "b")
    last = tokenizer(completion, add_special_tokens=False)["input_ids"][-1]
    return sorted({last, tokenizer.eos_token_id})
