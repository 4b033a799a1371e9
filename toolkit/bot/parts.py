"""What a chain was fitted with when its bot was built: kept in the bot folder."""

from __future__ import annotations

import json
from dataclasses import dataclass

from toolkit.answering import Gate
from toolkit.bot.folder import BotFolder
from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.language import Lexicon


@dataclass
class ChainParts:
    """What the chain was fitted with at build time.

    Attributes:
        gate: The fitted gate, or None where there was too little to fit it on.
        lexicon: How rare words are in the documents.
        voice: Stems that the example replies use of their own.
        decline: The reply where the documents do not tell.
    """

    gate: Gate | None
    lexicon: Lexicon
    voice: frozenset[str]
    decline: str


def write_parts(folder: BotFolder, parts: ChainParts) -> None:
    """Write what the chain was fitted with."""
    folder.chain.mkdir(parents=True, exist_ok=True)
    gate = folder.chain / "gate.json"
    if parts.gate:
        parts.gate.save(gate)
    else:
        gate.unlink(missing_ok=True)
    lexicon = {"passages": parts.lexicon.passages, "holding": dict(parts.lexicon.holding)}
    write_text(folder.chain / "lexicon.json", json.dumps(lexicon, ensure_ascii=False) + "\n")
    voice = {"decline": parts.decline, "words": sorted(parts.voice)}
    write_text(folder.chain / "voice.json", json.dumps(voice, ensure_ascii=False, indent=2) + "\n")


def read_parts(folder: BotFolder) -> ChainParts:
    """Read what the chain was fitted with.

    Raises:
        DataError: The folder lacks it.
    """
    from collections import Counter

    try:
        lexicon = json.loads((folder.chain / "lexicon.json").read_text(encoding="utf-8"))
        voice = json.loads((folder.chain / "voice.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing.", "Build the bot again.") from error
    gate = folder.chain / "gate.json"
    return ChainParts(
        gate=Gate.load(gate) if gate.is_file() else None,
        lexicon=Lexicon(lexicon["passages"], Counter(lexicon["holding"])),
        voice=frozenset(voice["words"]),
        decline=voice["decline"],
    )
