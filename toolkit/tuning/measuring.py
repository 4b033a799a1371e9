"""Losses of an adapter: how well a model expects replies that it was not trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.examples.replies import Example, read_examples
from toolkit.prompts import Message, chat_messages, encode_pair
from toolkit.tuning.adapters import takes_padding

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# 40 short instructions and 12 exchanges of general chat, of our own writing: what any assistant is asked, in nobody's
# voice and of nobody's documents. No tune is ever given them, so that their loss tells what it has forgotten.
GENERAL_TALK = Path(__file__).parent / "general_talk.jsonl"
# The loss is taken over whole vocabularies: a few rows at once are enough to keep a processor busy.
_BATCH_ROWS = 4
# A reply is opened in about so many tokens. Of the rise that a good voice brings to general chat nearly all is in the
# first of them and in the end of turn: the greeting and the farewell that are missing there, and nothing forgotten.
_OPENING_TOKENS = 4
_NUMBER = re.compile(r"\d+")


def general_talk() -> list[Example]:
    """Return the exchanges that forgetting is measured on; an assistant's later turns are exchanges of their own.

    Example:
        >>> general_talk()[0].question
        'Name three things you can use to cut paper.'
    """
    return read_examples(GENERAL_TALK)


def talk_rows(examples: Sequence[Example]) -> list[tuple[list[Message], str]]:
    """Lay out exchanges as plain chats without a system message: pairs of messages and reply."""
    return [(chat_messages(example.question, example.history), example.reply) for example in examples]


def mean_loss(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[tuple[Sequence[Message], str]],
    *,
    max_length: int,
    between: bool = False,
) -> float | None:
    """Return the mean loss on replies and their ends of turn, in nats per token.

    Args:
        model: A causal language model in evaluation mode, with an adapter or without.
        tokenizer: Its tokenizer.
        rows: Pairs of messages and the reply to them.
        max_length: Rows of more tokens are left out, as they are in a tune.
        between: Whether the opening of each reply and its end of turn are left out, which are the voice's.

    Returns:
        The loss; None where no token is left.
    """
    import torch

    pairs = [encode_pair(tokenizer, messages, reply) for messages, reply in rows]
    if between:
        pairs = [(ids, _between(labels)) for ids, labels in pairs]
        pairs = [(ids, labels) for ids, labels in pairs if any(label != -100 for label in labels)]
    kept = sorted((pair for pair in pairs if len(pair[0]) <= max_length), key=lambda pair: len(pair[0]))
    batch_rows = _BATCH_ROWS if takes_padding(model) else 1
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(kept), batch_rows):
            batch = kept[start : start + batch_rows]
            longest = max(len(ids) for ids, _ in batch)
            filled = [(longest - len(ids), ids, labels) for ids, labels in batch]
            pad = tokenizer.pad_token_id
            inputs = {
                "input_ids": [ids + [pad] * short for short, ids, _ in filled],
                "attention_mask": [[1] * len(ids) + [0] * short for short, ids, _ in filled],
                "labels": [labels + [-100] * short for short, _, labels in filled],
            }
            # The model's own loss: a method that puts virtual tokens before a prompt moves the labels along with it.
            loss = model(**{name: torch.tensor(value, device=model.device) for name, value in inputs.items()}).loss
            tokens = sum(label != -100 for _, labels in batch for label in labels[1:])
            total, count = total + float(loss) * tokens, count + tokens
    return total / count if count else None


def _between(labels: Sequence[int]) -> list[int]:
    """Return labels without those of the opening of a reply and of its end of turn."""
    opens = next(at for at, label in enumerate(labels) if label != -100) + _OPENING_TOKENS
    return [-100 if at < opens or at == len(labels) - 1 else label for at, label in enumerate(labels)]


def log_likelihood(
    model: Any, tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], reply: str
) -> float:
    """Return how likely a model holds a reply with its end of turn, in nats.

    Args:
        model: A causal language model in evaluation mode, with an adapter or without.
        tokenizer: Its tokenizer.
        messages: What the reply answers.
        reply: The reply.
    """
    import torch

    ids, labels = encode_pair(tokenizer, messages, reply)
    said = torch.tensor(labels[1:]) != -100
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, :-1].cpu()[said].float()
    wanted = torch.tensor(ids[1:])[said].unsqueeze(1)
    return float(logits.log_softmax(-1).gather(1, wanted).sum())


def recited_share(
    model: Any, tokenizer: PreTrainedTokenizerBase, rows: Sequence[tuple[Sequence[Message], str]], *, max_length: int
) -> float | None:
    """Return the share of replies whose numbers a model knows by heart.

    Each reply is handed to the model word by word: it counts where each digit that does not stand in the prompt is the
    likeliest next one. Numbers are what a reply states most exactly, in every language.

    Args:
        model: A causal language model in evaluation mode, with an adapter or without.
        tokenizer: Its tokenizer.
        rows: Pairs of messages, without notes, and the reply to them.
        max_length: Longer rows are left out, in tokens.

    Returns:
        The share; None where no reply has a number that its prompt has not.
    """
    import torch

    found = []
    for messages, reply in rows:
        asked = " ".join(message["content"] for message in messages)
        if not set(_NUMBER.findall(reply)) - set(_NUMBER.findall(asked)):
            continue
        ids, labels = encode_pair(tokenizer, messages, reply)
        learnt = [at for at, label in enumerate(labels) if label != -100]
        digits = [at for at in learnt if _NUMBER.search(str(tokenizer.decode([ids[at]])))]
        if len(ids) > max_length or not digits:
            continue
        with torch.inference_mode():
            # Virtual tokens stand before the prompt: places are counted from the end.
            likeliest = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].argmax(-1).tolist()
        before = len(likeliest) - len(ids) - 1
        found.append(all(likeliest[before + at] == ids[at] for at in digits))
    return sum(found) / len(found) if found else None
