"""From a question to an operation over a table: rows, column and condition, and the fact in the table's words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.embedders import LetterEmbedder
from tests.toolkit.tables.scripted import WORDING, asker_of, table_of
from toolkit.language import ENGLISH, NEUTRAL, Lexicon
from toolkit.tables import Candidate, Computed, Measures, TableSense, asked_columns, fact_of, fit_sense, parts_of
from toolkit.tables.candidates import FEATURES
from toolkit.tables.reading import HeadFit, fit_comparisons
from toolkit.tables.wording import Wording

PRICES = table_of(
    "article: Oak table; price: 149 euros; note: The oak table costs 149 euros.\n"
    "article: Ash table; price: 219 euros; note: The ash table costs 219 euros.\n"
    "article: Oak polish; price: 8 euros; note: A tin of oak polish costs 8 euros.\n"
    "article: First Aid Kit; price: 37 euros; note: The First Aid Kit costs 37 euros."
)
CLASSES = table_of(
    "class: Weaving; teacher: Ines Hale; day: Monday; starts: 18:30; length: 2 hours; places: 8\n"
    "class: Turning; teacher: Tim Costa; day: Sunday; starts: 9:30; length: 90 minutes; places: 12\n"
    "class: Bending; teacher: Rosa Ito; day: Sunday; starts: 14:00; length: 4 hours; places: 4",
    "classes.csv",
)
ASKER = asker_of([PRICES, CLASSES])


def computed(question: str, most: float = 0.5) -> tuple[Candidate, Computed]:
    """Return the best candidate with a result: that with the fewest words unexplained, then the likeliest."""
    found = [(candidate, result) for candidate in ASKER.candidates(question) if (result := candidate.compute())]
    assert found, question
    best = max(found, key=lambda pair: (-pair[0].features[5], pair[0].features[2], pair[0].features[6]))
    assert best[0].features[5] <= most
    return best


@pytest.mark.parametrize(
    ("question", "operation", "names", "amount"),
    [
        ("Which table is the cheapest?", "min", ["Oak table"], ""),
        ("Which article is the most expensive?", "max", ["Ash table"], ""),
        ("What do the oak and the ash cost together?", "sum", ["Oak table", "Ash table"], "368 euros"),
        ("What does a table cost on average?", "mean", ["Oak table", "Ash table"], "184 euros"),
        ("How much more does the ash cost than the oak?", "difference", ["Ash table", "Oak table"], "70 euros"),
        ("Which articles cost less than 40 euros?", "list", ["Oak polish", "First Aid Kit"], ""),
        ("How many articles cost at least 149 euros?", "count", ["Oak table", "Ash table"], "2"),
        ("How many classes are on Sunday?", "count", ["Turning", "Bending"], "2"),
        ("Which class is the longest on a Sunday?", "max", ["Bending"], ""),
        ("Which class is the earliest?", "min", ["Turning"], ""),
        ("Which class has the most places?", "max", ["Turning"], ""),
        ("Sort the articles by price", "ascending", ["Oak polish", "First Aid Kit", "Oak table", "Ash table"], ""),
    ],
)
def test_a_question_is_computed(question: str, operation: str, names: list[str], amount: str) -> None:
    _, result = computed(question)
    assert result.operation == operation
    assert [result.row(number).label for number in result.rows] == names
    assert result.amount == amount


def test_a_name_stands_for_the_row_that_has_least_beside_it() -> None:
    candidate, _ = computed("What do the oak and the ash cost together?")
    assert candidate.entities
    assert [PRICES.rows[row].label for row in candidate.rows] == ["Oak table", "Ash table"]


def test_a_word_of_any_question_names_no_row() -> None:
    candidate, result = computed("Which article is the first and cheapest?")
    assert not candidate.grounded.mentions
    assert result.row(result.rows[0]).label == "Oak polish"


@pytest.mark.parametrize(
    "question",
    [
        "What does the oak table cost?",  # one row: the passages tell
        "Which articles cost 40 euros together with 8 hours and 3 kilograms?",  # amounts that no column has
        "Is it raining in Lisbon?",
        "Which articles are there?",  # no condition
        "",
    ],
)
def test_what_is_not_for_a_table_gives_no_result(question: str) -> None:
    assert not [candidate for candidate in ASKER.candidates(question) if candidate.compute()]


def test_words_that_nothing_explains_speak_against_it() -> None:
    (plain, _), (strange, _) = (
        computed("Which class is the longest?"), computed("Which class is the longest among Norwegian otters?", 9.0),
    )  # fmt: skip
    unexplained = FEATURES.index("weight of the words that nothing explains")
    assert plain.features[unexplained] == 0 < strange.features[unexplained]


def told(question: str) -> str:
    candidate, result = computed(question)
    assert WORDING is not None
    fact = fact_of(asked_columns(candidate, question, ASKER), result, WORDING, ENGLISH)
    assert fact is not None
    return fact.text


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Which table is the cheapest?", "The oak table costs 149 euros."),
        ("Which class is the longest?", "Bending: length 4 hours."),
        ("What do the oak and the ash cost together?",
         "Together Oak table (149 euros) and Ash table (219 euros) make 368 euros."),
        ("How much more does the ash cost than the oak?",
         "The difference between Ash table (219 euros) and Oak table (149 euros) is 70 euros."),
        ("How many classes are on Sunday?", "That makes 2: Turning and Bending."),
        ("Which articles cost less than 40 euros?", "Oak polish (8 euros) and First Aid Kit (37 euros)."),
        ("Which class is the earliest, and who teaches it?", "Turning: starts 9:30, teacher Tim Costa."),
        ("Which class is the earliest, and how long does it take?", "Turning: starts 9:30, length 90 minutes."),
    ],
)  # fmt: skip
def test_a_fact_is_told_in_the_words_of_the_table(question: str, text: str) -> None:
    assert told(question) == text


def test_a_question_is_cut_into_its_parts() -> None:
    assert parts_of("Which is it, and how long does it last?", ENGLISH) == ["Which is it", "how long does it last"]


def test_comparisons_are_told_by_the_words_around_an_amount() -> None:
    assert WORDING is not None
    read = fit_comparisons(WORDING).read
    said = [("costs more than", ""), ("costs no more than", ""), ("", "or more"), ("kits under", ""), ("not under", "")]
    likely = [max(found, key=lambda name: found[name]) for found in (read(*pair) for pair in said)]
    assert likely == ["more", "at most", "at least", "less", "at least"]


def small(wording: Wording) -> Wording:
    """Return a wording with a few patterns and aspects: enough to fit on, and quick."""
    patterns = {name: texts[:6] for name, texts in wording.patterns.items() if name in ("min", "max", "sum", "none")}
    aspects = {name: wording.aspects[name] for name in ("money", "duration", "count", "time")}
    return Wording(**vars(wording) | {"patterns": patterns, "aspects": aspects})


def test_the_sense_is_fitted_on_the_tables_and_reads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import toolkit.tables.fitting as fitting

    assert WORDING is not None
    monkeypatch.setattr(fitting, "wording_of", lambda language: small(WORDING) if WORDING else None)
    monkeypatch.setattr(fitting, "_ASKED", 160)
    lexicon = Lexicon.of(cell for table in (PRICES, CLASSES) for row in table.rows for cell in row.cells.values())
    ordinary = [f"Who looks after the {word} garden?" for word in ("north", "south", "rose", "herb", "walled", "oak")]
    sense = fit_sense(LetterEmbedder(256), lexicon, [PRICES, CLASSES], ordinary)
    assert sense is not None
    assert sense.report["ordinary_taken"] == 0
    assert sense.report["operations_read"] > 0.5  # of four
    back = TableSense.from_dict(sense.to_dict())
    assert back == sense
    surely = np.array([9.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    doubtful = np.array([-9.0, -3.0, -5.0, -1.0, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0])
    assert back.probability(surely) > back.threshold > back.probability(doubtful)
    assert TableSense.from_dict(sense.to_dict() | {"features": ["another"]}) is None


def test_nothing_is_fitted_without_amounts_or_without_words_for_them() -> None:
    bare = table_of("lamp: Red; note: good\nlamp: Green; note: fine")
    assert fit_sense(LetterEmbedder(), Lexicon(), [bare]) is None
    assert fit_sense(LetterEmbedder(), Lexicon(language=NEUTRAL), [PRICES]) is None


def test_heads_read_patterns_that_they_have_not_seen() -> None:
    assert WORDING is not None
    fit = HeadFit(LetterEmbedder(256), small(WORDING))
    assert fit.read_rightly(fit.heads(0, 3), 0, 3) > 0.5  # of four operations
    assert Measures(ENGLISH).asked("under 5 euros")[0].unit == "EUR"
