"""Whether an export answers as the bot does: its words, judged by the bot's own model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.progress import Progress

# Two tokens that are nearer to each other than this, in nats, are as good as tied: in 16 bits a logit between 16 and 32
# has no finer steps, so that a model which computes in them takes either.
TIE_NATS = 0.125
# First tokens of a reply that are compared.
FIRST_TOKENS = 32


@dataclass(frozen=True)
class Agreement:
    """How far the greedy replies of an export are those of a reference.

    Attributes:
        prompts: Prompts that were answered.
        exact: Those whose replies are the same, token by token.
        tied: Those of the others where the weights of the reference hold each token for the best one, or for nearer to
            it than ``TIE_NATS``.
        tokens: Tokens that were written.
        other: Those of them, in replies that are not exact, that are further from the best one.
        engine: What the export was loaded with.
    """

    prompts: int
    exact: int
    tied: int
    tokens: int
    other: int
    engine: str

    @property
    def share(self) -> float:
        """Share of the prompts that were answered alike, those with ties among them."""
        return (self.exact + self.tied) / max(1, self.prompts)

    @property
    def token_share(self) -> float:
        """Share of the tokens that are the best ones or tied with them."""
        return 1 - self.other / max(1, self.tokens)

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"{self.exact + self.tied} of {self.prompts} replies agree in their first {FIRST_TOKENS} tokens "
            f"({self.exact} to the token, {self.tied} up to ties under {TIE_NATS} nats); loaded with {self.engine}"
        )


def judge(
    model: Any,
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    own: Sequence[Sequence[int]] | None = None,
    *,
    engine: str,
    on_progress: Progress | None = None,
) -> Agreement:
    """Compare replies with those of a reference, and ask its weights of each token how far it is from the best one.

    That is stricter than to look at the place where two replies part: what follows a tie counts as well.

    Args:
        model: The weights of the reference. In 32 bits: in 16 a model that goes over what it has just written would
            itself have written otherwise now and then.
        prompts: The tokens of each prompt.
        replies: The tokens of each reply, the one that ends it among them.
        own: What the reference replied; without it a reply is the same where each token is the best one.
        engine: What wrote the replies.
        on_progress: Called before each prompt.
    """
    exact = tied = other = 0
    for done, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        if on_progress:
            on_progress("Comparing with the bot", done, len(prompts))
        if own is not None and list(own[done]) == list(reply):
            exact += 1
            continue
        gaps = _gaps(model, prompt, reply)
        far = sum(gap >= TIE_NATS for gap in gaps)
        same = own is None and not any(gaps)
        exact += same
        tied += not (same or far)
        other += far
    if on_progress:
        on_progress("Comparing with the bot", len(prompts), len(prompts))
    return Agreement(len(prompts), exact, tied, sum(map(len, replies)), other, engine)


def _gaps(model: Any, prompt: Sequence[int], reply: Sequence[int]) -> list[float]:
    """Return how much less likely each token of a reply is than the likeliest one in its place, in nats."""
    import torch

    if not reply:
        return [float("inf")]  # the end of a reply is a token as well: nothing at all is no reply
    ids = torch.tensor([[*prompt, *reply]], device=model.device)
    with torch.inference_mode():
        # The logits before each token of the reply.
        logits = model(input_ids=ids, logits_to_keep=len(reply) + 1).logits[0, :-1].float()
    chosen = logits.gather(1, ids[0, len(prompt) :, None])[:, 0]
    gaps: list[float] = (logits.max(dim=-1).values - chosen).tolist()
    return gaps


def greedy_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stops: Sequence[int],
    *,
    what: str = "Asking the export",
    on_progress: Progress | None = None,
) -> list[list[int]]:
    """Write the first tokens of a reply to each prompt with transformers, the likeliest each time.

    Args:
        model: The model.
        prompts: The tokens of each prompt.
        stops: Tokens that end a reply.
        what: What the progress calls it.
        on_progress: Called before each prompt.
    """
    import torch

    replies = []
    for done, prompt in enumerate(prompts):
        if on_progress:
            on_progress(what, done, len(prompts))
        ids = torch.tensor([list(prompt)], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=FIRST_TOKENS,
                do_sample=False,
                eos_token_id=list(stops),
                pad_token_id=stops[0],
            )
        replies.append(output[0, len(prompt) :].tolist())
    if on_progress:
        on_progress(what, len(prompts), len(prompts))
    return replies
