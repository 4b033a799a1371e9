"""What was measured of a bot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from toolkit.scoring import AnswerScores, VoiceScores


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        bot: Name of the bot.
        answers: Measures of its answers, or None without questions.
        voice: Measures of its voice, or None without one.
        gate: How the gate was fitted: counts and out-of-fold error rates.
        seconds: Time taken, in seconds.
        details: One entry a question: what was answered and which measures it met.
        samples: Held-out prompts with the reply with and without the voice.
    """

    bot: str
    answers: AnswerScores | None
    voice: VoiceScores | None
    gate: dict[str, float] | None
    seconds: float
    details: list[dict[str, Any]]
    samples: list[dict[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain data."""
        return asdict(self)
