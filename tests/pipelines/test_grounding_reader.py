"""The reader's training: the rows that are made, the batches, the figures, and a run from data to a file."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.grounding.asking import as_asked, keywords, slip
from pipelines.grounding.data import Pair
from pipelines.grounding.edits import changed, other_number, readable, sentences
from pipelines.grounding.reader_batches import NO_ANSWER, UNKNOWN, TokenRow, batches, in_tokens, padded
from pipelines.grounding.reader_figures import auc, fit_logistic
from pipelines.grounding.reader_rows import AnswerRows, ReaderRow, best_stretch, place_of, stretch, table_rows, without
from pipelines.grounding.reader_support import SupportRows, joined
from pipelines.grounding.tables import table_row

PASSAGE = (
    "The Ember lamp was first sold in Bergen in 1987. It burns for 38 hours on a full battery. "
    "Anna Brandt designed the lamp. The glass is blown in Lund."
)
OTHER = "The Ember lamp has a strap of leather. It is sold in four shops in Norway. The strap costs 9 euros."
QUESTION = "Who designed the Ember lamp?"


def pair(**changes: Any) -> Pair:
    values: dict[str, Any] = {
        "set": "squad2_dev", "question": QUESTION, "passage": PASSAGE, "answer": "Anna Brandt", "answerable": True,
        "doc": "Ember_lamp", "how": "human",
    }  # fmt: skip
    return Pair(**(values | changes))


@pytest.fixture
def pairs() -> list[Pair]:
    other = pair(question="What does the strap cost?", passage=OTHER, answer="9 euros")
    return [pair(), other, pair(question="Who repaired the lamp?", answer=None, answerable=False)]


def made(pairs: list[Pair], times: int = 60) -> list[ReaderRow]:
    answers = AnswerRows(pairs)
    support = SupportRows(answers, {"Who repaired the lamp?": "Anna Brandt"})
    rows: list[ReaderRow] = []
    for seed in range(times):
        for index in range(len(pairs)):
            chance = random.Random(f"{seed}|{index}")
            rows += [*answers.make(index, chance), *support.make(index, chance)]
    return rows


def test_questions_are_typed_differently_but_the_same_way_from_the_same_state() -> None:
    typed = {as_asked(QUESTION, random.Random(seed)) for seed in range(200)}
    assert QUESTION in typed
    assert len(typed) > 30
    assert as_asked(QUESTION, random.Random(5)) == as_asked(QUESTION, random.Random(5))
    assert as_asked("", random.Random(0)) == ""


def test_numbers_and_question_words_survive_typing() -> None:
    for seed in range(200):
        typed = as_asked("When was model 1987 sold, and where?", random.Random(seed)).lower()
        assert "1987" in typed


def test_keywords_keep_what_asks_and_negations() -> None:
    assert keywords("Who is not on the list of members?") == "Who not list members"
    assert keywords("Is it?") == "Is it?"


def test_slip_changes_one_word_only() -> None:
    text = "the quick brown fox"
    for seed in range(50):
        wrong = slip(text, random.Random(seed))
        assert sum(a != b for a, b in zip(text.split(), wrong.split(), strict=True)) <= 1
    assert slip("a b 12", random.Random(0)) == "a b 12"


def test_sentences_do_not_end_at_an_abbreviation() -> None:
    text = "Dr. Smith met J. Doe. They spoke.\nThen they left."
    assert [text[a:b] for a, b in sentences(text)] == ["Dr. Smith met J. Doe.", "They spoke.", "Then they left."]


def test_text_of_natural_questions_is_mended() -> None:
    assert readable("The song 's name ( 1970 ) is n't long .") == "The song's name (1970) isn't long."


def test_changed_text_says_something_else() -> None:
    for seed in range(60):
        text = changed("The shop opens on Monday at 9 am.", random.Random(seed), negate=0.5)
        assert text and text != "The shop opens on Monday at 9 am."
    assert changed("hello there", random.Random(0), negate=0) is None
    assert changed("They won't come.", random.Random(0), negate=1) == "They will come."
    assert changed("You can't come.", random.Random(0), negate=1) == "You can come."


def test_other_number_keeps_its_form() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        assert len(other_number("1987", chance)) == 4
        assert other_number("1,200", chance) != "1,200"
        assert other_number("3.50", chance)[1] == "."


def test_answer_is_found_where_the_question_points() -> None:
    text = "Oslo is cold. The capital of Norway is Oslo."
    place = place_of(pair(question="What is the capital of Norway?", passage=text, answer="Oslo"))
    assert place == (39, 43)
    assert place_of(pair(answer="nowhere to be found")) is None


def test_stretch_keeps_the_answer() -> None:
    place = place_of(pair())
    for seed in range(80):
        text, moved = stretch(PASSAGE, place, random.Random(seed))
        assert moved and text[slice(*moved)] == "Anna Brandt"
    assert "designed" in best_stretch(PASSAGE, frozenset({"designed"}), random.Random(0))


def test_taking_the_answer_out_takes_all_of_it() -> None:
    for seed in range(20):
        rest = without(PASSAGE, "Anna Brandt", random.Random(seed))
        assert rest and "Brandt" not in rest
    assert without("Anna Brandt did.", "Anna Brandt", random.Random(0)) is None


def test_rows_have_their_answers_where_they_say(pairs: list[Pair]) -> None:
    rows = made(pairs)
    kinds = {row.kind for row in rows}
    assert {"squad2_dev answerable", "squad2_dev human unanswerable", "answer taken out", "other passage"} <= kinds
    assert {"question changed", "support own sentence", "support changed", "support plausible"} <= kinds
    for row in rows:
        assert 0 <= row.label <= 1
        assert row.span is None or row.second[slice(*row.span)] in ("Anna Brandt", "9 euros")
        assert not (row.spanless and row.label > 0.5)
        if row.kind in ("answer taken out", "other passage"):
            assert "Anna Brandt" not in row.second or "strap" in row.first.lower()


def test_headings_stand_before_some_passages(pairs: list[Pair]) -> None:
    starts = {row.second.startswith("Ember lamp: ") for row in made(pairs) if row.task == "answer"}
    assert starts == {True, False}


def test_question_and_answer_are_joined_plainly() -> None:
    said = {joined(QUESTION, "Anna Brandt", random.Random(seed)) for seed in range(20)}
    assert said == {"Anna Brandt designed the Ember lamp.", "Anna Brandt designed the Ember lamp"}
    for seed in range(20):
        assert "1987" in joined("When was the lamp first sold?", "1987", random.Random(seed))


def test_tables_hold_the_value_where_they_say() -> None:
    found = [table_row(random.Random(seed)) for seed in range(300)]
    assert 0.3 < np.mean([row.answer is not None for row in found]) < 0.8
    for row in found:
        if row.answer:
            assert row.passage[slice(*row.answer)] in row.claim
        assert row.question and row.passage
    rows = list(table_rows(random.Random(0), 50))
    assert {row.task for row in rows} == {"answer", "support"}


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    from tests.toolkit.reader.test_reader import LETTERS

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    made = Tokenizer(models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    return made


def test_span_in_tokens_and_one_that_is_cut_off() -> None:
    rows = [
        ReaderRow("answer", "who?", "ada did it", 1.0, (0, 3)),
        ReaderRow("answer", "who?", "x" * 60 + " ada", 1.0, (61, 64)),
        ReaderRow("answer", "who?", "nobody", 0.0, spanless=True),
        ReaderRow("support", "ada did it", "ada did it", 1.0),
    ]
    found = in_tokens(tokenizer(), rows, 32)
    at = found[0].passage_at
    assert (found[0].start, found[0].end) == (at, at + 2)
    assert (found[1].start, found[1].label) == (NO_ANSWER, 0.0), "an answer that is not seen is none"
    assert found[2].start == NO_ANSWER
    assert (found[3].start, found[3].support) == (UNKNOWN, True)


def test_batches_hold_every_row_once_and_keep_their_limit() -> None:
    chance = random.Random(0)
    rows = [TokenRow(np.arange(chance.randint(5, 90), dtype=np.uint16), 3, False, 1.0, 1.0, -1, -1) for _ in range(200)]
    found = list(batches(rows, 400, chance))
    assert sum(len(batch) for batch in found) == 200
    for batch in found:
        arrays = padded(batch, step=1)
        assert arrays["ids"].size <= 400 + 8 * len(batch)
        assert (arrays["mask"].sum(1) == [len(row.ids) for row in batch]).all()
        assert arrays["answerable_at"][:, 0].all() and not arrays["answerable_at"][:, 1:3].any()


def test_area_under_the_curve_counts_ties_half() -> None:
    assert auc([1, 2, 3, 4], [False, False, True, True]) == 1.0
    assert auc([1, 1, 1, 1], [False, True, True, False]) == 0.5
    assert np.isnan(auc([1, 2], [True, True]))


def test_calibration_finds_the_odds_that_rows_were_drawn_with() -> None:
    random_numbers = np.random.default_rng(0)
    x = random_numbers.normal(size=(20000, 1)) * 2
    labels = random_numbers.random(20000) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 0.5)))
    found = fit_logistic(x, labels.astype(float), np.ones(len(x)))
    assert found == pytest.approx([1.5, -0.5], abs=0.1)


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def write_data(folder: Path) -> Path:
    """Write a few made-up rows in the form of every public set; return SQuAD's file."""
    folder.mkdir()
    rows = []
    for number in range(120):
        text = f"The lamp {number} burns for {number + 3} hours. It was made in Bergen. Anna Brandt designed it."
        base = {"set": "qed_nq_train", "question": f"how long does lamp {number} burn", "passage": text}
        rows.append(base | {"answer": f"{number + 3} hours", "label": 1, "doc": f"d{number}", "how": "given"})
        rows.append(base | {"passage": OTHER, "answer": None, "label": 0, "doc": f"d{number}", "how": "cross_doc"})
    write_rows(folder / "answerability.jsonl.gz", rows)
    write_rows(folder / "clapnq_dev.jsonl.gz", [row | {"set": "clapnq_dev"} for row in rows[:8]])
    said = [row | {"set": "begin_wow", "answer": row["passage"], "label": at % 2} for at, row in enumerate(rows)]
    write_rows(
        folder / "grounding.jsonl.gz", [row | {"passage": f"{row['passage']} {at}"} for at, row in enumerate(said)]
    )
    fact = {"passage": "Lamp shop. Is there parking? Parking is free at the lamp shop.", "question": "parking?"}
    reply = {"answer": "Yes, parking is free there. Anything else?", "label": 1, "set": "dstc9_response"}
    write_rows(folder / "replies.jsonl.gz", [fact | reply | {"doc": f"shop:{number}"} for number in range(60)])
    articles = [
        {"title": title, "paragraphs": [{"context": PASSAGE, "qas": [
            {"question": QUESTION, "is_impossible": False, "answers": [{"text": "Anna Brandt"}]},
            {"question": "Who repaired it?", "is_impossible": True, "answers": [],
             "plausible_answers": [{"text": "Anna Brandt"}]},
        ]}]}
        for title in ("Force", "Imperialism", "Steam_engine")
    ]  # fmt: skip
    squad = folder / "dev_part.json"
    squad.write_text(json.dumps({"data": articles}), encoding="utf-8")
    return squad


def test_a_short_training_writes_a_reader_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.grounding.reader import main
    from tests.toolkit.reader.test_reader import write_embedder
    from toolkit.reader.bert import load_bert_reader

    embedder = write_embedder(tmp_path / "embedder")
    squad = write_data(tmp_path / "data")
    arguments = [
        str(tmp_path / "data"),
        "--squad",
        str(squad),
        "--out",
        str(tmp_path / "out"),
        "--embedder",
        str(embedder),
    ]
    arguments += ["--steps", "4", "--rows", "200", "--batch-tokens", "2048", "--max-tokens", "128", "--processes", "0"]
    main([*arguments, "--device", "cpu", "--print-every", "0"])
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert figures["test"]["squad2"]["rows"] == 2
    assert figures["test"]["clapnq_dev"]["answerable"] == 4
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert len(config["calibration"]["answerable"]) == 3
    assert config["figures"] == figures
    reader = load_bert_reader(tmp_path / "out", embedder)
    assert 0 <= reader.read(QUESTION, [PASSAGE])[0].probability <= 1


def test_rows_are_learnt_and_read_alike_in_use(tmp_path: Path) -> None:
    import torch

    from pipelines.grounding.reader import ReaderModel, loss_of
    from tests.toolkit.reader.test_reader import write_embedder, write_reader
    from toolkit.reader.bert import load_bert_reader
    from toolkit.reader.weights import load_weights, save_weights

    embedder = write_embedder(tmp_path / "embedder")
    model = ReaderModel(embedder, "cpu")
    rows = [
        ReaderRow("answer", "who?", "ada did it", 1.0, (0, 3)),
        ReaderRow("answer", "who?", "it was cold", 0.0, spanless=True),
        ReaderRow("support", "ada did it", "ada did it", 1.0),
        ReaderRow("support", "bob did it", "ada did it", 0.0),
    ]
    batch = model.on_device(padded(in_tokens(tokenizer(), rows, 64)))
    weights = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW([*weights, *model.heads.values()], lr=3e-3)
    first = 0.0
    for _ in range(60):
        loss, _ = loss_of(model.forward(batch), batch)
        first = first or loss.item()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < first / 5
    folder = write_reader(tmp_path / "reader", embedder, calibration={"answerable": [1, 0, 0], "support": [1, 0]})
    save_weights(folder / "reader.safetensors", model.weights())
    model.set_weights(load_weights(folder / "reader.safetensors"))
    ((logit, _, trained),) = model.raw_reader(tokenizer(), 64, 512)([("who?", "ada did it")])
    (used,) = load_bert_reader(folder, embedder, dtype="float32").read("who?", ["ada did it"])
    assert used.answerable == pytest.approx(logit, abs=1e-2)
    assert np.allclose(used.start, trained.start, atol=1e-2)
    assert "ada did it"[slice(*used.best_span()[:2])] == "ada"
