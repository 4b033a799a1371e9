"""Chunks: they fit, they are exact spans with stable ids, and they are cut where a reader would cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from langchain_core.documents import Document

from toolkit.documents.chunking import chunk_documents, embedding_text
from toolkit.documents.model import build_documents
from toolkit.documents.readers import read_bytes
from toolkit.language.sentences import split_sentences

SPECIAL = 2  # what a tokenizer adds to each text


def count(texts: Sequence[str]) -> list[int]:
    """Count as a word-piece tokenizer does: pieces of words and signs, and two special tokens."""
    return [len(re.findall(r"\w{1,6}|[^\w\s]", text)) + SPECIAL for text in texts]


def merging(texts: Sequence[str]) -> list[int]:
    """Count as a tokenizer that is dearer on whole texts than on their parts."""
    return [n + len(text) // 12 for n, text in zip(count(texts), texts, strict=True)]


def documents(text: str, name: str = "guide.md") -> list[Document]:
    return build_documents(read_bytes(text.encode(), name), name, "ab" * 32)


def chunks(text: str, max_tokens: int = 60, overlap: int = 0) -> list[Document]:
    found = documents(text)
    result = chunk_documents(found, count_tokens=count, max_tokens=max_tokens, overlap_sentences=overlap)
    assert all(n <= max_tokens for n in count([embedding_text(chunk) for chunk in result]))
    return result


def texts(found: Sequence[Document]) -> list[str]:
    return [chunk.page_content for chunk in found]


LONG = " ".join(f"Sentence number {n} tells one more thing about the matter." for n in range(40))


def test_a_short_section_is_one_chunk_with_its_headings() -> None:
    (chunk,) = chunks("# Guide\n\n## Start\n\nPress the green button and wait.\n")
    assert chunk.page_content == "Press the green button and wait."
    assert embedding_text(chunk) == "Guide > Start\nPress the green button and wait."
    assert chunk.metadata["source"] == "guide.md"


def test_ids_are_the_hash_and_the_span_and_stay_the_same() -> None:
    found = chunks(f"# Guide\n\n{LONG}\n")
    whole = f"Guide\n\n{LONG}"
    assert len(found) > 5
    for chunk in found:
        start, end = chunk.metadata["start"], chunk.metadata["end"]
        assert whole[start:end] == chunk.page_content
        assert chunk.metadata["id"] == f"{'ab' * 8}:{start}-{end}"
    assert [chunk.metadata for chunk in chunks(f"# Guide\n\n{LONG}\n")] == [chunk.metadata for chunk in found]


def test_no_sentence_is_cut_and_none_is_lost() -> None:
    found = texts(chunks(f"# Guide\n\n{LONG}\n"))
    assert " ".join(found) == LONG
    assert all(text.startswith("Sentence") and text.endswith(".") for text in found)


def test_sentences_may_overlap() -> None:
    found = texts(chunks(f"# Guide\n\n{LONG}\n", overlap=1))
    for before, after in zip(found, found[1:], strict=False):
        last = before[before.rindex("Sentence") :]
        assert after.startswith(last) and after != last


def test_paragraphs_code_and_rows_stay_whole_where_they_fit() -> None:
    code = "```python\n" + "\n\n".join(f"value_{n} = compute({n})" for n in range(3)) + "\n```"
    first = "The first paragraph has two sentences. They say little but take some room in the window here."
    found = texts(chunks(f"# A\n\n{first}\n\n{first}\n\n{code}\n", max_tokens=64))
    assert code in found
    rows = "\n".join(
        f"Item: tea number {n}; Price: {n}.50; Note: sold by weight. Ask first." for n in range(12)
    )
    table = build_documents(read_bytes(b"x", "x.txt"), "x", "ab" * 32)[0]
    table.page_content = rows
    for chunk in chunk_documents([table], count_tokens=count, max_tokens=60):
        assert all(re.fullmatch(r"Item: .* Ask first\.", line) for line in chunk.page_content.split("\n"))


def test_code_that_does_not_fit_is_cut_between_its_parts() -> None:
    bodies = ["\n".join(f"    step_{part}_{line} = run({line})" for line in range(4)) for part in range(6)]
    code = "\n\n".join(f"def part_{part}():\n{body}" for part, body in enumerate(bodies))
    found = texts(chunks(f"# A\n\n```python\n{code}\n```\n", max_tokens=120))
    assert len(found) > 1
    assert all(text.startswith(("```python\ndef ", "def ")) for text in found)
    assert "".join("".join(found).split()) == "".join(f"```python{code}```".split())


def test_what_ends_with_a_colon_stays_with_what_it_announces() -> None:
    filler = " ".join(["Some words of no weight stand here."] * 4)
    found = texts(
        chunks(f"# A\n\n{filler}\n\nRun the following command:\n\n```\nmake all\nmake test\n```\n", 56)
    )
    assert any("command:\n\n```\nmake all" in text for text in found)


def test_unrelated_headings_are_not_mixed_but_tiny_neighbours_are_joined() -> None:
    options = "# Options\n\n## --fast\n\nGoes fast.\n\n## --slow\n\nGoes slow.\n\n"
    found = chunks(options + "# Other\n\n## Colour\n\nIt is blue.\n")
    assert [(c.metadata["heading"], c.page_content) for c in found] == [
        ("Options", "--fast\n\nGoes fast.\n\n--slow\n\nGoes slow."),
        ("Other > Colour", "It is blue."),
    ]
    whole = "Options\n\n--fast\n\nGoes fast.\n\n--slow\n\nGoes slow."
    assert whole[found[0].metadata["start"] : found[0].metadata["end"]] == found[0].page_content


def test_sections_that_are_not_tiny_keep_their_own_chunk() -> None:
    body = "Enough to stand alone: " + "a good number of words and " * 5 + "an end."
    found = chunks(f"# A\n\n## B\n\n{body}\n\n## C\n\n{body}\n", max_tokens=120)
    assert [chunk.metadata["heading"] for chunk in found] == ["A > B", "A > C"]


def test_pages_are_not_joined() -> None:
    pages = [
        Document(
            page_content=f"Page {n}.",
            metadata={"sha256": "c" * 64, "start": 9 * n, "page": n + 1, "heading": ""},
        )
        for n in range(2)
    ]
    assert len(chunk_documents(pages, count_tokens=count, max_tokens=60)) == 2


@pytest.mark.parametrize("counter", [count, merging])
@pytest.mark.parametrize(
    "text", ["x" * 5000, "word " * 2000, "。".join(["日本語の文章"] * 300), "a-b_c/" * 900]
)
def test_text_without_sentences_is_cut_to_fit(text: str, counter: object) -> None:
    document = Document(page_content=text)
    found = chunk_documents([document], count_tokens=counter, max_tokens=40)  # type: ignore[arg-type]
    assert max(counter([embedding_text(chunk) for chunk in found])) <= 40  # type: ignore[operator]
    assert re.sub(r"\s", "", "".join(texts(found))) == re.sub(r"\s", "", text)


def test_headings_that_would_fill_the_window_are_shortened_for_the_embedder_only() -> None:
    heading = " > ".join(f"A rather long heading of level {n}" for n in range(6))
    document = Document(page_content=LONG, metadata={"heading": heading, "title": "Title"})
    found = chunk_documents([document], count_tokens=count, max_tokens=48)
    assert all(n <= 48 for n in count([embedding_text(chunk) for chunk in found]))
    assert found[0].metadata["heading"] == heading
    assert embedding_text(found[0]).startswith("A rather long heading of level 5\n")


def test_title_and_file_name_stand_before_the_text_where_they_add_something() -> None:
    def text(**metadata: str) -> str:
        return embedding_text(Document(page_content="Text.", metadata=metadata))

    assert text() == "Text."
    assert text(title="Guide", heading="Guide > Start") == "Guide > Start\nText."
    assert text(title="Guide", heading="Start") == "Guide > Start\nText."
    assert text(source="a/return-policy.txt", type="txt") == "return policy\nText."
    assert text(source="a/return-policy.txt") == "Text."


def test_documents_of_other_makers_get_ids_too() -> None:
    one, two = (Document(page_content="Same.", metadata={"source": source, "tag": 1}) for source in "ab")
    first, second = chunk_documents([one, two], count_tokens=count, max_tokens=40)
    assert first.metadata["id"] != second.metadata["id"]
    assert first.metadata["tag"] == 1
    assert chunk_documents([Document(page_content="  \n")], count_tokens=count, max_tokens=40) == []


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        chunk_documents([Document(page_content="x")], count_tokens=count, max_tokens=3)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("See e.g. Dr. Smith or J. Doe. He knows.", ["See e.g. Dr. Smith or J. Doe.", "He knows."]),
        ("It costs 3.50 euro. Pay now.", ["It costs 3.50 euro.", "Pay now."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("- one\n- two. Three.\n  more", ["- one", "- two.", "Three.\n  more"]),
        ("1. First step\n2. Second step", ["1. First step", "2. Second step"]),
        ("A: 1; B: 2. Done. C: 3\nA: 4; B: 5", ["A: 1; B: 2. Done. C: 3", "A: 4; B: 5"]),
        ("Text.\n\n```\na. B\n\nc\n```\n\nEnd", ["Text.", "```\na. B\n\nc\n```", "End"]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
        ("Soft\nwrapped line. Next", ["Soft\nwrapped line.", "Next"]),
        ("", []),
    ],
)
def test_sentences_items_rows_and_code_are_found(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in split_sentences(text)] == sentences
