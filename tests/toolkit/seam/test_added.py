"""Rows that nobody wrote: asked of the documents as the bot would be, or of general chat, and in no voice."""

from __future__ import annotations

from tests.toolkit.seam.test_seam import ALWAYS, EXAMPLES, make
from toolkit.config import VoiceSettings
from toolkit.examples import general_examples
from toolkit.seam import document_rows, replay_rows, weave
from toolkit.store import Knowledge

DOUBLE = VoiceSettings(rows_without_passages=0.0, rows_from_documents=0.5, replay_rows=0.5)


def test_nothing_is_added_unless_it_is_asked_for(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, ALWAYS)
    assert document_rows(rows, planner, house.texts(), ALWAYS) == []
    assert replay_rows(rows, ALWAYS) == []


def test_a_document_is_asked_as_the_bot_would_be_and_answers_in_its_own_words(house: Knowledge) -> None:
    planner, _ = make(house)
    told: list[int] = []
    rows = weave(EXAMPLES, planner, DOUBLE)
    made = document_rows(rows, planner, house.texts(), DOUBLE, on_progress=lambda what, done, total: told.append(done))
    texts = " ".join(text for _, _, text in house.texts())
    assert 0 < len(made) <= round(0.5 * len(EXAMPLES))
    assert told[-1] == len(made)
    for row in made:
        assert (row.kind, row.plain, row.trains) == ("passages", True, True)
        assert row.example.reply in texts
        assert row.put_in or row.messages == planner.plan(row.example.question).messages
        assert "Notes:" in row.messages[-1]["content"]
    assert [row.messages for row in document_rows(rows, planner, house.texts(), DOUBLE)] == [
        row.messages for row in made
    ]
    lines = [row.example.line for row in (*rows, *made)]
    assert len(set(lines)) == len(lines)


def test_what_the_bot_does_not_find_is_not_learnt_by_heart(house: Knowledge) -> None:
    planner, _ = make(house)
    rows = weave(EXAMPLES, planner, DOUBLE)
    elsewhere = [("zanzibar.md", "Zanzibar", "Quokkas juggle seven copper saucepans on the northern balcony.")]
    assert document_rows(rows, planner, elsewhere, DOUBLE) == []


def test_the_answer_is_taken_out_of_a_share_of_them(house: Knowledge) -> None:
    planner, _ = make(house)
    settings = DOUBLE.model_copy(update={"rows_that_decline": 1.0})
    rows = weave(EXAMPLES, planner, ALWAYS)
    made = document_rows(rows, planner, house.texts(), settings)
    declining = [row for row in made if row.kind == "decline"]
    assert declining
    for row in declining:
        assert (row.taken_out, row.example.declines) == (True, True)
        answer = next(other.example.reply for other in made if other.example.question == row.example.question)
        assert answer not in row.messages[-1]["content"]


def test_general_chat_is_shown_as_it_was_and_counts_by_the_examples(house: Knowledge) -> None:
    rows = weave(EXAMPLES, make(house)[0], ALWAYS)
    made = replay_rows(rows, DOUBLE)
    assert len(made) == round(0.5 * len(EXAMPLES))
    known = {(item.question, item.reply) for item in general_examples()}
    for row in made:
        assert (row.kind, row.plain, row.trains, row.evidence) == ("alone", True, True, [])
        assert (row.example.question, row.example.reply) in known
        assert {message["role"] for message in row.messages} <= {"user", "assistant"}
    assert not {row.example.line for row in made} & {row.example.line for row in rows}
    most = DOUBLE.model_copy(update={"replay_rows": 2.0})
    assert len(replay_rows(rows * 40, most)) == len(known)
