"""A tune is measured beside its base, and what speaks against it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.models import load_base
from toolkit.prompts import encode_pair
from toolkit.tuning import Acceptance, measure_tune
from toolkit.tuning.acceptance import judge
from toolkit.tuning.measuring import general_talk, mean_loss, recited_share, talk_rows

GOOD = Acceptance(held_out=(3.0, 2.0), general=(3.0, 3.5), general_astray=5.0, recited=(0.1, 0.15))


def test_a_good_tune_is_accepted() -> None:
    assert judge(GOOD).accepted
    assert judge(Acceptance(None, (3.0, 2.9), 5.0, None)).accepted


@pytest.mark.parametrize(
    ("measured", "fault"),
    [
        (Acceptance((3.0, 3.1), (3.0, 3.5), 5.0, None), "did not learn the voice"),
        (Acceptance((3.0, float("nan")), (3.0, 3.5), 5.0, None), "did not learn the voice"),
        (Acceptance((3.0, 2.0), (3.0, 5.1), 5.0, None), "forgot how to talk"),
        (Acceptance((3.0, 2.0), (3.0, 3.5), 5.0, (0.1, 0.3)), "facts by heart"),
    ],
)
def test_what_speaks_against_a_tune_is_named(measured: Acceptance, fault: str) -> None:
    judged = judge(measured)
    assert not judged.accepted
    assert len(judged.faults) == 1
    assert fault in judged.faults[0]


def test_general_talk_is_short_and_no_two_are_alike() -> None:
    examples = general_talk()
    assert len(examples) >= 40
    assert len({example.question for example in examples}) == len(examples)
    assert all(len(example.reply.split()) <= 60 for example in examples)


def test_the_loss_is_that_of_each_row_alone(tiny_base: Path) -> None:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    rows = talk_rows(general_talk())[:5]
    together = mean_loss(loaded.model.eval(), loaded.tokenizer, rows, max_length=10_000)
    total, count = 0.0, 0
    for messages, reply in rows:
        ids, labels = encode_pair(loaded.tokenizer, messages, reply)
        told = sum(label != -100 for label in labels[1:])
        with torch.no_grad():
            given: Any = {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}
            total += float(loaded.model(**given).loss) * told
        count += told
    assert together == pytest.approx(total / count, rel=1e-5)
    assert mean_loss(loaded.model, loaded.tokenizer, rows, max_length=1) is None


def test_the_loss_between_leaves_the_opening_and_the_end_to_the_voice(tiny_base: Path) -> None:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    rows = talk_rows(general_talk())[:3]
    found = mean_loss(loaded.model.eval(), loaded.tokenizer, rows, max_length=10_000, between=True)
    each: list[torch.Tensor] = []
    for messages, reply in rows:
        ids, labels = encode_pair(loaded.tokenizer, messages, reply)
        length = sum(label != -100 for label in labels)
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([ids])).logits[0, -length - 1 : -1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[-length:]), reduction="none")
        each.append(losses[4:-1])
    assert found == pytest.approx(float(torch.cat(each).mean()), rel=1e-5)
    short = [(rows[0][0], "")]
    assert mean_loss(loaded.model, loaded.tokenizer, short, max_length=10_000, between=True) is None


def test_a_number_that_is_known_by_heart_is_found(tiny_base: Path) -> None:
    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    rows = [([{"role": "user", "content": "How long?"}], "It is 38 hours.")]
    ids, labels = encode_pair(loaded.tokenizer, *rows[0])

    class Parrot:
        """Expects every token of the row, after as many virtual ones as it is made with."""

        device = torch.device("cpu")

        def __init__(self, virtual: int, knows: bool) -> None:
            self.virtual, self.knows = virtual, knows

        def __call__(self, input_ids: torch.Tensor) -> Any:
            width = len(loaded.tokenizer)
            logits = torch.zeros(1, self.virtual + len(ids), width)
            for at, token in enumerate(ids[1:] if self.knows else []):
                logits[0, self.virtual + at, token] = 1.0
            return type("Output", (), {"logits": logits})

    for virtual in (0, 3):
        assert recited_share(Parrot(virtual, True), loaded.tokenizer, rows, max_length=999) == 1.0
        assert recited_share(Parrot(virtual, False), loaded.tokenizer, rows, max_length=999) == 0.0
    asked = [([{"role": "user", "content": "38 hours?"}], "It is 38 hours.")]
    assert recited_share(Parrot(0, True), loaded.tokenizer, asked, max_length=999) is None


def test_an_adapter_is_measured_beside_its_base(tiny_base: Path) -> None:
    from peft import LoraConfig, get_peft_model

    loaded = load_base(str(tiny_base), device="cpu", dtype="float32")
    # In the head it is the scores themselves that go astray: behind a layer of the base a norm would put them right.
    model = get_peft_model(loaded.model, LoraConfig(task_type="CAUSAL_LM", target_modules=["lm_head"])).eval()
    rows = talk_rows(general_talk())[:4]
    untrained = measure_tune(model, loaded.tokenizer, rows, rows, max_length=10_000)
    assert untrained.held_out is not None
    assert untrained.held_out[0] == pytest.approx(untrained.held_out[1])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=30.0)
    spoilt = measure_tune(model, loaded.tokenizer, rows, rows, max_length=10_000)
    assert spoilt.general[0] == pytest.approx(untrained.general[0])
    assert any("forgot how to talk" in fault for fault in spoilt.faults)
