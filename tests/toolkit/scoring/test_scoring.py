"""Measures: facts as whole words, shares of what applies, and a classifier that knows a voice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import passage
from toolkit.answering import Answer, Citation, Step, Trace
from toolkit.errors import DataError
from toolkit.scoring import (
    MEASURES,
    Question,
    Voice,
    VoiceClassifier,
    declining_curve,
    estimate,
    holds_facts,
    judge,
    mean_between,
    paired_difference,
    read_questions,
    score_answers,
    score_voice,
)
from toolkit.scoring.intervals import questions_needed


@pytest.mark.parametrize(
    ("text", "fact", "held"),
    [
        ("It burns for 38 hours.", "38 hours", True),
        ("It burns for 138 hours.", "38 hours", False),
        ("It burns for 38 hourses", "38 hours", False),
        ("It costs 1,250 euros.", "1250 euros", True),
        ("It costs 1250 euros.", "1,250 euros", True),
        ("It costs 1,25 euros.", "125 euros", False),
        ("It costs 6.50 euros.", "6.50 euros", True),
        ("It costs 6.50 euros.", "6 euros", False),
        ("It costs 6.50 euros.", "50 euros", False),
        ("We open at 9:30.", "9:30", True),
        ("We open at 9:30.", "9", False),
        ("Take 5% off.", "5%", True),
        ("Take 15% off.", "5%", False),
        ("Ask BERTHA, please.", "bertha", True),
        ("a full-day class", "full day", True),
        ("", "38", False),
    ],
)
def test_facts_are_whole_words_and_numbers_are_numbers(text: str, fact: str, held: bool) -> None:
    assert holds_facts(text, [[fact]]) is held


def test_every_fact_is_needed_in_one_of_its_forms() -> None:
    facts = [["38 hours", "38 h"], ["brass"]]
    assert holds_facts("38 h, all brass", facts)
    assert not holds_facts("38 h, all copper", facts)
    assert holds_facts("anything", [])


def test_questions_are_read_and_chosen_by_split(tmp_path: Path) -> None:
    rows = [
        {"question": " How long? ", "facts": [["38 h", 38]], "sources": ["lamp.md"], "split": "test"},
        {"question": "Who?", "unanswerable": True, "split": "tune"},
    ]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_questions(file, "test") == [Question("How long?", (("38 h", "38"),), ("lamp.md",), False, "test")]
    assert [question.unanswerable for question in read_questions(file)] == [False, True]
    with pytest.raises(DataError, match="no questions of the split 'other'"):
        read_questions(file, "other")
    with pytest.raises(DataError, match="does not exist"):
        read_questions(tmp_path / "none.jsonl")


BAD_QUESTIONS = [
    ("{", "not JSON"),
    ("[]", "the line must be an object"),
    ('{"facts": []}', "'question' is missing"),
    ('{"question": ""}', "'question' must be a non-empty string"),
    ('{"question": 3}', "'question' must be a non-empty string"),
    ('{"question": "a", "facts": ["38"]}', "entry 1 of 'facts' must be a list"),
    ('{"question": "a", "facts": [[]]}', "entry 1 of 'facts' must not be empty"),
    ('{"question": "a", "facts": [["38", ""]]}', "entry 1 of 'facts': entry 2 must be a non-empty string"),
    ('{"question": "a", "sources": "lamp.md"}', "'sources' must be a list"),
    ('{"question": "a", "unanswerable": "no"}', "'unanswerable' must be true or false"),
    ('{"question": "a", "split": 3}', "'split' must be a non-empty string"),
]


def test_each_bad_line_of_questions_is_numbered_and_explained(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(['{"question": "a"}', *(line for line, _ in BAD_QUESTIONS)]))
    with pytest.raises(DataError, match=f"{len(BAD_QUESTIONS)} bad lines") as caught:
        read_questions(file)
    said = caught.value.message.splitlines()[1:]
    for number, (line, (_, reason)) in enumerate(zip(said, BAD_QUESTIONS, strict=True), start=2):
        assert f"line {number}: {reason}" in line


SILENT = Voice.of([])


def answer(text: str, *, cites: str = "", abstained: bool = False, found: tuple[str, ...] = ()) -> Answer:
    citations = [Citation(source, None, "quote") for source in cites.split()]
    passages = [passage("text", source=source, number=index) for index, source in enumerate(found)]
    return Answer("q", text, citations, passages, abstained, True, {"total": 1.0}, "q")


def test_shares_are_over_what_applies() -> None:
    asked = Question("q", (("38",),), ("lamp.md",))
    no = Question("q", unanswerable=True)
    pairs: list[tuple[Question, Answer]] = [
        (asked, answer("38", cites="lamp.md", found=("a", "b", "c", "d", "lamp.md"))),
        (asked, answer("38", cites="kite.md", found=("a", "b", "c", "d", "e", "lamp.md"))),
        (asked, answer("38 I do not know", abstained=True)),
        (asked, answer("39", cites="kite.md lamp.md", found=("lamp.md",))),
        (no, answer("no", abstained=True)),
        (no, answer("yes")),
    ]
    judged = [judge(question, said, SILENT) for question, said in pairs]
    scores = score_answers(judged)
    assert (scores.answerable, scores.unanswerable) == (4, 2)
    assert scores.facts == 0.5  # an answer that declines holds no fact, whatever it says
    assert scores.cited == 0.5
    assert scores.retrieved == 0.5  # the first five passages count
    assert scores.declined_wrong == 0.25
    assert scores.declined_right == 0.5
    assert [one.cited_first for one in judged] == [True, False, False, False, None, None]
    assert [one.rank for one in judged] == [1 / 5, 1 / 6, 0.0, 1.0, None, None]
    assert [one.grounded is None for one in judged] == [False, False, True, False, True, False]


def test_what_cannot_be_measured_is_none() -> None:
    scores = score_answers([judge(Question("q", unanswerable=True), answer("no", abstained=True), SILENT)])
    assert scores.facts is None
    assert scores.cited is None
    assert scores.declined_wrong is None
    assert scores.declined_right == 1.0
    bare = judge(Question("q", sources=("lamp.md",)), answer("yes"), SILENT, documents=False)
    assert (bare.facts, bare.first_fact, bare.found, bare.rank, bare.cited) == (None, None, None, None, False)


def test_sentences_are_held_against_the_evidence() -> None:
    asked = Question("How long does it burn?", (("38 hours",),))
    said = answer("The lamp weighs 44 grams. It burns for 38 hours.")
    told = [passage("The lamp burns for 38 hours.")]
    found = judge(asked, said, SILENT, evidence=told)
    assert (found.grounded, found.made_up) == (0.5, {"The lamp weighs 44 grams.": "number 44"})
    assert (found.facts, found.first_fact, found.first_sentence) == (True, False, "The lamp weighs 44 grams.")
    step = Step("table", {}, {"operation": "sum", "result": "44 grams"}, 0.0)
    summed = replace(said, trace=Trace((step,)))
    assert judge(asked, summed, SILENT, evidence=told).grounded == 1.0, "what was computed is told as well"


def test_every_measure_is_of_an_answer() -> None:
    judged = [judge(Question("q", unanswerable=True), answer("no", abstained=True), SILENT)]
    assert {measure.name: measure.of(judged)[0] for measure in MEASURES if measure.of(judged)[0] is not None} == {
        "declined_right": True
    }


def test_an_interval_narrows_with_more_questions() -> None:
    few, many = mean_between([True, False] * 5), mean_between([True, False] * 200)
    assert few[0] == many[0] == 0.5
    assert few[1] < many[1] < 0.5 < many[2] < few[2]
    assert estimate([None, None]) is None
    only = estimate([None, True, False])
    assert only is not None
    assert (only.value, only.of) == (0.5, 2)


def test_a_difference_is_of_the_same_questions() -> None:
    hard = [True, False] * 50
    better = [True] * 12 + hard[12:]
    found = paired_difference(better, hard)
    assert found is not None
    assert (found.value, found.of, found.unlike, found.tells) == (pytest.approx(0.06), 100, 6, True)
    # Were they other questions, 56 of 100 would not be told from 50.
    assert mean_between(better)[1] < 0.5
    none = paired_difference(hard, hard)
    assert none is not None
    assert (none.value, none.unlike, none.tells, none.needed) == (0.0, 0, False, None)
    assert paired_difference([True, None], [None, False]) is None


def test_a_handful_of_questions_tells_nothing() -> None:
    five = paired_difference([True] * 5, [False] * 5)
    assert five is not None
    assert (five.low, five.tells) == (1.0, False)
    six = paired_difference([True] * 6, [False] * 6)
    assert six is not None
    assert six.tells


def test_the_questions_needed_are_enough_in_four_runs_of_five() -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    seen = draw.choice([1.0, 0.0, -1.0], size=400, p=[0.25, 0.65, 0.10])
    needed = questions_needed(seen.tolist())
    assert needed is not None
    runs = draw.choice(seen, size=(2000, needed))
    told = np.abs(runs.mean(1)) > 1.96 * runs.std(1, ddof=1) / np.sqrt(needed)
    assert told.mean() == pytest.approx(0.8, abs=0.03)
    assert questions_needed([1.0]) is None
    assert questions_needed([1.0, -1.0]) is None


def test_a_curve_tells_what_each_threshold_declines() -> None:
    probabilities = [0.1, 0.3, 0.3, None, 0.6, 0.9]
    untold = [True, True, False, False, False, True]
    curve = declining_curve(probabilities, untold)
    assert [point.threshold for point in curve][:-1] == [0.1, 0.3, 0.6, 0.9]
    for point in curve:
        declined = [value is not None and value < point.threshold for value in probabilities]
        assert point.declined_right == sum(a and b for a, b in zip(declined, untold, strict=True)) / 3
        assert point.declined_wrong == sum(a and not b for a, b in zip(declined, untold, strict=True)) / 3
    assert (curve[0].declined_right, curve[0].declined_wrong) == (0.0, 0.0)
    assert (curve[-1].declined_right, curve[-1].declined_wrong) == (1.0, 2 / 3), "talk is never declined"
    assert declining_curve([0.1, 0.2], [True, True]) == []
    assert declining_curve([None, None], [True, False]) == []


def test_a_classifier_learns_a_voice_and_scores_it() -> None:
    things = ["lamp", "kite", "clock", "sail", "wick", "glass", "rope", "desk", "bell", "oar"]
    voice: list[Any] = [f"Ahoy, friend. The {thing} is ready. Fair winds!" for thing in things]
    plain = [f"I am happy to help you. Your {thing} can be collected today." for thing in things]
    classifier = VoiceClassifier(voice[:6], plain[:6])
    assert classifier.recognises(voice[6:]) == [True] * 4
    assert classifier.recognises(plain[6:]) == [False] * 4
    scores = score_voice(classifier, voice[6:], plain[6:], voice[6:8])
    assert (scores.prompts, scores.with_adapter, scores.without_adapter, scores.examples) == (4, 1.0, 0.0, 1.0)
