"""A built bot, ready to be asked: from Python, and underneath the command line and the page."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.answering import Answer, Chain, OnStep
from toolkit.bot.elsewhere import open_elsewhere, shows_examples, with_voice
from toolkit.bot.folder import BotFolder, read_config
from toolkit.bot.history import History, as_turns
from toolkit.bot.lock import check_lock, read_lock
from toolkit.bot.parts import read_parts
from toolkit.bot.stream import AnswerStream
from toolkit.config import BotConfig
from toolkit.errors import DataError
from toolkit.prompts import template_hash

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable
    from transformers import PreTrainedTokenizerBase

    from toolkit.engines import HouseChatModel
    from toolkit.progress import Progress
    from toolkit.reader import Reader
    from toolkit.store import Knowledge, Passage


class Chatbot:
    """A bot that knows its documents and speaks in its voice.

    Use :meth:`load`, or ``pipelines.build_chatbot``.

    Args:
        folder: The bot folder.
        config: Its configuration.
        chain: The chain that answers.
        knowledge: Its documents, or None.
        has_voice: Whether it has an adapter.
    """

    def __init__(
        self, folder: Path, config: BotConfig, chain: Chain, knowledge: Knowledge | None, *, has_voice: bool
    ) -> None:
        self.folder = folder
        self.config = config
        self.chain = chain
        self.knowledge = knowledge
        self.has_voice = has_voice

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        device: str | None = None,
        model: BaseChatModel | None = None,
        on_progress: Progress | None = None,
    ) -> Chatbot:
        """Open a bot folder.

        Args:
            folder: What ``housevoice build`` wrote.
            device: Where the model runs; default: as in ``bot.yaml``.
            model: Another LangChain chat model in place of the bot's own; it is told what it says that it can do.
            on_progress: Called with what is being done, done, total.

        Raises:
            DataError: The folder is not a bot, or its adapter is not what the tune wrote.
            AdapterMismatch: The base found is not the one that the bot was built on.
            IndexMismatch: The knowledge was embedded by another embedder.
            ModelError: The base cannot be loaded, or renders other prompts; or its server does not answer, or lacks it.
        """
        place = BotFolder(Path(folder))
        config = read_config(place)
        remote = open_elsewhere(config.base) if model is None and config.base.address else None
        if model is None and remote is None and _speaks(place, config):
            check_voice(place, config, on_progress)
        knowledge = open_knowledge(place, config)
        if remote is not None:
            model = with_voice(remote, place, config, knowledge.embedder if knowledge else None)
        if model is None:
            model = _load_model(place, config, device, on_progress)
        return cls.assemble(place, config, model, knowledge, open_reader(config))

    @classmethod
    def assemble(
        cls,
        place: BotFolder,
        config: BotConfig,
        model: BaseChatModel | None,
        knowledge: Knowledge | None,
        reader: Reader | None,
    ) -> Chatbot:
        """Put a chain together from the parts in a bot folder and models that are already loaded.

        Without a model the bot can search and judge what was found, and not answer.

        Raises:
            ConfigError: A tool of the settings cannot be used.
            DataError: The parts are missing, or were fitted with another reader or by another version.
            ModelError: The settings want an agent, and the base cannot call tools.
        """
        from toolkit.agent import open_agent
        from toolkit.bot.assembly import assemble_chain

        chain = assemble_chain(config, read_parts(place), model, knowledge, reader)
        if chain.picker is not None:
            chain.scales = chain.scales.with_encoder(chain.picker.encoder)
        chain.agent = open_agent(config, chain)
        return cls(place.root, config, chain, knowledge, has_voice=_speaks(place, config))

    @property
    def retriever(self) -> BaseRetriever:
        """The knowledge as a LangChain retriever.

        Raises:
            DataError: The bot has no knowledge.
        """
        return self._known().as_retriever(k=self.chain.k)

    def ask(
        self,
        question: str,
        history: History = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        on_step: OnStep | None = None,
    ) -> Answer:
        """Answer a question.

        Args:
            question: What is asked.
            history: Earlier exchanges: pairs of question and reply, :class:`Turn`, or ``messages``.
            adapter: Whether to speak in the voice.
            knowledge: Whether to use the documents.
            on_step: Told each step of the answer's trace as it is done.
        """
        voice = adapter and self.has_voice
        return self.chain.answer(question, as_turns(history), adapter=voice, knowledge=knowledge, on_step=on_step)

    def ask_many(self, questions: Sequence[str], *, adapter: bool = True, knowledge: bool = True) -> list[Answer]:
        """Answer many questions, each on its own; several times as fast as one by one."""
        asked = [(question, ()) for question in questions]
        return self.chain.answers(asked, adapter=adapter and self.has_voice, knowledge=knowledge)

    def stream(
        self,
        question: str,
        history: History = (),
        *,
        adapter: bool = True,
        knowledge: bool = True,
        cancel: threading.Event | None = None,
        on_step: OnStep | None = None,
    ) -> AnswerStream:
        """Answer a question piece by piece; see :class:`AnswerStream`."""
        parts = self.chain.stream(
            question,
            as_turns(history),
            adapter=adapter and self.has_voice,
            knowledge=knowledge,
            cancel=cancel,
            on_step=on_step,
        )
        return AnswerStream(parts)

    def search(self, query: str, k: int = 10, filter: Mapping[str, Any] | None = None) -> list[Passage]:
        """Find the ``k`` passages that fit best, best first.

        Args:
            query: A question, or words.
            k: Passages wanted.
            filter: What the metadata must be; see :meth:`toolkit.Knowledge.search`.

        Raises:
            DataError: The bot has no knowledge, or the filter cannot be understood.
        """
        return self._known().search(query, k=k, filter=filter)

    def as_runnable(self) -> Runnable[dict[str, Any], dict[str, Any]]:
        """Return the bot as a LangChain ``Runnable``: ``{"question", "history"}`` in, the answer as a dict out."""
        from toolkit.bot.runnable import AnswerRunnable

        return AnswerRunnable(bot=self)

    def close(self) -> None:
        """Let go of the knowledge's files."""
        if self.knowledge is not None:
            self.knowledge.close()

    def _known(self) -> Knowledge:
        if self.knowledge is None:
            raise DataError(f"The bot in {self.folder} has no documents.", "Add a 'knowledge' section and build it.")
        return self.knowledge


def _load_model(
    place: BotFolder, config: BotConfig, device: str | None, on_progress: Progress | None
) -> HouseChatModel:
    """Load the base of a bot into this process, with the adapter of its voice."""
    from toolkit.engines import HouseChatModel
    from toolkit.engines.llama_files import Voice
    from toolkit.engines.opening import open_engine

    def check(fingerprint: str, tokenizer: PreTrainedTokenizerBase) -> None:
        check_lock(read_lock(place), fingerprint=fingerprint, template=template_hash(tokenizer))

    settings = config.base.model_copy(update={"device": device}) if device else config.base
    voice = Voice(place.adapter, config.voice.method) if config.voice and _speaks(place, config) else None
    return HouseChatModel(engine=open_engine(settings, voice, check, on_progress))


def _speaks(place: BotFolder, config: BotConfig) -> bool:
    """Tell whether a bot has a voice; one that was taken out of its settings keeps its adapter unused."""
    if config.voice is None or config.base.address is None:
        return config.voice is not None and place.has_adapter()
    return config.base.adapter_name is not None or shows_examples(place, config.base)


def check_voice(place: BotFolder, config: BotConfig, on_progress: Progress | None = None) -> None:
    """Compare the adapter of a bot with its record and with the base, before any model is loaded.

    Raises:
        DataError: Its files are not those that the tune wrote.
        AdapterMismatch: It was trained on another base.
        ModelError: The base cannot be found.
    """
    from toolkit.models import fingerprint, locate_base
    from toolkit.tuning.record import check_base, check_files

    found = fingerprint(locate_base(config.base.model, on_progress=on_progress), config.base.revision)
    if found.endswith("@None"):
        check_files(place.adapter)  # a base of the hub that has yet to be fetched is compared once it was
    else:
        check_base(place.adapter, name=config.base.model, fingerprint=found)


def open_reader(config: BotConfig) -> Reader | None:
    """Open what a bot reads its passages with; None without documents, or where its settings say so.

    Raises:
        ModelError: It cannot be loaded.
    """
    from toolkit.reader import load_reader

    return load_reader(config.chain.reader) if config.knowledge else None


def open_knowledge(place: BotFolder, config: BotConfig) -> Knowledge | None:
    """Open the knowledge of a bot, searched as its settings say, or return None where it has none."""
    from toolkit.embedding import load_embedder
    from toolkit.store import Knowledge, SearchOptions

    settings = config.knowledge
    if settings is None:
        return None
    if not place.knowledge.is_dir():
        return Knowledge.open(place.knowledge)  # says what is missing before a model is loaded
    knowledge = Knowledge.open(place.knowledge, load_embedder(settings.embedder))
    knowledge.options = SearchOptions(settings.mmr, settings.reranker, settings.join_neighbours)
    return knowledge
