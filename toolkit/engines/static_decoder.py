"""Decoding with every tensor in its place: on a GPU a token is then one recorded piece of work, replayed.

A model of some billion parameters makes a token in a few milliseconds, and being handed its hundreds of small pieces of
work takes several times as long. A CUDA graph hands over all of them at once. It needs a cache of fixed length, one
prompt at a time, and a graph for each state of the adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Lengths of the cache: a new one means recording anew, about a second.
_LENGTHS = 1024
# A graph may be recorded once the libraries have set themselves up, which they do in the first passes.
_PASSES_BEFORE = 2


def decodes_statically(model: Any) -> bool:
    """Tell whether a model's tokens can be recorded: it is on an NVIDIA GPU, and its work does not depend on its data.

    Args:
        model: A transformers model.
    """
    return model.device.type == "cuda" and bool(getattr(model, "_can_compile_fullgraph", False))


class StaticDecoder:
    """Takes the likeliest token each time, over a cache of fixed length.

    Args:
        model: A transformers model, its adapter in its layers or none.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._length = 0
        self._cache: Any = None
        self._token: Any = None
        self._graphs: dict[bool, Any] = {}

    def tokens(self, prompt: Any, most: int, *, adapter: bool, forbidden: int | None = None) -> Iterator[int]:
        """Yield the tokens that follow a prompt; the caller stops at the one that ends a reply.

        Args:
            prompt: The tokens of one prompt, of shape (1, length).
            most: Tokens to yield at most.
            adapter: Whether the adapter is on now; each state has a recording of its own.
            forbidden: A token that must not come first.

        Raises:
            RuntimeError: The work cannot be recorded.
        """
        import torch

        self._make_room(prompt.shape[1] + most)
        replay = self._step
        if self._model.device.type == "cuda":
            if adapter not in self._graphs:
                self._graphs[adapter] = self._recorded(prompt)
            replay = self._graphs[adapter].replay
        logits = self._read(prompt)
        if forbidden is not None:
            logits[:, forbidden] = -torch.inf
        self._token.copy_(logits.argmax(-1, keepdim=True))
        for count in range(most):
            if count:
                replay()
            yield int(self._token)

    def _make_room(self, length: int) -> None:
        """Make the cache long enough; what was recorded over a shorter one is thrown away."""
        import torch
        from transformers import StaticCache

        if length <= self._length:
            return
        self._graphs.clear()
        self._length = -(-length // _LENGTHS) * _LENGTHS
        self._cache = StaticCache(config=self._model.config, max_cache_len=self._length)
        self._token = torch.zeros((1, 1), dtype=torch.long, device=self._model.device)

    def _read(self, prompt: Any) -> Any:
        """Read a prompt from the start, and return the logits of what follows it, of shape (1, vocabulary)."""
        self._cache.reset()
        read = self._model(input_ids=prompt, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        return read.logits[:, -1].float()

    def _step(self) -> None:
        """Read the last token and put the next one in its place."""
        position = self._cache.get_seq_length().reshape(1, 1).clone()
        read = self._model(input_ids=self._token, position_ids=position, past_key_values=self._cache, use_cache=True)
        self._token.copy_(read.logits[:, -1].float().argmax(-1, keepdim=True))

    def _recorded(self, prompt: Any) -> Any:
        """Record one step."""
        import torch

        self._read(prompt)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_PASSES_BEFORE):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        graph: Any = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph
