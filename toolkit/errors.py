"""The errors a person can act on: each says what is wrong and what to do about it.

Everything that is the user's to mend is a :class:`HousevoiceError`; the command line turns it into one
sentence and exit code 2. Anything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class HousevoiceError(Exception):
    """A failure with a remedy.

    Args:
        message: One sentence that says what is wrong, with the file and the line where there is one.
        hint: One sentence that says what to do about it; empty where the message already does.

    Example:
        >>> print(HousevoiceError("voice.jsonl does not exist.", "Put example replies there."))
        voice.jsonl does not exist.
        Put example replies there.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, with the hint on a line of its own."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[HousevoiceError], tuple[str, str]]:
        """Pickle both arguments, so that an error crosses a process boundary whole."""
        return type(self), (self.message, self.hint)


class ConfigError(HousevoiceError):
    """``bot.yaml`` does not say something that can be built; the message lists every fault at once."""


class DataError(HousevoiceError):
    """A document, an example reply or a question file cannot be used as it is."""


class ModelError(HousevoiceError):
    """A base model, tokenizer or embedder cannot be found, reached or loaded."""


class AdapterMismatch(HousevoiceError):
    """An adapter was trained on another base model than the one it is put on."""


class IndexMismatch(HousevoiceError):
    """The knowledge was embedded by another embedder than the one that asks it."""


class StoreLocked(HousevoiceError):
    """Another process is writing to this knowledge folder."""


class StoreFull(HousevoiceError):
    """The disk has no room for what is being written; what was there before is kept."""


class Interrupted(HousevoiceError):
    """Ctrl-C in the middle of work that can be gone on with; the hint says how."""


class TuneDiverged(HousevoiceError):
    """The loss of a tune, or its adapter, is no number any more: going on would train nothing."""


class TuneRejected(HousevoiceError):
    """A tuned adapter did not pass its measurements; it is kept, marked, and not installed."""


class MissingExtra(HousevoiceError):
    """A library that this step needs is not installed."""
