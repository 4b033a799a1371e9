"""The loss of a tune: TRL's own, or a quicker one that gives the same where it is known to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.tuning.adapters import is_in_layers

if TYPE_CHECKING:
    from torch import nn
    from trl import SFTTrainer

# Batches are filled up to whole multiples of this, see trainer_class.
_HEAD_ROWS = 64
# Logits from -_WIDE to _WIDE are handed through a base, to see whether it leaves them as they are.
_WIDE = 1000.0
_PROBED_TOKENS = 4


def trainer_class() -> type[SFTTrainer]:
    """Return TRL's trainer with a loss that does only what a tune needs, where that is right.

    TRL's own head walks over the vocabulary in float32 tiles and works out an entropy that nobody reads. Here the
    hidden states of the supervised positions alone go through the head, in the format of its weights, and the
    cross-entropy is taken in float32. Same loss, fewer passes over memory. It walks past the forward pass of PEFT and
    of the base: where either does more than layers and head do, the loss is TRL's.
    """
    import torch
    from trl import SFTTrainer

    class ReplyTrainer(SFTTrainer):
        @cached_property
        def quick(self) -> bool:
            """Whether the quick loss is the same as TRL's for this model."""
            return self.accelerator.num_processes == 1 and is_in_layers(self.model) and has_plain_head(self.model)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            if not self.quick:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"][:, 1:]
            base = model.get_base_model()
            backbone = getattr(base, base.base_model_prefix)
            hidden = backbone(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
            ).last_hidden_state[:, :-1]
            supervised = labels != -100
            count = int(supervised.sum())
            # Filled up, so that few shapes occur: oneDNN keeps a plan, with a copy of the head, for each on a CPU.
            filling = -count % _HEAD_ROWS
            rows = torch.nn.functional.pad(hidden[supervised], (0, 0, 0, filling))
            wanted = torch.nn.functional.pad(labels[supervised], (0, filling), value=-100)
            logits = base.get_output_embeddings()(rows).float()
            total = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum", ignore_index=-100)
            loss = total / (count if num_items_in_batch is None else num_items_in_batch)
            return (loss, {"loss": loss}) if return_outputs else loss

    return ReplyTrainer


def has_plain_head(model: Any) -> bool:
    """Tell whether the logits of a model are its head on its last hidden states, and its loss theirs alone.

    Bases of some families scale the hidden states before the head or the logits after it (Cohere, Granite), or press
    them into a range (Gemma 2); mixtures of experts add a loss of their own. Rather than go by their names, a base is
    made to hand on logits over a wide range.

    Args:
        model: A ``PeftModel`` over a causal language model.
    """
    import torch

    base = model.get_base_model()
    head: nn.Module | None = base.get_output_embeddings()
    backbone = getattr(base, base.base_model_prefix, None)
    if head is None or backbone is None or backbone is base or getattr(base.config, "output_router_logits", False):
        return False
    seen: list[Any] = []

    def replace(module: Any, arguments: Any, output: Any) -> Any:
        wide = torch.linspace(-_WIDE, _WIDE, output.numel(), device=output.device, dtype=output.dtype)
        seen.append((arguments[0], wide.view_as(output)))
        return seen[-1][1]

    ids = torch.arange(_PROBED_TOKENS, device=base.device).unsqueeze(0) % base.config.vocab_size
    training = model.training
    model.eval()  # without dropout both passes are the same
    hook = head.register_forward_hook(replace)
    try:
        with torch.no_grad():
            logits = base(input_ids=ids, use_cache=False).logits
            hidden = backbone(input_ids=ids, use_cache=False).last_hidden_state
    finally:
        hook.remove()
        model.train(training)
    if len(seen) != 1:
        return False  # the head was never asked, or more than once
    given, wide = seen[0]
    return bool(
        given.shape == hidden.shape
        and torch.allclose(given.float(), hidden.float(), rtol=1e-2, atol=1e-4)
        and torch.allclose(logits.float(), wide.float())
    )
