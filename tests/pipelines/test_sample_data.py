"""The sample bot's data: complete, true to its documents, and free of leaks into the evaluation."""

import csv
import html
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "data"
SUBJECTS = set(
    """glim ember gale tarn wisp beacon hub keeper shuttle perch ebb flood wick sail kite coil mast
    boathouse deckhand mate bosun puffin bertha tom limpet marge whirligig little drops engraving
    warranty repair regatta midwinter stagg dune fog newsletter loan library stockist shop tide
    shades stitches solder weaving glue kiln laser steam s36 h07 l23 l17""".split()
)
STOPWORDS = set(
    """a an and are as at be by can do does for from get how i if in is it its long many me much my
    of on one or our so than that the then there this to what when where which who will with you
    your""".split()
)


def read_jsonl(name: str) -> list[dict]:
    """Read a JSON Lines file of the sample; every line must be one JSON object."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_document(path: Path) -> str:
    """Return the plain text of one document of the sample."""
    if path.suffix == ".pdf":
        pypdf = pytest.importorskip("pypdf")
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    if path.suffix == ".docx":
        docx = pytest.importorskip("docx")
        document = docx.Document(str(path))
        cells = [c.text for t in document.tables for row in t.rows for c in row.cells]
        return "\n".join([p.text for p in document.paragraphs] + cells)
    text = path.read_text(encoding="utf-8")
    return html.unescape(re.sub(r"<[^>]+>", " ", text)) if path.suffix == ".html" else text


def normalise(text: str) -> str:
    """Lower-case a text and fold every run of white space into one space."""
    return re.sub(r"\s+", " ", text.lower().replace("’", "'")).strip()


def holds(text: str, phrase: str) -> bool:
    """Tell whether a text holds a phrase as whole words, so that "6 euros" is not in "46 euros"."""
    pattern = r"(?<![\w.,])" + re.escape(normalise(phrase)) + r"(?!\w|[.,:]\d)"
    return re.search(pattern, normalise(text)) is not None


def words(text: str) -> list[str]:
    """Return the words of a text in order, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower())


def content_words(text: str) -> set[str]:
    """Return the words that carry meaning, with a plural s taken off."""
    return {w.rstrip("s") for w in words(text) if w not in STOPWORDS}


def body(reply: str) -> str:
    """Return a reply without its opening and its closing mark."""
    return " ".join(re.split(r"(?<=[.!?]) ", reply)[1:-1])


def four_gram_overlap(a: str, b: str) -> float:
    """Return the share of the shorter question's word 4-grams that the other one has too."""
    grams = [{tuple(w[i : i + 4]) for i in range(len(w) - 3)} for w in (words(a), words(b))]
    smaller = min(len(grams[0]), len(grams[1]))
    return len(grams[0] & grams[1]) / smaller if smaller else 0.0


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """Return the text of every document by its file name."""
    return {p.name: read_document(p) for p in sorted((DATA / "documents").iterdir())}


@pytest.fixture(scope="module")
def voice() -> list[dict]:
    """Return the example replies: question, reply, and whether it declines."""
    rows = []
    for row in read_jsonl("voice.jsonl"):
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert set(row) <= {"messages", "declines"}
        declines = row.get("declines", False)
        rows.append({"q": user["content"], "a": assistant["content"], "declines": declines})
    return rows


@pytest.fixture(scope="module")
def questions() -> list[dict]:
    """Return the evaluation questions of both splits."""
    return read_jsonl("questions.jsonl")


def test_documents_are_many_and_of_many_formats(documents):
    suffixes = Counter(Path(name).suffix for name in documents)
    assert len(documents) >= 26
    assert set(suffixes) == {".md", ".txt", ".rst", ".html", ".csv", ".pdf", ".docx"}
    assert suffixes[".docx"] == 2
    for name, text in documents.items():
        assert 150 <= len(text.split()) <= 600, name


def test_pdf_has_pages():
    pypdf = pytest.importorskip("pypdf")
    assert 2 <= len(pypdf.PdfReader(DATA / "documents" / "flood-tide-clock.pdf").pages) <= 3


def test_csv_rows_are_even():
    for path in (DATA / "documents").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            widths = {len(row) for row in csv.reader(file)}
        assert len(widths) == 1, path.name


def test_voice_counts_and_lengths(voice):
    assert len(voice) >= 210
    assert sum(row["declines"] for row in voice) >= 30
    for row in voice:
        assert 8 <= len(row["a"].split()) <= 60, row
        assert "\n" not in row["a"] and "[" not in row["a"], row


def test_voice_has_its_marks(voice):
    openings = Counter(re.match(r"[^.]+\.", row["a"]).group() for row in voice)
    closings = Counter(re.split(r"(?<=[.!?]) ", row["a"])[-1] for row in voice)
    for marks in (openings, closings):
        assert len(marks) >= 12
        assert min(marks.values()) >= 5
    assert all("friend" in mark or "shipmate" in mark for mark in openings)


def test_declines_name_the_papers_and_others_do_not(voice):
    for row in voice:
        assert ("our papers" in row["a"].lower()) == row["declines"], row


def test_numbers_in_replies_stand_in_the_documents(voice, documents):
    everything = "\n".join(documents.values())
    for row in voice:
        if row["declines"]:
            continue
        for number in re.findall(r"\d+(?:[.,:]\d+)*", row["a"]):
            found = re.search(rf"(?<![\d.,]){re.escape(number)}(?![.,:]?\d)", everything)
            assert found, (number, row)


@pytest.mark.parametrize(
    ("split", "answerable", "unanswerable"), [("test", 60, 30), ("tune", 30, 20)]
)
def test_question_counts(questions, split, answerable, unanswerable):
    rows = [row for row in questions if row["split"] == split]
    without = [row for row in rows if row.get("unanswerable")]
    near = sum(row["kind"] == "near" for row in without)
    assert len(rows) - len(without) >= answerable
    assert len(without) >= unanswerable
    assert {row["kind"] for row in without} == {"near", "foreign"}
    assert 0.6 <= near / len(without) <= 0.72


def test_question_keys(questions):
    for row in questions:
        assert row["split"] in {"tune", "test"}
        if row.get("unanswerable"):
            assert set(row) == {"question", "unanswerable", "kind", "split"}
        else:
            assert set(row) == {"question", "facts", "sources", "split"}
            assert row["facts"] and all(row["facts"]) and row["sources"]


def test_facts_stand_in_every_source(questions, documents):
    for row in questions:
        for source in row.get("sources", []):
            for alternatives in row["facts"]:
                assert any(holds(documents[source], a) for a in alternatives), (row, source)


def test_tune_and_test_ask_for_different_facts_of_different_documents(questions):
    sources = {"tune": set(), "test": set()}
    for row in questions:
        sources[row["split"]].update(row.get("sources", []))
    assert not sources["tune"] & sources["test"]


def test_no_reply_gives_an_evaluated_fact_away(questions, voice):
    """Approximate: same fact string, and a subject (or three content words) in common."""
    leaks = []
    for row in questions:
        asked = content_words(row["question"])
        subjects = SUBJECTS & set(words(row["question"]))
        for alternative in (a for alternatives in row.get("facts", []) for a in alternatives):
            for reply in voice:
                if reply["declines"] or not holds(reply["a"], alternative):
                    continue
                said = reply["q"] + " " + body(reply["a"])
                shared = asked & content_words(said)
                if subjects & set(words(said)) or len(shared) >= 3:
                    leaks.append((row["question"], alternative, reply["a"]))
    assert not leaks


def test_no_question_is_asked_twice(questions, voice):
    asked = [row["question"] for row in questions] + [row["q"] for row in voice]
    plain = Counter(" ".join(words(q)) for q in asked)
    assert not [q for q, n in plain.items() if n > 1]
    close = [(a, b) for a, b in combinations(asked, 2) if four_gram_overlap(a, b) > 0.5]
    evaluated = {row["question"] for row in questions}
    assert not [pair for pair in close if evaluated & set(pair)]
