"""Measuring a bot arm by arm, on a tiny base: what is asked, what is kept, what breaks, and two bots side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.evaluating import against, duel_lines, evaluate
from pipelines.evaluating.against import verdict
from pipelines.evaluating.arms import ARMS, arms_of
from pipelines.evaluating.asking import Asker, Way, from_row, to_row
from pipelines.evaluating.measuring import spread
from pipelines.evaluating.perturbing import irrelevant_on_top, variants, what_breaks, with_typos
from tests.chains import make_chain
from tests.conftest import passage
from toolkit.answering import Answer, Citation, Step, Trace
from toolkit.bot import BotFolder, Chatbot, read_lock
from toolkit.config import BotConfig
from toolkit.engines.base import Tokens
from toolkit.errors import DataError, Interrupted
from toolkit.scoring import MEASURES, PairedDifference, Question, Voice, judge
from toolkit.store import Knowledge
from toolkit.testing import HashEmbedder

ROWS: list[dict[str, Any]] = [
    {"question": "How long does the Ember lamp burn on a full battery?", "facts": [["38"]], "sources": ["lamp.md"],
     "paraphrases": ["For how many hours does the Ember lamp burn?"]},
    {"question": "What does the Ember lamp cost?", "facts": [["40"]], "sources": ["lamp.md"]},
    {"question": "How heavy is the Storm kite?", "facts": [["300"]], "sources": ["kite.md"]},
    {"question": "Who wrote the opera Carmen?", "unanswerable": True},
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "questions.jsonl"
    made.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return made


@pytest.fixture
def bot(bot_copy: Path, embedder: HashEmbedder) -> Iterator[Chatbot]:
    loaded = Chatbot.load(bot_copy)
    yield loaded
    loaded.close()


def counted(bot: Chatbot, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every question that a bot is asked, in a batch or one by one."""
    asked: list[str] = []
    answers, stream = bot.chain.answers, bot.chain.stream

    def in_a_batch(questions: Any, **options: Any) -> Any:
        asked.extend(question for question, _ in questions)
        return answers(questions, **options)

    def one_by_one(question: str, *arguments: Any, **options: Any) -> Any:
        asked.append(question)
        return stream(question, *arguments, **options)

    monkeypatch.setattr(bot.chain, "answers", in_a_batch)
    monkeypatch.setattr(bot.chain, "stream", one_by_one)
    return asked


def test_four_arms_are_measured_on_the_same_questions(bot: Chatbot, file: Path) -> None:
    told: list[tuple[str, int, int]] = []
    result = evaluate(bot, questions=file, on_progress=lambda *what: told.append(what))
    assert [(arm.name, arm.adapter, arm.knowledge) for arm in result.arms] == [
        ("neither", False, False), ("knowledge", False, True), ("adapter", True, False), ("both", True, True),
    ]  # fmt: skip
    neither, knowledge, adapter, both = (arm.figures for arm in result.arms)
    for figures in (neither, knowledge, adapter, both):
        assert (figures["facts"].of, figures["declined_right"].of) == (3, 1)
        assert figures["total"].value >= figures["first_token"].value > 0
    assert neither["cited_first"].value == adapter["cited_first"].value == 0.0
    assert "found" not in neither
    assert "rank" not in adapter
    assert knowledge["found"] == both["found"]
    assert neither["declined_right"].value == 0.0, "without documents nothing is declined"
    assert {item.second for item in result.differences} == {"neither", "knowledge", "adapter"}
    assert {item.first for item in result.differences} == {"both"}
    assert set(result.details[0].others) == {"neither", "knowledge", "adapter"}
    assert result.details[0].judged["facts"] == float(bool(result.details[0].holds_facts))
    assert all(0 < done <= total for _, done, total in told)
    assert {what.partition(",")[0] for what, _, _ in told} >= {f"Asking the questions: {arm.name}" for arm in ARMS}
    assert told[-1][1] == told[-1][2]
    assert all("left" in what for what, _, _ in told if what.startswith("Asking"))


def test_what_was_answered_is_not_asked_again(
    bot: Chatbot, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(bot, monkeypatch)
    first = evaluate(bot, questions=file, arms=["both"], limit=2)
    assert ROWS[0]["question"] in asked
    asked.clear()
    again = evaluate(bot, questions=file, arms=["both"], limit=2)
    assert asked == []
    assert again.details == first.details
    assert again.arms == first.arms
    more = evaluate(bot, questions=file, arms=["both"])
    assert {*asked} == {ROWS[1]["question"], ROWS[3]["question"]}
    assert [item.question for item in more.details] == [row["question"] for row in ROWS]
    asked.clear()
    evaluate(bot, questions=file, arms=["both"], limit=2, fresh=True)
    assert {ROWS[0]["question"], ROWS[2]["question"]} <= {*asked}


def test_what_a_build_asked_is_taken_over(
    bot: Chatbot, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = json.loads((bot.folder / "report" / "report.json").read_text())["samples"]
    asked = counted(bot, monkeypatch)
    evaluate(bot, questions=file)
    assert held
    assert not {sample["prompt"] for sample in held} & {*asked}, "the voice was listened to in the build"


def test_answers_of_another_bot_are_thrown_away(bot: Chatbot, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(bot, questions=file, arms=["neither"])
    place = bot.folder / "report" / "answers"
    (before,) = place.iterdir()
    lock = json.loads((bot.folder / "lock.json").read_text())
    lock["inputs"]["tune"] = "another tune"
    (bot.folder / "lock.json").write_text(json.dumps(lock))
    asked = counted(bot, monkeypatch)
    evaluate(bot, questions=file, arms=["neither"])
    assert {row["question"] for row in ROWS} <= {*asked}
    (after,) = place.iterdir()
    assert after != before


def test_ctrl_c_keeps_what_was_answered(bot: Chatbot, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bot.chain.answers

    def stopped(questions: Any, **options: Any) -> Any:
        if options["knowledge"] and options["gated"]:
            raise KeyboardInterrupt
        return real(questions, **options)

    with monkeypatch.context() as patch:
        patch.setattr(bot.chain, "answers", stopped)
        with pytest.raises(Interrupted, match="Stopped after [1-9][0-9]* of [0-9]+ answers"):
            evaluate(bot, questions=file)
    asked = counted(bot, monkeypatch)
    result = evaluate(bot, questions=file, arms=["neither", "both"])
    assert [arm.name for arm in result.arms] == ["neither", "both"]
    assert asked.count(ROWS[0]["question"]) == 2, "both alone is asked, in a batch and for its seconds"


def test_a_bot_without_questions_is_asked_such_as_are_made_from_its_documents(bot: Chatbot, file: Path) -> None:
    result = evaluate(bot, arms=["both"], limit=6)
    assert result.made
    assert len(result.details) == 6
    files = {source for _, source in ((item.question, *item.sources) for item in result.details)}
    assert files <= {"lamp.md", "kite.md", "shop.txt"}
    figures = result.arms[0].figures
    assert figures["found"].of == 6
    assert "facts" not in figures
    assert "made from the documents" in (bot.folder / "report" / "report.html").read_text()
    assert not evaluate(bot, questions=file, arms=["both"], limit=1).made


def test_an_arm_that_a_bot_has_not_is_named(bot: Chatbot, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="No arm is called 'nether'") as caught:
        arms_of(bot, ["nether"])
    assert "neither, knowledge, adapter, both" in caught.value.hint
    monkeypatch.setattr(bot, "has_voice", False)
    assert [arm.name for arm in arms_of(bot)] == ["neither", "knowledge"]
    with pytest.raises(DataError, match="has no voice"):
        arms_of(bot, ["both"])
    monkeypatch.setattr(bot, "knowledge", None)
    with pytest.raises(DataError, match="has no documents"):
        arms_of(bot, ["knowledge"])


def test_an_answer_is_kept_whole() -> None:
    answer = Answer(
        "q", "It is 38.", [Citation("a.md", 2, "38")], [passage("38 h", heading="Lamp", page=2)], False, True,
        {"retrieve": 0.1, "first_token": 0.2, "total": 0.3}, "q alone", 0.7, ["left out"],
        Trace((Step("reply", {}, {"text": "It is 38."}, 0.5, True, Tokens(9, 3)), Step("gate", {}, {"x": 1}, 0.25))),
    )  # fmt: skip
    kept = from_row(json.loads(json.dumps(to_row(answer))))
    assert kept == answer
    assert kept.trace == answer.trace
    with pytest.raises(DataError, match="cannot be read"):
        from_row({"question": "q"})


def test_a_model_that_was_handed_in_leaves_nothing(small_bot: Path, house: Knowledge) -> None:
    chain, model = make_chain(lambda messages: "38 hours.", house)
    handed = Chatbot(small_bot, BotConfig(name="x", knowledge={}), chain, house, has_voice=False)  # type: ignore[arg-type]
    asker = Asker(handed, read_lock(BotFolder(small_bot)))
    before = sorted(small_bot.rglob("*"))
    way, asked = Way(ARMS[1]), [("How long does the Ember lamp burn?", ())]
    asker.expect(way, asked)
    assert asker.ask(way, [*asked, *asked])[1].text
    calls = len(model.calls)
    asker.ask(way, asked)
    assert len(model.calls) == calls, "within a run it is not asked twice either"
    assert sorted(small_bot.rglob("*")) == before


def test_items_are_spread_over_all() -> None:
    assert spread(list(range(10)), 3) == [0, 3, 6]
    assert spread([1, 2], 5) == [1, 2]


def test_typos_are_the_same_each_time_and_few() -> None:
    text = "How long does the Ember lamp burn on 38 batteries?"
    typed = with_typos(text)
    assert typed == with_typos(text) != text
    assert typed != with_typos(text, seed=1)
    assert abs(len(typed) - len(text)) <= 1
    assert [a[:1] for a in typed.split()] == [b[:1] for b in text.split()]
    assert with_typos("Is it 38?") == "Is it 38?", "there is no word to mistype"
    long = " ".join([text] * 10)
    assert sum(a != b for a, b in zip(with_typos(long).split(), long.split(), strict=True)) in (5, 6)


def test_the_variants_of_questions() -> None:
    asked = [
        Question("How long does it burn?", paraphrases=("Until when?", "For how long?")),
        Question("What does it cost?"),
    ]
    typed, reworded, covered = variants(asked, documents=True)
    assert (typed.name, typed.of, len(typed.asked)) == ("typos", [0, 1], 2)
    assert (reworded.of, [item.question for item in reworded.asked]) == ([0, 0], ["Until when?", "For how long?"])
    assert (covered.name, covered.asked) == ("irrelevant passage", asked)
    assert [item.name for item in variants(asked[1:], documents=False)] == ["typos"]


def test_an_irrelevant_passage_lies_on_top_for_a_while(bot: Chatbot) -> None:
    asked = Question("How heavy is the Storm kite?", (("300",),), ("kite.md",))
    search = bot.chain.planner.search
    before = search(asked.question)
    bot.chain.planner.k = 2
    near = [item.source for item in search(asked.question)]
    with irrelevant_on_top(bot, [asked]):
        top, *rest = search(asked.question)
        assert len(rest) == 1
        assert top.source not in {*near, "kite.md"}
        assert search(asked.question)[0] == top, "the same each time"
        assert bot.chain.knowledge is not None
        assert bot.chain.knowledge.count() > 0, "all else goes on as before"
    bot.chain.planner.k = len(before)
    assert search(asked.question) == before


def test_what_breaks_is_named() -> None:
    silent = Voice.of([])

    def pair(said: str, *, found: str = "", declined: bool = False, unanswerable: bool = False) -> Any:
        question = Question("q", (("38",),), ("a.md",), unanswerable)
        answer = Answer(said, said, [], [passage("x", source=found)] if found else [], declined, True, {}, "q")
        return judge(question, answer, silent), answer

    right = pair("38", found="a.md")
    before = [right, right, right, pair("no", declined=True, unanswerable=True), pair("39", found="a.md"), right]
    after = [
        pair("40", found="a.md"), pair("38", declined=True, found="b.md"), pair("40", found="b.md"),
        pair("yes", unanswerable=True), pair("38", found="a.md"), right,
    ]  # fmt: skip
    (variant, *_) = variants([Question("How long")] * 6, documents=False)
    found = what_breaks(variant, before, after)
    assert [broken.why for broken in found.broken] == [
        "the answer no longer holds the fact",
        "declined: the right source is no longer found",
        "the right source is no longer found",
        "answered, and the documents do not tell",
    ]
    assert (found.asked, found.right, found.mended) == (6, 5, 1)
    assert found.differences["facts"].value == pytest.approx(-2 / 5)


def test_perturbed_questions_are_asked(bot: Chatbot, file: Path) -> None:
    result = evaluate(bot, questions=file, arms=["both"], perturb=True)
    assert [(item.name, item.asked) for item in result.perturbed] == [
        ("typos", 4), ("other words", 1), ("irrelevant passage", 4),
    ]  # fmt: skip
    assert all(item.differences["facts"].of in (1, 3) for item in result.perturbed)
    assert "typos" in (bot.folder / "report" / "report.html").read_text()


def test_two_bots_are_compared_pairwise(
    bot_copy: Path, file: Path, tmp_path: Path, embedder: HashEmbedder
) -> None:
    other = Path(shutil.copytree(bot_copy, tmp_path / "other"))
    config = yaml.safe_load((other / "bot.yaml").read_text())
    (other / "bot.yaml").write_text(yaml.safe_dump(config | {"chain": config["chain"] | {"max_new_tokens": 8}}))
    opened: list[Chatbot] = []

    def load(place: Path) -> Chatbot:
        opened.append(Chatbot.load(place))
        return opened[-1]

    result = against(bot_copy, other, load, questions=file)
    assert [bot.folder for bot in opened] == [bot_copy, other]
    assert result.asked == 4
    assert {"facts", "voice", "declined_right", "total"} <= set(result.differences)
    assert len(result.verdicts) == len(result.differences)
    assert "alike on each" in next(line for line in result.verdicts if line.startswith("right source found"))
    assert duel_lines(result)[0].startswith("copy against other on the same 4 questions")
    written = json.loads((bot_copy / "report" / "against-other.json").read_text())
    assert written == result.to_dict()
    assert "copy against other" in (bot_copy / "report" / "against-other.html").read_text()
    opened.clear()
    with pytest.raises(DataError, match="is not a built bot"):
        against(bot_copy, tmp_path, load)
    assert opened == [], "it is said before minutes are spent on the first"
    with pytest.raises(DataError, match="compared with itself"):
        against(bot_copy, bot_copy / ".", load)
    with pytest.raises(DataError, match="has no questions to compare on"):
        against(bot_copy, other, load)


def test_a_verdict_says_who_is_better_or_how_many_would_tell() -> None:
    by_name: dict[str, Any] = {measure.name: measure for measure in MEASURES}
    ahead = PairedDifference(0.2, 0.1, 0.3, 64, 20, 60, True)
    say: Callable[..., str] = lambda name, found: verdict(by_name[name], found, ("old", "new"))  # noqa: E731
    assert say("facts", ahead) == "facts held: +20 (+10 to +30) on 64 questions: old is better."
    assert say("declined_wrong", ahead).endswith("new is better.")
    unsure = PairedDifference(-0.03, -0.1, 0.04, 64, 9, 812, False)
    assert "too few to tell; about 812 would" in say("facts", unsure)
    assert "about 65 would" in say("facts", PairedDifference(0.5, 0.5, 0.5, 64, 4, 3, False))
    assert "alike on each" in say("facts", PairedDifference(0.0, 0.0, 0.0, 64, 0, None, False))
    assert "nothing to reckon from" in say("facts", PairedDifference(0.0, -0.1, 0.1, 64, 8, None, False))
