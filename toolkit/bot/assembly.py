"""A chain put together from a bot's settings, what was fitted for it, and opened models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.answering import Base, Chain, EvidencePicker, Gate, RoutePlanner, Router, Splitter
from toolkit.config import BotConfig
from toolkit.errors import DataError
from toolkit.language import Lexicon
from toolkit.reader import identity_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from toolkit.bot.parts import ChainParts
    from toolkit.reader import Reader
    from toolkit.store import Knowledge
    from toolkit.tables import TableSense

# The bundled bases are the small ones: from a few sentences they answer better than from whole passages.
_SMALL = ("bundled", "bundled-plain")


def make_planner(
    config: BotConfig,
    model: BaseChatModel | None,
    knowledge: Knowledge | None,
    reader: Reader | None,
    lexicon: Lexicon,
    *,
    gate: Gate | None = None,
    router: Router | None = None,
    splitter: Splitter | None = None,
    subjects: tuple[str, ...] = (),
    sense: TableSense | None = None,
) -> RoutePlanner:
    """Return the route of a bot, fitted or not yet."""
    from toolkit.answering.tables import TableAnswers
    from toolkit.engines.speaker import Speaker
    from toolkit.tables import HeldTables, Measures

    tables = None
    if knowledge and sense:
        held = HeldTables(knowledge.folder, Measures(lexicon.language))
        tables = TableAnswers(held, sense, knowledge.embedder, lexicon)
    return RoutePlanner(
        config.chain,
        name=config.title or config.name,
        speaker=Speaker(model) if model is not None else None,
        knowledge=knowledge,
        k=config.knowledge.k if config.knowledge else 0,
        picker=EvidencePicker(knowledge.embedder, lexicon, reader) if knowledge else None,
        gate=gate,
        router=router,
        splitter=splitter,
        language=lexicon.language,
        subjects=subjects,
        base=Base(grounded=config.base.model == "bundled", reads_passages=config.base.model not in _SMALL),
        tables=tables,
    )


def assemble_chain(
    config: BotConfig,
    parts: ChainParts,
    model: BaseChatModel | None,
    knowledge: Knowledge | None,
    reader: Reader | None,
) -> Chain:
    """Put a chain together from what was fitted.

    Raises:
        DataError: It was fitted with another reader.
    """
    identity = identity_of(reader)
    if knowledge is not None and parts.gate is not None and parts.gate.reader != identity:
        raise DataError(
            f"The gate of this bot was fitted with another reader ({parts.gate.reader or 'none'}) than the one found "
            f"now ({identity or 'none'}).",
            "Bring the old one back, or build the bot again.",
        )
    planner = make_planner(
        config,
        model,
        knowledge,
        reader,
        parts.lexicon,
        gate=parts.gate,
        router=parts.router,
        splitter=parts.splitter,
        subjects=parts.subjects,
        sense=parts.tables,
    )
    return Chain(planner, decline=parts.decline, voice=parts.voice, scales=parts.scales)
