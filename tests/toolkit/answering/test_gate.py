"""The gate: features of the evidence, a threshold that keeps its promise, and a file that reads back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import evidence, passage
from toolkit.answering import Evidence, EvidencePicker, Gate
from toolkit.answering.evidence import Picked
from toolkit.answering.gate import FEATURES, fit_gate, gate_features
from toolkit.errors import DataError
from toolkit.language import LANGUAGES, Lexicon
from toolkit.testing import HashEmbedder, KeywordReader

LEXICON = Lexicon.of(["The lamp burns for 38 hours.", "The kite flies high.", "The lamp weighs two kilograms."])
PICKER = EvidencePicker(HashEmbedder(256), LEXICON)


def told(*items: Evidence) -> Picked:
    """Return evidence that nobody read."""
    return Picked(list(items), [])


def named(question: str, picked: Picked, picker: EvidencePicker = PICKER) -> dict[str, float]:
    return dict(zip(FEATURES, gate_features(question, picked, picker).tolist(), strict=True))


def draws(count: int, centre: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1.0, (count, len(FEATURES)))


@pytest.fixture(scope="module")
def fitted() -> Gate:
    return fit_gate(draws(200, 1.0, 0), draws(150, -1.0, 1), max_false_refusals=0.05)


def test_features_are_named_and_finite() -> None:
    found = gate_features("How long does the lamp burn?", told(evidence("The lamp burns for 38 hours.")), PICKER)
    assert found.shape == (len(FEATURES),)
    assert np.isfinite(found).all()


def test_no_evidence_looks_like_no_answer() -> None:
    nothing = gate_features("How long?", told(), PICKER)
    assert nothing.shape == (len(FEATURES),)
    # no feature speaks more for an answer than where something was found that says nothing of it
    something = gate_features("How long does the dragon sleep 99 nights?", told(evidence("A kite.")), PICKER)
    strange = FEATURES.index("weight of the rarest missing word")
    assert (nothing[:strange] <= something[:strange]).all()
    assert (nothing[strange:-2] >= something[strange:-2]).all()


def test_missing_words_and_numbers_show() -> None:
    lamp = told(evidence("The lamp burns for 38 hours."))
    known = named("Does the lamp burn 38 hours?", lamp)
    strange = named("Does the dragon burn 99 hours?", lamp)
    assert known["a number of the question is missing"] == 0
    assert strange["a number of the question is missing"] == 1
    assert known["words of the question in all the evidence"] > strange["words of the question in all the evidence"]
    assert (
        strange["share of the question that no document knows"] > known["share of the question that no document knows"]
    )
    assert strange["weight of the rarest missing word"] > known["weight of the rarest missing word"]


def test_the_gate_tells_them_apart_and_says_how_well(fitted: Gate) -> None:
    fresh_yes, fresh_no = draws(300, 1.0, 5), draws(300, -1.0, 6)
    assert np.mean([fitted.probability(row) >= fitted.threshold for row in fresh_yes]) > 0.85
    assert np.mean([fitted.probability(row) < fitted.threshold for row in fresh_no]) > 0.85
    assert fitted.report["answerable"] == 200
    assert fitted.report["unanswerable"] == 150
    assert fitted.report["false_refusals"] <= 0.05
    assert fitted.report["right_refusals"] > 0.85


@pytest.mark.parametrize("count", [7, 13, 28])
def test_of_few_questions_no_more_are_declined_than_may_be(count: int) -> None:
    for most in (0.05, 0.08, 0.2, 0.4):
        gate = fit_gate(draws(count, 0.5, count), draws(40, -0.5, 1), max_false_refusals=most)
        assert gate.report["false_refusals"] <= most


def test_a_higher_price_of_refusing_lowers_the_threshold() -> None:
    yes, no = draws(200, 0.3, 0), draws(200, -0.3, 1)
    loose = fit_gate(yes, no, max_false_refusals=0.02)
    strict = fit_gate(yes, no, max_false_refusals=0.3)
    assert loose.threshold < strict.threshold
    assert loose.report["right_refusals"] < strict.report["right_refusals"]


def test_questions_as_people_ask_them_set_the_threshold() -> None:
    yes, no = draws(200, 2.0, 0), draws(200, -2.0, 1)
    asked = (draws(60, 0.3, 2), draws(40, -1.0, 3))
    close = fit_gate(yes, no, max_false_refusals=0.05)
    calibrated = fit_gate(yes, no, max_false_refusals=0.05, asked=asked)
    fresh = draws(400, 0.3, 4)
    refused = [np.mean([gate.probability(row) < gate.threshold for row in fresh]) for gate in (close, calibrated)]
    assert refused[1] < 0.12 < refused[0]
    assert (calibrated.report["answerable"], calibrated.report["unanswerable"]) == (60, 40)


def test_few_questions_weigh_but_set_no_threshold() -> None:
    few = (draws(3, 0.3, 2), draws(0, 0, 3))
    gate = fit_gate(draws(80, 1.0, 0), draws(80, -1.0, 1), max_false_refusals=0.05, asked=few)
    assert (gate.report["answerable"], gate.report["unanswerable"]) == (80, 80)


def test_a_gate_reads_back_the_same(fitted: Gate, tmp_path: Path) -> None:
    fitted.save(tmp_path / "gate.json")
    back = Gate.load(tmp_path / "gate.json")
    assert back == fitted
    row = draws(1, 0.2, 3)[0]
    assert back.probability(row) == fitted.probability(row)


def test_a_gate_over_other_features_is_refused(fitted: Gate, tmp_path: Path) -> None:
    fitted.save(tmp_path / "gate.json")
    content = json.loads((tmp_path / "gate.json").read_text())
    content["features"] = content["features"][:-1]
    (tmp_path / "gate.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="another version") as caught:
        Gate.load(tmp_path / "gate.json")
    assert "housevoice build" in caught.value.hint


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        fit_gate(draws(4, 1, 0), draws(50, -1, 0), max_false_refusals=0.05)
    with pytest.raises(DataError, match="too few"):
        fit_gate(draws(50, 1, 0), draws(4, -1, 0), max_false_refusals=0.05)


SPAN, SECOND, ANSWERING = FEATURES[:3]


def test_what_the_reader_makes_of_the_passages_shows() -> None:
    reading = EvidencePicker(HashEmbedder(256), LEXICON, KeywordReader())
    lamp, kite = passage("The lamp burns for 38 hours."), passage("The kite flies high.", number=1)
    question = "How long does the lamp burn?"
    for order in ([lamp, kite], [kite, lamp]):
        picked = reading.pick(question, order, 6)
        found = named(question, picked, reading)
        spans = sorted((reading.best_span().score for reading in picked.readings), reverse=True)
        assert (found[SPAN], found[SECOND]) == pytest.approx(spans)
        assert found[SPAN] > 0 > found[SECOND]
        assert found[ANSWERING] == pytest.approx(max(reading.answerable for reading in picked.readings))
    alone = named(question, reading.pick(question, [lamp], 6), reading)
    assert alone[SECOND] == alone[SPAN]


def test_a_passage_with_nothing_left_to_read_is_as_far_as_it_goes() -> None:
    reading = EvidencePicker(HashEmbedder(256), LEXICON, KeywordReader())
    lamp, kite = passage("The lamp burns for 38 hours."), passage("The kite flies high.", number=1)
    picked = reading.pick("lamp", [lamp, kite], 6, without={lamp.text})
    found = gate_features("lamp", picked, reading)
    assert np.isfinite(found).all()
    assert found.min() >= -20


def test_the_features_are_those_of_the_language_of_the_documents() -> None:
    german = LANGUAGES["de"]
    texts = ["Die Laternen brennen achtzehn Stunden.", "Der Drachen fliegt hoch."]
    picker = EvidencePicker(HashEmbedder(256), Lexicon.of(texts, german))
    asked = "Brennen die Laternen 18 Stunden?"
    picked = picker.pick(asked, [passage(texts[0])], 6)
    found = named(asked, picked, picker)
    assert found["words of the question in all the evidence"] == 1.0
    assert found["share of the question that no document knows"] == 0.0
    assert found["a number of the question is missing"] == 0.0
    assert named("Brennt sie 13 Stunden?", picked, picker)["a number of the question is missing"] == 1.0


def test_the_gate_remembers_its_reader_and_what_counts_as_near() -> None:
    yes = draws(100, 1.0, 0)
    gate = fit_gate(yes, draws(100, -1.0, 1), max_false_refusals=0.05, reader="keywords@1")
    assert gate.reader == "keywords@1"
    close = yes[:, FEATURES.index("similarity of the closest evidence")]
    assert 0.85 <= np.mean(close >= gate.near) <= 0.95
