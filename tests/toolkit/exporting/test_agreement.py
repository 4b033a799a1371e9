"""An export is judged token by token: best, tied, or another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.exporting import greedy_tokens, judge


class Fixed:
    """A model that likes token 1 best everywhere, token 2 nearly as well, and token 3 clearly less."""

    device = "cpu"

    def __call__(self, input_ids: Any, logits_to_keep: int) -> Any:
        import torch

        row = torch.tensor([0.0, 5.0, 4.9, 4.5])
        assert logits_to_keep <= input_ids.shape[1]
        return SimpleNamespace(logits=row.repeat(1, logits_to_keep, 1))


@pytest.mark.parametrize(
    ("reply", "exact", "tied", "other"),
    [([1, 1], 1, 0, 0), ([1, 2, 1], 0, 1, 0), ([2, 3, 1], 0, 0, 1), ([3], 0, 0, 1), ([], 0, 0, 1)],
)
def test_a_reply_agrees_where_each_token_is_the_best_or_tied(
    reply: list[int], exact: int, tied: int, other: int
) -> None:
    found = judge(Fixed(), [[7, 8]], [reply], engine="a double")
    assert (found.exact, found.tied, found.other) == (exact, tied, other)
    assert found.share == exact + tied
    assert "a double" in str(found)


def test_what_the_reference_itself_replied_is_the_same_and_all_else_is_judged() -> None:
    found = judge(Fixed(), [[7]] * 3, [[1, 3], [2, 1], [1, 3]], [[1, 3], [1, 1], [1, 1]], engine="a double")
    assert (found.exact, found.tied, found.other) == (1, 1, 1)


def test_the_share_is_of_the_prompts() -> None:
    found = judge(Fixed(), [[7], [8], [9], [7]], [[1], [2], [3], [1, 1]], engine="a double")
    assert found.share == 0.75
    assert found.tokens == 5
    assert found.token_share == 0.8


def test_a_model_agrees_with_itself_and_not_with_another(tiny_base: Any, other_tiny_base: Any) -> None:
    from toolkit.models import load_base

    one, other = (load_base(str(base), device="cpu", dtype="float32") for base in (tiny_base, other_tiny_base))
    prompts = [one.tokenizer(text)["input_ids"] for text in ("How long does the lamp burn?", "Why?")]
    replies = greedy_tokens(one.model, prompts, [one.tokenizer.eos_token_id])
    assert all(len(reply) == 32 or reply[-1] == one.tokenizer.eos_token_id for reply in replies)
    assert judge(one.model, prompts, replies, engine="itself").share == 1
    assert judge(other.model, prompts, replies, engine="another").share == 0
