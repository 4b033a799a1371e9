"""Counts and seconds since the server began, for whoever asks this server; they are sent nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

# In the text format of Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OUTCOMES = ("answered", "declined", "cancelled", "busy", "refused", "failed")
_STEPS = ("waiting", "retrieve", "first_token", "total")
_TOKENS = ("prompt", "completion")


class Metrics:
    """What happened so far; used in the event loop only.

    Attributes:
        requests: Requests by how they ended.
        seconds: Seconds by step, summed over all answers; of an answer all but ``waiting`` begin with its turn.
        tokens: Tokens read and written.
        embedded: Texts that were embedded.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter(dict.fromkeys(_OUTCOMES, 0))
        self.seconds: dict[str, float] = dict.fromkeys(_STEPS, 0.0)
        self.tokens: Counter[str] = Counter(dict.fromkeys(_TOKENS, 0))
        self.embedded = 0

    def spent(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds of an answer by step."""
        for step in _STEPS:
            self.seconds[step] += seconds.get(step, 0.0)

    def text(self, *, waiting: int, running: int) -> str:
        """Lay the metrics out.

        Args:
            waiting: Jobs that wait.
            running: Jobs that are being done.
        """
        families = (
            ("requests_total", "counter", "Requests by how they ended.", _labelled("outcome", self.requests)),
            ("answer_seconds_total", "counter", "Seconds of all answers.", _labelled("step", self.seconds)),
            ("tokens_total", "counter", "Tokens of what was said.", _labelled("kind", self.tokens)),
            ("embedded_texts_total", "counter", "Texts embedded.", {"": self.embedded}),
            ("jobs_waiting", "gauge", "Jobs that wait.", {"": waiting}),
            ("jobs_running", "gauge", "Jobs that are being done.", {"": running}),
        )
        lines: list[str] = []
        for name, kind, told, samples in families:
            lines += [f"# HELP housevoice_{name} {told}", f"# TYPE housevoice_{name} {kind}"]
            lines += [f"housevoice_{name}{labels} {value:.10g}" for labels, value in samples.items()]
        return "\n".join(lines) + "\n"


def _labelled(label: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f'{{{label}="{name}"}}': value for name, value in values.items()}
