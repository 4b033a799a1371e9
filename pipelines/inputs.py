"""What a bot is made from: its documents found, its example replies read and split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.config import KnowledgeSettings, VoiceSettings
from toolkit.errors import DataError
from toolkit.examples import Example, read_examples, split_examples

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
