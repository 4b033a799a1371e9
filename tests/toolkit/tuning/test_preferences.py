"""Preferences: learnt from an adapter that is there, with served prompts, safe to stop, the base left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.conftest import REPLIES
from tests.toolkit.tuning.test_training import ROWS, SETTINGS, Pulled, load, stop_after
from toolkit.answering import Route
from toolkit.config import TAKE_PREFERENCES, VOICES, VoiceSettings
from toolkit.errors import DataError
from toolkit.examples import Preference
from toolkit.models import LoadedModel
from toolkit.prompts import answer_messages, render_prompt
from toolkit.seam import PreferenceRow
from toolkit.tuning import attach_adapter, choose_loss, lent_for_tuning, prefer, train_adapter
from toolkit.tuning.measuring import log_likelihood
from toolkit.tuning.preferences import encode_preferences

PREFERRED = SETTINGS.model_copy(update={"preference_learning_rate": 0.02, "preference_epochs": 4.0})


def row(number: int, asked: str, chosen: str | None, rejected: str | None) -> PreferenceRow:
    notes = ["A note."] if number < 9 else []
    route = Route(asked, "question", asked, [], [], answer_messages("Be kind.", asked, notes))
    return PreferenceRow(Preference(asked, (), chosen, rejected, number, number), route)


def paired(number: int, asked: str, said: str) -> PreferenceRow:
    """A pair that wants the reply without its last word."""
    return row(number, asked, said.rpartition(" ")[0], said)


PAIRS = [paired(number, asked, said) for number, (asked, said) in enumerate(REPLIES, start=1)]
LABELLED = [
    row(one.preference.line, one.preference.question, *((reply, None) if label else (None, reply)))
    for one in PAIRS
    for reply, label in one.preference.labelled()
]


@pytest.fixture(scope="module")
def voice(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the replies."""
    place = tmp_path_factory.mktemp("voice")
    train_adapter(ROWS, load(tiny_base), SETTINGS, place / "adapter", work=place / "work")
    return place / "adapter"


def gaps(loaded: LoadedModel, adapter: Path) -> list[float]:
    """Return by how much each chosen reply is likelier than the rejected one, in nats."""
    found = []
    with lent_for_tuning(loaded.model):
        model = attach_adapter(loaded.model, adapter)
        for one in PAIRS:
            chosen, rejected = (
                log_likelihood(model, loaded.tokenizer, one.messages, reply) for reply, _ in one.preference.labelled()
            )
            found.append(chosen - rejected)
    return found


@pytest.mark.parametrize(("rows", "loss"), [(PAIRS, "dpo"), (LABELLED, "kto")])
def test_what_is_wanted_becomes_likelier_than_what_is_not(
    tiny_base: Path, voice: Path, tmp_path: Path, rows: list[PreferenceRow], loss: str
) -> None:
    loaded = load(tiny_base)
    kept = {name: weight.clone() for name, weight in loaded.model.state_dict().items()}
    before, written = gaps(loaded, voice), (voice / "adapter_model.safetensors").read_bytes()
    told: list[str] = []
    with lent_for_tuning(loaded.model):
        report = prefer(
            rows, loaded, PREFERRED, voice, tmp_path / "adapter", work=tmp_path / "work",
            on_progress=lambda what, done, total: told.append(what),
        )  # fmt: skip
    after = gaps(loaded, tmp_path / "adapter")
    assert report.loss == loss
    assert sum(gap > old for gap, old in zip(after, before, strict=True)) >= 0.9 * len(PAIRS)
    assert sum(after) > sum(before) + len(PAIRS)
    assert told[-1].startswith("Learning the preferences: loss")
    assert not (tmp_path / "work").exists()
    assert {path.name for path in (tmp_path / "adapter").iterdir() if path.is_dir()} == set()  # no copy of the voice
    assert (voice / "adapter_model.safetensors").read_bytes() == written
    assert "forward" not in vars(loaded.model)
    for name, weight in loaded.model.state_dict().items():
        assert weight.equal(kept[name])


def test_a_run_that_was_stopped_ends_where_one_that_was_not_does(tiny_base: Path, voice: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    prefer(PAIRS, load(tiny_base), PREFERRED, voice, whole / "adapter", work=whole / "work")
    with pytest.raises(Pulled):
        prefer(
            PAIRS, load(tiny_base), PREFERRED, voice, parts / "adapter", work=parts / "work", on_progress=stop_after(9)
        )
    assert [path.name for path in (parts / "work").glob("checkpoint-*")] == ["checkpoint-6"]
    report = prefer(PAIRS, load(tiny_base), PREFERRED, voice, parts / "adapter", work=parts / "work")
    assert report.steps == 24
    same = [(place / "adapter" / "adapter_model.safetensors").read_bytes() for place in (whole, parts)]
    assert same[0] == same[1]


def test_prompts_are_those_that_are_served(tiny_base: Path) -> None:
    loaded = load(tiny_base)
    encoded, dropped = encode_preferences(PAIRS, loaded, PREFERRED, "dpo")
    served = {render_prompt(loaded.tokenizer, one.messages) for one in PAIRS}
    assert dropped == 0
    assert {loaded.tokenizer.decode(one["prompt_ids"]) for one in encoded} == served
    longest = max(len(one["prompt_ids"]) + len(one["rejected_ids"]) for one in encoded)
    shorter = PREFERRED.model_copy(update={"max_length": longest - 1})
    assert encode_preferences(PAIRS, loaded, shorter, "dpo")[1] >= 1
    with pytest.raises(DataError, match="Too few preferences"):
        encode_preferences(PAIRS, loaded, PREFERRED.model_copy(update={"max_length": 3}), "dpo")


def test_the_loss_goes_by_the_rows() -> None:
    pairs = [one.preference for one in PAIRS]
    labelled = [one.preference for one in LABELLED]
    assert choose_loss(pairs, "auto") == "dpo"
    assert choose_loss(pairs, "kto") == "kto"
    assert choose_loss([*pairs, labelled[0]], "auto") == "kto"
    with pytest.raises(DataError, match="some preferences have a label alone"):
        choose_loss(labelled, "dpo")
    with pytest.raises(DataError, match="are unwanted"):
        choose_loss([one for one in labelled if one.chosen is None], "auto")


@pytest.mark.parametrize("method", sorted(set(VOICES) - set(TAKE_PREFERENCES)))
def test_other_methods_say_so(method: str) -> None:
    with pytest.raises(ValidationError, match=f"preferences do not go with {method}, but with qlora"):
        VoiceSettings(method=method, preferences="preferences.jsonl")
