"""Base, embedder, knowledge and inputs of one job: each opened when it is first needed, once, and handed on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pipelines.inputs import Inputs, read_voice
from toolkit.bot import BotFolder, Lock, check_lock, open_elsewhere, read_lock, with_voice
from toolkit.config import BaseSettings, BotConfig, ChainSettings, KnowledgeSettings, VoiceSettings
from toolkit.errors import ConfigError
from toolkit.examples import Example
from toolkit.progress import Note, Progress
from toolkit.prompts import template_hash
from toolkit.scoring import Question, read_questions

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from transformers import PreTrainedTokenizerBase

    from toolkit.embedding import Embedder
    from toolkit.engines import HouseChatModel
    from toolkit.models import LoadedModel
    from toolkit.reader import Reader
    from toolkit.store import Knowledge


def open_base(settings: BaseSettings, quantization: str, on_progress: Progress | None) -> LoadedModel:
    """Load the base that the settings name, with the given quantisation."""
    from toolkit.models import load_base

    return load_base(
        settings.model,
        revision=settings.revision,
        device=settings.device,
        dtype=settings.dtype,
        quantization=quantization,
        on_progress=on_progress,
    )


def open_embedder(settings: KnowledgeSettings) -> Embeddings:
    """Load the embedder that the settings name."""
    from toolkit.embedding import load_embedder

    return load_embedder(settings.embedder)


def open_reader(settings: ChainSettings) -> Reader | None:
    """Load the reader that the settings name."""
    from toolkit.reader import load_reader

    return load_reader(settings.reader)


@dataclasses.dataclass(frozen=True)
class Openers:
    """How each part is opened; a test hands in doubles.

    Attributes:
        base: Takes the ``base`` section, ``nf4``, ``none`` or ``auto``, and who is told of the progress.
        embedder: Takes the ``knowledge`` section.
        reader: Takes the ``chain`` section.
        examples: Takes the ``voice`` section; gives examples to train on and to measure on.
        questions: Takes the file; gives the questions of every split.
    """

    base: Callable[[BaseSettings, str, Progress | None], LoadedModel] = open_base
    embedder: Callable[[KnowledgeSettings], Embeddings] = open_embedder
    reader: Callable[[ChainSettings], Reader | None] = open_reader
    examples: Callable[[VoiceSettings], tuple[list[Example], list[Example]]] = read_voice
    questions: Callable[[Path], list[Question]] = read_questions


class Parts(Inputs):
    """What a job works with. Use it in a ``with``: the end closes what was opened.

    Args:
        config: The settings of the bot.
        openers: How the parts are opened.
        on_progress: Called with what is being done, done, total.
        on_note: Called with each automatic choice and its reason, and what was found.

    Attributes:
        folder: The bot folder.
        opened: How often each part was opened.
        note: Tells a sentence.
    """

    def __init__(
        self,
        config: BotConfig,
        *,
        openers: Openers | None = None,
        on_progress: Progress | None = None,
        on_note: Note | None = None,
    ) -> None:
        assert config.output is not None
        self._openers = openers or Openers()
        super().__init__(config, self._openers.examples, self._openers.questions)
        self.folder = BotFolder(config.output)
        self.on_progress = on_progress
        self.note: Note = on_note or (lambda text: None)
        self._base: LoadedModel | None = None
        self._model: HouseChatModel | None = None
        self._knowledge: Knowledge | None = None
        self._fingerprint: str | None = None

    @cached_property
    def lock(self) -> Lock:
        """What the bot in the folder was built with, and what the steps of this build have changed of it.

        Raises:
            DataError: It is damaged.
        """
        return read_lock(self.folder)

    def is_tuned(self) -> bool:
        """Tell whether the adapter that is there was made by a tune of this bot."""
        return self.folder.has_adapter() and bool(self.lock.inputs.tune) and self.folder.tune_report.is_file()

    @property
    def tunes(self) -> bool:
        """Whether the voice is an adapter that is tuned here: on a model that runs elsewhere none can be."""
        return self.config.voice is not None and self.config.base.address is None

    def need_weights(self) -> None:
        """See to it that the base runs here, for what needs its weights.

        Raises:
            ConfigError: It runs on a server.
        """
        if self.config.base.address:
            raise ConfigError(
                f"The weights of '{self.config.base.model}' are on a server, and are needed here.",
                "Set base.model to a folder, a hub id or 'bundled'.",
            )

    def check_inputs(self) -> None:
        """Read every input, so that a mistake in one shows before the long work; a base elsewhere must be there.

        Raises:
            DataError: One is missing or malformed.
            ModelError: The server of the base does not answer, or lacks it.
        """
        if self.config.base.address:
            self.model()
        self.documents()
        self.examples()
        if self.preferences():
            from toolkit.tuning import choose_loss

            assert self.config.voice is not None
            choose_loss(self.preferences(), self.config.voice.preference_loss)
        self.questions(self.config.evaluation.split)
        self.calibration()

    def check_method(self) -> None:
        """See to it that the voice can be tuned on this machine as it is to be.

        Raises:
            ConfigError: The method does not run on its device.
            MissingExtra: A library that it needs is not installed.
        """
        from toolkit.models import choose_device
        from toolkit.tuning import check_method

        assert self.config.voice is not None
        check_method(self.config.voice, choose_device(self.config.base.device).value)

    @cached_property
    def _embedder(self) -> Embedder:
        from toolkit.embedding import as_embedder

        assert self.config.knowledge is not None
        self.opened["embedder"] += 1
        return as_embedder(self._openers.embedder(self.config.knowledge))

    def embedder(self) -> Embedder:
        """Return what embeds passages and questions.

        Raises:
            ModelError: It cannot be loaded.
        """
        return self._embedder

    @cached_property
    def _reader(self) -> Reader | None:
        self.opened["reader"] += 1
        return self._openers.reader(self.config.chain)

    def reader(self) -> Reader | None:
        """Return what reads passages with a question in mind; None without documents or where it is switched off.

        Raises:
            ModelError: It cannot be loaded.
        """
        return self._reader if self.config.knowledge else None

    def knowledge(self) -> Knowledge | None:
        """Return what was ingested, searched as the settings say; None where the bot is to have no documents.

        Raises:
            DataError: Nothing was ingested.
            IndexMismatch: It was embedded by another embedder.
        """
        from toolkit.store import Knowledge

        if self._knowledge is None and self.config.knowledge:
            self.hand_in(Knowledge.open(self.folder.knowledge, self.embedder()))
        return self._knowledge

    def hand_in(self, knowledge: Knowledge) -> Knowledge:
        """Take over a knowledge that was just opened, or made: it is handed on, and closed at the end."""
        from toolkit.store import SearchOptions

        assert self._knowledge is None
        assert self.config.knowledge is not None
        settings = self.config.knowledge
        self.opened["knowledge"] += 1
        knowledge.options = SearchOptions(settings.mmr, settings.reranker, settings.join_neighbours)
        self._knowledge = knowledge
        return knowledge

    def base(self) -> LoadedModel:
        """Return the base with the weights that the bot answers with.

        Raises:
            ModelError: It cannot be loaded.
        """
        if self._base is None:
            self._base = self._open_base("nf4" if self.config.base.load_in_4bit else "none")
        return self._base

    @contextmanager
    def base_for_tuning(self) -> Iterator[LoadedModel]:
        """Lend the base out to a tune: the one that answers, or for QLoRA another one with NF4 weights.

        NF4 weights are never shared, not even with a bot that answers with such: on a CPU the first answer repacks
        them for a kernel without a backward pass. They are dropped at the end, and so must be the caller's name.

        Raises:
            ModelError: It cannot be loaded.
        """
        from toolkit.models import choose_device, choose_quantization
        from toolkit.tuning import lent_for_tuning

        assert self.config.voice is not None
        device = choose_device(self.config.base.device).value
        wanted = choose_quantization(device, self.config.voice.quantization)
        if wanted.value == "none" and not self.config.base.load_in_4bit:
            loaded = self.base()
            with lent_for_tuning(loaded.model):
                yield dataclasses.replace(loaded, quantization=wanted)
            return
        with self._base_at_rest():
            loaded = self._open_base(self.config.voice.quantization)
            try:
                yield loaded
            finally:
                del loaded

    @contextmanager
    def _base_at_rest(self) -> Iterator[None]:
        """Keep the base that answers out of the GPU's memory while another one is tuned there."""
        resting = self._base
        if resting is None or resting.device.value != "cuda" or resting.quantization.value == "nf4":
            yield
            return
        from toolkit.models import release_memory

        resting.model.to("cpu")  # type: ignore[arg-type]
        release_memory()
        try:
            yield
        finally:
            resting.model.to("cuda")  # type: ignore[arg-type]

    def _open_base(self, quantization: str) -> LoadedModel:
        self.need_weights()
        self.opened["base"] += 1
        loaded = self._openers.base(self.config.base, quantization, self.on_progress)
        self._fingerprint = loaded.fingerprint
        return loaded

    def model(self) -> HouseChatModel:
        """Return the base as a chat model that thinks; it has a voice once :meth:`speaking_model` was asked for."""
        from toolkit.engines import HouseChatModel, TextEngine

        if self._model is None and self.config.base.address:
            self._model = open_elsewhere(self.config.base)
        if self._model is None:
            self._model = HouseChatModel(engine=TextEngine(self.base()))
        return self._model

    def speaking_model(self) -> HouseChatModel:
        """Return the base as a chat model with the adapter in the bot folder, if the bot is to have a voice.

        On a server it is the server's adapter, or example replies in the prompts. Here it is put into the very layers
        of the base, so that the tune must be over.

        Raises:
            AdapterMismatch: The adapter was trained on another base.
        """
        from toolkit.engines import HouseChatModel, TextEngine

        if self.config.base.address:
            knowledge = self.knowledge()
            embedder = knowledge.embedder if knowledge else None
            return with_voice(self.model(), self.folder, self.config, embedder)
        if self.config.voice is None or not self.folder.has_adapter():
            return self.model()
        self._model = HouseChatModel(engine=TextEngine(self.base(), self.folder.adapter))
        return self._model

    @cached_property
    def _located(self) -> str:
        from toolkit.models import locate_base

        self.need_weights()
        return locate_base(self.config.base.model, on_progress=self.on_progress)

    def fingerprint(self) -> str:
        """Name the weights of the base, without loading them; of one on a server only its address is known.

        Raises:
            ModelError: It cannot be found.
        """
        from toolkit.models import fingerprint

        if self.config.base.address:
            return f"server:{self.config.base.address}"
        return self._fingerprint or fingerprint(self._located, self.config.base.revision)

    def template(self) -> str:
        """Name tokenizer and chat template by their content; empty for a base on a server, which renders itself.

        Raises:
            ModelError: The tokenizer cannot be loaded.
        """
        return "" if self.config.base.address else template_hash(self.tokenizer())

    def check_lock(self) -> None:
        """Compare the base, as it is loaded, with what the bot was built with.

        Raises:
            AdapterMismatch: It has other weights.
            ModelError: It cannot be loaded, or renders other prompts.
        """
        if self.config.base.address is None:
            self.base()  # one of the hub has its name only once it was fetched
        check_lock(self.lock, fingerprint=self.fingerprint(), template=self.template())

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer of the base, loaded alone where the base is not.

        Raises:
            ModelError: It cannot be loaded.
        """
        from toolkit.models import load_tokenizer

        if self._base is not None:
            return self._base.tokenizer
        return load_tokenizer(self.config.base.model, self._located, self.config.base.revision)

    def close(self) -> None:
        """Close what was opened and give its memory back."""
        if self._knowledge is not None:
            self._knowledge.close()
        self._knowledge = self._base = self._model = None
        if self.opened["base"]:
            from toolkit.models import release_memory

            release_memory()

    def __enter__(self) -> Parts:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        self.close()
