"""Whether a tune is accepted: it learnt the voice, forgot little, and learnt no facts by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from toolkit.prompts import Message
from toolkit.tuning.measuring import general_talk, mean_loss, recited_share, talk_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Pairs of messages and the reply to them.
Rows = Sequence[tuple[Sequence[Message], str]]
# A voice that says one fact in ten by heart says some where the notes say another. The base alone guesses a few right,
# which is why it is measured beside.
_MOST_RECITED = 0.1
# Rows looked at for each loss: a mean over so many moves by a twentieth of a nat, and they take seconds.
_MOST_ROWS = 48
# For a share it takes more: over 48 replies, of which not all have numbers, that of the sample was 6%, or 11% with its
# rows in another order.
_MOST_REPLIES = 120


@dataclass(frozen=True)
class Acceptance:
    """What was measured of a tuned adapter, and what speaks against it.

    Losses are means in nats per token, on replies and their ends of turn; on general chat without the opening and the
    end, where a voice greets and takes its leave, so that only what stands between may get worse.

    Attributes:
        held_out: Loss on held-out example replies without and with the adapter, without notes; None without any.
        general: Loss on general chat without and with the adapter.
        general_astray: Loss of the base on the same replies beside questions that are not theirs: who expects them
            no better than this no longer heeds what is asked.
        recited: Share of replies whose numbers come by heart, without notes, without and with the adapter; None where
            no reply has any.
        faults: What speaks against it, in sentences; none for a tune that is accepted.
    """

    held_out: tuple[float, float] | None
    general: tuple[float, float]
    general_astray: float
    recited: tuple[float, float] | None
    faults: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def measure_tune(
    model: Any, tokenizer: PreTrainedTokenizerBase, held: Rows, trained: Rows, *, max_length: int
) -> Acceptance:
    """Measure an adapter beside the base that it is on, and judge it.

    Args:
        model: A ``PeftModel`` in evaluation mode.
        tokenizer: Its tokenizer.
        held: Held-out example replies, without notes.
        trained: Replies that the adapter was trained on with notes, here without.
        max_length: Longer rows are left out, in tokens.
    """
    general = talk_rows(general_talk())
    astray = [(general[number - 1][0], reply) for number, (_, reply) in enumerate(general)]
    held, trained = held[:_MOST_ROWS], trained[:_MOST_REPLIES]

    def loss(rows: Rows) -> float | None:
        return mean_loss(model, tokenizer, rows, max_length=max_length)

    def between(rows: Rows) -> float:
        found = mean_loss(model, tokenizer, rows, max_length=max_length, between=True)
        assert found is not None, "general chat is short, and longer than an opening"
        return found

    def recited() -> float | None:
        return recited_share(model, tokenizer, trained, max_length=max_length)

    voiced = loss(held), between(general), recited()
    with model.disable_adapter():
        plain, lost = (loss(held), between(general), recited()), between(astray)
    return judge(
        Acceptance(
            None if plain[0] is None or voiced[0] is None else (plain[0], voiced[0]),
            (plain[1], voiced[1]),
            lost,
            None if plain[2] is None or voiced[2] is None else (plain[2], voiced[2]),
        )
    )


def judge(measured: Acceptance) -> Acceptance:
    """Return what was measured with what speaks against the tune.

    Example:
        >>> judge(Acceptance((3.0, 2.0), (3.0, 6.0), 5.0, None)).faults
        ('It forgot how to talk: general chat costs 6.00 nats per token, 3.00 without it, and 5.00 unread.',)
    """
    faults = []
    if measured.held_out and not measured.held_out[1] < measured.held_out[0]:
        plain, voiced = measured.held_out
        faults.append(
            f"It did not learn the voice: held-out replies cost {voiced:.2f} nats per token, {plain:.2f} without it."
        )
    plain, voiced = measured.general
    if not voiced < max(measured.general_astray, plain):
        faults.append(
            f"It forgot how to talk: general chat costs {voiced:.2f} nats per token, {plain:.2f} without it, and "
            f"{measured.general_astray:.2f} unread."
        )
    if measured.recited and measured.recited[1] > measured.recited[0] + _MOST_RECITED:
        plain, voiced = measured.recited
        faults.append(
            f"It learnt facts by heart: without notes {voiced:.0%} of the replies get their numbers right, "
            f"{plain:.0%} without it."
        )
    return Acceptance(measured.held_out, measured.general, measured.general_astray, measured.recited, tuple(faults))
