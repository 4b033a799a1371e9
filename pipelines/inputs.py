"""What a bot is made from: its documents found, its example replies, preferences and questions read once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.config import BotConfig, KnowledgeSettings, VoiceSettings
from toolkit.errors import DataError
from toolkit.examples import Example, Preference, read_examples, read_preferences, split_examples
from toolkit.scoring import Question, of_split

if TYPE_CHECKING:
    from toolkit.documents import FoundFile


def find_documents(settings: KnowledgeSettings) -> list[FoundFile]:
    """Return the files that the ``knowledge`` section names.

    Raises:
        DataError: There is none.
    """
    from toolkit.documents import find_files

    if not settings.documents.exists() and not any(letter in str(settings.documents) for letter in "*?["):
        raise DataError(f"{settings.documents} does not exist.", "Put documents there, or change knowledge.documents.")
    files = find_files([settings.documents])
    if not files:
        raise DataError(f"{settings.documents} holds no documents.", "Put some there, or change knowledge.documents.")
    return files


def read_voice(settings: VoiceSettings) -> tuple[list[Example], list[Example]]:
    """Read and split the example replies.

    Returns:
        Examples to train on and examples to measure on.

    Raises:
        DataError: The file is missing, malformed (each bad line numbered) or too short.
    """
    examples = read_examples(settings.examples, min_examples=settings.min_examples)
    return split_examples(examples, settings.held_out, settings.seed)


class Inputs:
    """The inputs of one job, each read when it is first needed, once.

    Args:
        config: The settings of the bot.
        read_examples: Takes the ``voice`` section; gives examples to train on and to measure on.
        read_questions: Takes the file; gives the questions of every split.

    Attributes:
        opened: How often each part was opened.
    """

    def __init__(
        self,
        config: BotConfig,
        read_examples: Callable[[VoiceSettings], tuple[list[Example], list[Example]]],
        read_questions: Callable[[Path], list[Question]],
    ) -> None:
        self.config = config
        self.opened: Counter[str] = Counter()
        self._read_examples = read_examples
        self._read_questions = read_questions
        self._hashes: dict[Path, str] = {}
        self._preference_hash = ""

    def documents(self) -> list[FoundFile]:
        """Return the files of the bot; none where it is to have no documents."""
        return self._documents if self.config.knowledge else []

    @cached_property
    def _documents(self) -> list[FoundFile]:
        assert self.config.knowledge is not None
        return find_documents(self.config.knowledge)

    def examples(self) -> tuple[list[Example], list[Example]]:
        """Return the example replies to train on and to measure on; none where the bot is to have no voice."""
        return self._examples if self.config.voice else ([], [])

    @cached_property
    def _examples(self) -> tuple[list[Example], list[Example]]:
        assert self.config.voice is not None
        self._remember(self.config.voice.examples)
        self.opened["examples"] += 1
        return self._read_examples(self.config.voice)

    def preferences(self) -> list[Preference]:
        """Return the preferences; none where the bot names no file of them."""
        return self._preferences if self.config.voice and self.config.voice.preferences else []

    def preference_hash(self) -> str:
        """Name the preferences by the content that their file had when it was read."""
        self.preferences()
        return self._preference_hash

    @cached_property
    def _preferences(self) -> list[Preference]:
        assert self.config.voice is not None
        file = self.config.voice.preferences
        assert file is not None
        self.opened["preferences"] += 1
        # Just before it is read, see _remember; apart from what the voice is made from.
        self._preference_hash = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        return read_preferences(file)

    def questions(self, split: str | None) -> list[Question]:
        """Return the questions of a split, or all for None; none where the bot names no file of them."""
        file = self.config.evaluation.questions
        return of_split(self._questions, split, file) if file else []

    @cached_property
    def _questions(self) -> list[Question]:
        file = self.config.evaluation.questions
        assert file is not None
        self._remember(file)
        self.opened["questions"] += 1
        return self._read_questions(file)

    def calibration(self) -> list[Question]:
        """Return the questions that the gate is fitted on beside the bot's own rows."""
        split = self.config.evaluation.calibration_split
        return self.questions(split) if split is not None else []

    def input_hashes(self) -> list[str]:
        """Name the files of examples and of questions by the content that they had when they were read."""
        self.examples()
        if self.config.evaluation.questions:
            self.questions(None)
        return [self._hashes[file] for file in sorted(self._hashes)]

    def _remember(self, file: Path) -> None:
        """Note the content of a file just before it is read: one changed afterwards counts as changed next time."""
        if file.is_file():  # the reading of one that is missing names the remedy
            self._hashes[file] = hashlib.sha256(file.read_bytes()).hexdigest()
