"""The public rows that grounding and reader are trained on, split by document once and for all."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Part = Literal["train", "dev", "test"]

# Three articles of SQuAD 2.0's development part that nothing is trained or chosen on, and one to choose settings on.
SQUAD_TEST = ("Scottish_Parliament", "Steam_engine", "Yuan_dynasty")
SQUAD_DEV = ("Imperialism",)
# Of the documents of every other set, one in this many is kept for choosing settings.
DEV_ONE_IN = 20


@dataclass(frozen=True)
class Pair:
    """A question and a passage that answers it or does not.

    Attributes:
        set: Name of the set that it comes from.
        question: What is asked.
        passage: The passage.
        answer: The answer, word for word in the passage for most sets; None where it has none.
        answerable: Whether the passage answers the question.
        doc: The document, for splitting.
        how: How a negative was made, or ``human`` where people judged.
        answers: All answers that people gave, where several were asked.
    """

    set: str
    question: str
    passage: str
    answer: str | None
    answerable: bool
    doc: str
    how: str
    answers: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The document's name as a heading; empty where its name says nothing to a reader."""
        if self.set.startswith(("squad2", "dstc", "qed")):
            return self.doc.partition(":")[2].strip() or self.doc.replace("_", " ").strip()
        return ""

    @property
    def part(self) -> Part:
        """The part that the pair belongs to."""
        return part_of(self.set, self.doc)


def part_of(set_name: str, doc: str) -> Part:
    """Return the part of a document: by name in SQuAD's articles of the development part, by hash elsewhere."""
    if set_name == "squad2_dev":
        return "test" if doc in SQUAD_TEST else "dev" if doc in SQUAD_DEV else "train"
    if set_name == "squad2_train10":
        return "train"  # ten articles in all: too few to give one away
    return "dev" if int(hashlib.sha256(f"{set_name}|{doc}".encode()).hexdigest(), 16) % DEV_ONE_IN == 0 else "train"


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a gzipped JSONL file."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_pairs(folder: Path, squad: Path | None = None) -> list[Pair]:
    """Read ``answerability.jsonl.gz`` and SQuAD's articles.

    Args:
        folder: The folder with the training rows.
        squad: ``dev_part.json`` of SQuAD 2.0, whose questions people made unanswerable on purpose.
    """
    pairs = [
        Pair(row["set"], row["question"], row["passage"], row["answer"] or None, bool(row["label"]), row["doc"],
             row["how"])
        for row in read_rows(folder / "answerability.jsonl.gz")
    ]  # fmt: skip
    return pairs + (read_squad(squad) if squad else [])


def read_squad(file: Path) -> list[Pair]:
    """Read every question of a SQuAD 2.0 file with the paragraph that it was asked of."""
    pairs = []
    articles = json.loads(file.read_text(encoding="utf-8"))
    for article in articles.get("data", articles) if isinstance(articles, dict) else articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                given = [] if asked["is_impossible"] else [item["text"] for item in asked["answers"]]
                answer = _usual(given) if given else None
                pairs.append(
                    Pair("squad2_dev", asked["question"].strip(), paragraph["context"], answer,
                         not asked["is_impossible"], article["title"], "human", tuple(given))
                )  # fmt: skip
    return pairs


def _usual(answers: list[str]) -> str:
    """Return the answer that most people gave, the shortest among equals."""
    return max(sorted(set(answers), key=len), key=answers.count)
