"""The route: what kind of message it is, what is searched for, what is shown, and what is declined."""

from __future__ import annotations

import pytest

from tests.chains import BURNS, DECLINE, QUESTION, gate, make_chain, router
from tests.conftest import passage
from toolkit.answering import Answer, Base, EvidencePicker, RoutePlanner
from toolkit.answering.router import KINDS, Kind
from toolkit.config import ChainSettings
from toolkit.language import ENGLISH, Lexicon
from toolkit.prompts import Turn, answer_messages, rewrite_messages, talk_messages
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder


def test_thinks_without_the_adapter_and_speaks_with_it(house: Knowledge) -> None:
    history = [Turn(QUESTION, "It burns for 38 hours.")]
    chain, model = make_chain(["What does the Ember lamp cost?", "Ahoy. The Ember lamp costs 40 euros."], house)
    answer = chain.answer("And what does it cost?", history)
    assert [call.adapter for call in model.calls] == [False, True]
    assert answer.question == "And what does it cost?"
    # "cost" is a word of the follow-up and the rest is of the exchange before: nothing is made up
    assert model.calls[0].messages == rewrite_messages("And what does it cost?", history)
    assert answer.rewritten == "What does the Ember lamp cost?"
    assert "40 euros" in answer.text
    assert model.calls[1].text.endswith("Question: What does the Ember lamp cost?")
    assert len(model.calls[1].messages) == 2


def test_a_rewriting_that_adds_words_is_not_taken(house: Knowledge) -> None:
    history = [Turn(QUESTION, "It burns for 38 hours.")]
    chain, _ = make_chain(["What does the golden dragon cost?", "The Ember lamp costs 40 euros.", ""], house)
    assert chain.answer("And the cost?", history).rewritten == f"{QUESTION} And the cost?"


@pytest.mark.parametrize("written", ["", "  \n", "It is it?", "The golden lamp.", "\nWhat does the Ember lamp cost?"])
def test_a_rewriting_that_is_none_puts_the_question_before_in_front(written: str, house: Knowledge) -> None:
    chain, model = make_chain([written, BURNS], house)
    assert chain.answer("And the cost?", [Turn(QUESTION, "38 hours.")]).rewritten == f"{QUESTION} And the cost?"
    assert model.calls[0].arguments["temperature"] == 0.0
    assert model.calls[0].arguments["max_new_tokens"] < 60


def test_a_rewriting_may_take_its_words_from_the_reply_before(house: Knowledge) -> None:
    history = [Turn("Which lamp is blue?", "The Ember lamp.")]
    chain, _ = make_chain(['"What does the Ember lamp cost?"', "The Ember lamp costs 40 euros."], house)
    assert chain.answer("And its cost?", history).rewritten == "What does the Ember lamp cost?"


@pytest.mark.parametrize("grounded", [True, False])
def test_a_base_that_was_not_trained_on_rewriting_is_shown_how(grounded: bool, house: Knowledge) -> None:
    history = [Turn(QUESTION, "38 hours.")]
    chain, model = make_chain(["The lamp?", BURNS, ""], house, base=Base(grounded=grounded))
    chain.answer("And the lamp?", history)
    assert model.calls[0].messages == rewrite_messages("And the lamp?", history, examples=not grounded)


def test_a_first_question_is_not_rewritten(house: Knowledge) -> None:
    chain, model = make_chain([BURNS], house)
    assert chain.answer(QUESTION).rewritten == QUESTION
    assert len(model.calls) == 1


def test_rewriting_can_be_switched_off(house: Knowledge) -> None:
    chain, model = make_chain(["The Ember lamp costs 40 euros."], house, settings={"rewrite": "never"})
    assert (
        chain.answer("What does the Ember lamp cost?", [Turn("Hi?", "Ahoy.")]).rewritten
        == "What does the Ember lamp cost?"
    )
    assert len(model.calls) == 1


@pytest.mark.parametrize(("turns", "seen"), [(1, ["q5"]), (2, ["q4", "q5"]), (6, [f"q{n}" for n in range(6)])])
def test_only_so_much_history_is_rewritten_from(turns: int, seen: list[str], house: Knowledge) -> None:
    history = [Turn(f"q{number}", f"a{number}") for number in range(6)]
    chain, model = make_chain(["q5", BURNS, ""], house, settings={"history_turns": turns})
    chain.answer("Well?", history)
    assert [line.split()[1] for line in model.calls[0].text.splitlines() if line.startswith("Asked:")] == seen


def test_only_so_much_history_is_talked_on() -> None:
    history = [Turn(f"q{number}", f"a{number}") for number in range(6)]
    chain, model = make_chain(["Yes.", "Yes."], settings={"history_turns": 2})
    chain.answer("Well?", history)
    assert [message["content"] for message in model.calls[0].messages[1:]] == ["q4", "a4", "q5", "a5", "Well?"]
    chain, model = make_chain(["Yes."], settings={"history_turns": 0})
    chain.answer("Well?", history)
    assert [message["content"] for message in model.calls[0].messages[1:]] == ["Well?"]


def test_talk_wants_no_passages_and_is_not_rewritten(house: Knowledge) -> None:
    plain, said = "I am Ada, a chatbot about lamps.", "Ahoy, friend. I am Ada, a chatbot about lamps."
    history, asked = [Turn("a", "b")], "Hello! Who are you?"
    chain, model = make_chain([plain, said], house, router=router("talk"), name="Ada", subjects=["lamps"])
    answer = chain.answer(asked, history)
    assert (answer.text, answer.passages, answer.citations) == (said, [], [])
    assert (answer.abstained, answer.answerable) == (False, None)
    # the base writes what there is to say, and the voice says it
    assert [call.adapter for call in model.calls] == [False, True]
    assert model.calls[0].messages == talk_messages(chain.settings.system, "Ada", ["lamps"], asked, history)
    assert model.calls[1].messages == answer_messages(chain.settings.system, asked, [plain])


def test_small_talk_without_the_voice_is_the_bases_own(house: Knowledge) -> None:
    chain, model = make_chain(["Hello! How can I help you?"], house, router=router("talk"))
    assert chain.answer("Hello!", adapter=False).text == "Hello! How can I help you?"
    assert [call.adapter for call in model.calls] == [False]


def test_small_talk_states_nothing_that_the_base_did_not_write(house: Knowledge) -> None:
    plain = "I am Ada, a chatbot about lamps."
    chain, _ = make_chain([plain, "Ahoy, friend. Kites cost 83 euros."], house, router=router("talk"))
    assert chain.answer("Who are you?").text == f"Ahoy, friend. {plain}"


def test_a_takeover_is_declined_with_what_the_documents_are_about(house: Knowledge) -> None:
    chain, model = make_chain([], house, router=router("takeover"), subjects=["lamps", "kites"])
    for answer in (chain.answer("Obey!"), list(chain.stream("Obey!"))[-1]):
        assert isinstance(answer, Answer)
        assert answer.text == f"{DECLINE} {ENGLISH.about.format(subjects='lamps and kites')}"
        assert (answer.abstained, answer.citations, answer.passages) == (True, [], [])
    assert model.calls == []


def test_a_takeover_that_is_measured_all_the_same_is_answered_as_talk(house: Knowledge) -> None:
    chain, model = make_chain(["Nay."], house, router=router("takeover"))
    assert chain.answers([("Obey!", ())], gated=False)[0].text == "Nay."
    assert model.calls[0].messages == talk_messages(chain.settings.system, "housevoice", [], "Obey!")


@pytest.mark.parametrize("kind", KINDS)
def test_without_documents_everything_is_talk(kind: Kind, house: Knowledge) -> None:
    for chain, model in (make_chain(["Yes."]), make_chain(["Yes."], house, router=router(kind))):
        assert chain.answer("Obey!", knowledge=False).text == "Yes."
        assert model.calls[0].messages == talk_messages(chain.settings.system, "housevoice", [], "Obey!")


def test_a_base_that_reads_passages_is_shown_them_whole(house: Knowledge) -> None:
    chain, model = make_chain([BURNS], house, base=Base(reads_passages=True))
    answer = chain.answer(QUESTION)
    shown = chain.planner.plan(QUESTION).evidence
    assert [item.quote for item in shown] == [item.passage.text for item in shown]
    assert shown[0].quote == "The Ember lamp burns for 38 hours on a full battery. The Ember lamp costs 40 euros."
    assert model.calls[0].messages == answer_messages(chain.settings.system, QUESTION, [item.shown for item in shown])
    assert answer.citations[0].quote == shown[0].quote
    # sentences that are asked for in the settings are shown to any base
    sentences, _ = make_chain([], house, base=Base(reads_passages=True), settings={"evidence": "sentences"})
    assert sentences.planner.plan(QUESTION).evidence[0].quote in shown[0].quote
    assert len(sentences.planner.plan(QUESTION).evidence[0].quote) < len(shown[0].quote)


def test_a_whole_passage_counts_with_all_its_words(house: Knowledge) -> None:
    chain, _ = make_chain(["The Ember lamp costs 40 euros."], house, read=False, settings={"evidence": "passages"})
    answer = chain.answer(QUESTION)
    assert (answer.text, answer.replaced) == ("The Ember lamp costs 40 euros.", [])
    assert answer.citations[0].quote.startswith("The Ember lamp burns")


def test_whole_passages_keep_to_their_room_but_the_best_is_always_shown() -> None:
    texts = ["The lamp burns. " + "It is blue. " * 30, "The lamp costs. " + "It is red. " * 30, "A lamp. It is new."]
    passages = [passage(text.strip(), number=number) for number, text in enumerate(texts)]
    picker = EvidencePicker(HashEmbedder(256), Lexicon.of(texts))
    shown = {}
    for tokens in (64, 110, 1200):
        settings = ChainSettings(evidence="passages", evidence_tokens=tokens)
        planner = RoutePlanner(settings, picker=picker)
        shown[tokens] = planner.shown_of(planner.pick("How long does the lamp burn?", passages, planner.units))
    assert [item.quote for item in shown[64]] == [passages[0].text]  # longer than the room for all
    # of the other two, one is too long for what is left
    assert [item.passage.id for item in shown[110]] == ["a.md:0", "a.md:2"]
    assert {item.passage.id for item in shown[1200]} == {"a.md:0", "a.md:1", "a.md:2"}


def test_units_that_are_left_out_are_left_out_of_whole_passages_too() -> None:
    text = "The lamp burns for 38 hours. The lamp is blue. The lamp weighs two kilograms."
    picker = EvidencePicker(HashEmbedder(256), Lexicon.of([text]))
    planner = RoutePlanner(ChainSettings(evidence="passages"), picker=picker)
    left = {"The lamp is blue."}
    picked = planner.pick("lamp", [passage(text, heading="Ember")], planner.units, without=left)
    (shown,) = planner.shown_of(picked, without=left)
    assert shown.quote == "The lamp burns for 38 hours. The lamp weighs two kilograms."
    assert shown.shown == f"Ember: {shown.quote}"


def test_the_judge_of_passages_is_the_gate_of_answers(house: Knowledge) -> None:
    chain, _ = make_chain([], house, gate=gate(probability=0.4))
    passages = house.search(QUESTION, k=4)
    assert chain.planner.judge(QUESTION, passages) == (pytest.approx(0.4), True)
    assert chain.planner.judge(QUESTION, []) == (0.0, True)
    ungated, _ = make_chain([], house)
    assert ungated.planner.judge(QUESTION, passages) == (None, False)


def test_the_vector_of_a_question_is_computed_once(house: Knowledge) -> None:
    chain, _ = make_chain([BURNS] * 2, house, router=router("question"))
    assert isinstance(house.embedder, HashEmbedder)
    chain.answer(QUESTION)
    before = len(house.embedder.embedded)
    chain.answer(QUESTION)
    assert house.embedder.embedded[before:] == []
