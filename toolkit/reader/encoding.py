"""A pair of texts as the reader sees it: ``[CLS] question [SEP] passage [SEP]``, the same in training and in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What a question may take of the window. Of a longer one the end stays: people tell the story first and ask last.
MAX_FIRST_TOKENS = 96


@dataclass(frozen=True)
class EncodedPair:
    """A pair in tokens.

    Attributes:
        ids: Token ids with the special tokens, at most as many as the window holds.
        passage_at: Where in ``ids`` the passage begins; before it are the question and two special tokens.
        offsets: Characters of the passage that each of its tokens stands for, of shape (passage tokens, 2), int32.
    """

    ids: list[int]
    passage_at: int
    offsets: np.ndarray


def encode_pairs(
    tokenizer: Tokenizer, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int
) -> list[EncodedPair]:
    """Encode pairs of a question (or a sentence) and a passage. The passage is cut to the window, never the question.

    Args:
        tokenizer: A BERT tokenizer with truncation and padding off.
        firsts: Questions or sentences.
        seconds: The passage of each.
        max_tokens: Window in tokens, special tokens included.
    """
    opening, closing = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if opening is None or closing is None:
        raise ValueError("the tokenizer has no [CLS] or [SEP]")
    different = list(dict.fromkeys(firsts))
    encoded = tokenizer.encode_batch_fast(different, add_special_tokens=False)
    heads = {text: row.ids[-MAX_FIRST_TOKENS:] for text, row in zip(different, encoded, strict=True)}
    pairs = []
    for first, row in zip(firsts, tokenizer.encode_batch(list(seconds), add_special_tokens=False), strict=True):
        head = heads[first]
        room = max_tokens - len(head) - 3
        ids = [opening, *head, closing, *row.ids[:room], closing]
        offsets = np.array(row.offsets[:room], dtype=np.int32).reshape(-1, 2)
        pairs.append(EncodedPair(ids, len(head) + 2, offsets))
    return pairs
