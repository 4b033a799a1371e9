"""What a chain was fitted with when its bot was built: kept in the bot folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from toolkit.answering import Gate, Router, Scales, Splitter
from toolkit.answering.checking import PLAIN
from toolkit.bot.folder import BotFolder
from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.language import LANGUAGES, NEUTRAL, Lexicon
from toolkit.tables import TableSense


@dataclass
class ChainParts:
    """What the chain was fitted with at build time.

    Attributes:
        gate: The fitted gate, or None where there was too little to fit it on.
        lexicon: How rare words are in the documents, and their language.
        voice: Stems that the example replies use of their own.
        decline: The reply where the documents do not tell.
        router: Tells talk from questions, or None where every message is a question.
        scales: How the sentences of a reply are weighed, and the turns of phrase of the voice.
        subjects: What the documents are about, a few words each.
        tables: Understands questions over tables, or None where they are left to the passages.
        splitter: Takes compound questions apart, or None where every question counts as one.
    """

    gate: Gate | None
    lexicon: Lexicon
    voice: frozenset[str]
    decline: str
    router: Router | None = None
    scales: Scales = PLAIN
    subjects: tuple[str, ...] = ()
    tables: TableSense | None = None
    splitter: Splitter | None = None


def write_parts(folder: BotFolder, parts: ChainParts) -> None:
    """Write what the chain was fitted with."""
    folder.chain.mkdir(parents=True, exist_ok=True)
    gate = folder.chain / "gate.json"
    if parts.gate:
        parts.gate.save(gate)
    else:
        gate.unlink(missing_ok=True)
    lexicon = {
        "language": parts.lexicon.language.name,
        "passages": parts.lexicon.passages,
        "holding": dict(parts.lexicon.holding),
    }
    write_text(folder.chain / "lexicon.json", json.dumps(lexicon, ensure_ascii=False) + "\n")
    route = {
        "router": parts.router.to_dict() if parts.router else None,
        "splitter": asdict(parts.splitter) if parts.splitter else None,
        "subjects": list(parts.subjects),
    }
    write_text(folder.chain / "route.json", json.dumps(route, ensure_ascii=False) + "\n")
    tables = folder.chain / "tables.json"
    if parts.tables:
        write_text(tables, json.dumps(parts.tables.to_dict(), ensure_ascii=False) + "\n")
    else:
        tables.unlink(missing_ok=True)
    voice = {"decline": parts.decline, "scales": parts.scales.to_dict(), "words": sorted(parts.voice)}
    write_text(folder.chain / "voice.json", json.dumps(voice, ensure_ascii=False, indent=2) + "\n")


def read_parts(folder: BotFolder) -> ChainParts:
    """Read what the chain was fitted with.

    Raises:
        DataError: The folder lacks it, or it was fitted by another version.
    """
    from collections import Counter

    try:
        lexicon = json.loads((folder.chain / "lexicon.json").read_text(encoding="utf-8"))
        voice = json.loads((folder.chain / "voice.json").read_text(encoding="utf-8"))
        route = json.loads((folder.chain / "route.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing.", "Build the bot again.") from error
    gate, tables = folder.chain / "gate.json", folder.chain / "tables.json"
    return ChainParts(
        gate=Gate.load(gate) if gate.is_file() else None,
        lexicon=Lexicon(
            lexicon["passages"], Counter(lexicon["holding"]), LANGUAGES.get(lexicon["language"], NEUTRAL)
        ),
        voice=frozenset(voice["words"]),
        decline=voice["decline"],
        router=Router(**route["router"]) if route["router"] else None,
        # A bot of an earlier version has none: its questions count as one until it is built again.
        splitter=Splitter(**route["splitter"]) if route.get("splitter") else None,
        scales=Scales.from_dict(voice["scales"]),
        subjects=tuple(route["subjects"]),
        # A bot of an earlier version has none: its tables are read as passages until it is built again.
        tables=TableSense.from_dict(json.loads(tables.read_text(encoding="utf-8"))) if tables.is_file() else None,
    )
