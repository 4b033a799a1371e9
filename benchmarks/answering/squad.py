"""SQuAD 2.0's answers and refusals of the base as it serves, of the reader, and of both."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.answering.figures import Report
from toolkit.errors import HousevoiceError
from toolkit.prompts import Message, short_messages

if TYPE_CHECKING:
    import numpy as np

    from pipelines.grounding.measures import Asked
    from toolkit.reader import Reader

F1_FORCED, F1_KEPT, DECLINED, FALSE_REFUSALS = 0.70, 0.63, 0.50, 0.15
_ROWS = 8
_TOKENS = 24


class Base:
    """A base model as it serves short answers, with a voice's adapter on or off.

    Args:
        name: As in ``bot.yaml``.
        adapter: A PEFT folder to put on top.
        device: Where it runs.
    """

    def __init__(self, name: str, adapter: Path | None = None, device: str = "auto") -> None:
        from pipelines.grounding.base import Writer
        from toolkit.models import load_base

        loaded = load_base(name, device=device)
        model: Any = loaded.model
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter)).eval()
        self._writer = Writer(model, loaded.tokenizer, rows=_ROWS)

    def write(self, conversations: list[list[Message]]) -> list[str]:
        """Write short answers, the refusal forbidden."""
        return self._writer.write(conversations, _TOKENS)

    def rewrite(self, conversations: list[list[Message]]) -> list[str]:
        """Write rewritten questions."""
        return self._writer.write(conversations, 48)

    def refusal(self, conversations: list[list[Message]]) -> list[float]:
        """Return how likely a refusal is for each, higher for likelier."""
        return self._writer.refusal(conversations)


def choose(pairs: Sequence[Any], articles: Sequence[str], limit: int, seed: int) -> list[Asked]:
    """Return the questions of some articles, each beside its passage and two others of the article.

    Raises:
        SystemExit: The articles are not there, or some were trained on and others were not.
    """
    from pipelines.grounding.measures import squad_questions

    chosen = [pair for pair in pairs if pair.doc in articles]
    if missing := set(articles) - {pair.doc for pair in chosen}:
        raise SystemExit(f"the file holds no article {', '.join(sorted(missing))}")
    parts = {pair.part for pair in chosen}
    if len(parts) > 1:
        raise SystemExit("some of these articles were kept for testing and others were not; measure them apart")
    return squad_questions(chosen, parts.pop(), seed=seed, limit=limit or None)


@dataclass(frozen=True)
class Mixture:
    """Two scores made one: each standardised, weighted, and added.

    Attributes:
        means: Of the two scores on the questions that it was fitted on.
        spreads: Their standard deviations.
        weights: What each counts.
    """

    means: tuple[float, float]
    spreads: tuple[float, float]
    weights: tuple[float, float]

    @classmethod
    def fit(cls, first: Sequence[float], second: Sequence[float], wanted: Sequence[bool]) -> Mixture:
        """Fit the weights by logistic regression; higher is likelier to be wanted."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        scores = np.column_stack([first, second])
        means, spreads = scores.mean(0), scores.std(0) + 1e-9
        weights = LogisticRegression(C=1.0).fit((scores - means) / spreads, np.array(wanted)).coef_[0]
        return cls(*(_pair(values) for values in (means, spreads, weights)))

    def __call__(self, first: Sequence[float], second: Sequence[float]) -> list[float]:
        """Return the sums."""
        import numpy as np

        scores = (np.column_stack([first, second]) - self.means) / self.spreads
        return [float(value) for value in scores @ np.array(self.weights)]


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def refusals_of(reader: Reader, asked: Sequence[Asked]) -> list[float]:
    """Return how sure the reader is that none of the notes tells: the best note decides."""
    return [-max(reading.answerable for reading in reader.read(item.question, item.notes)) for item in asked]


def add_figures(report: Report, asked: Sequence[Asked], replies: Sequence[str], scores: dict[str, list[float]]) -> None:
    """Add forced F1, and for each score what it declines at 15% false refusals."""
    from pipelines.grounding.measures import score_squad

    if {item.answer is None for item in asked[: len(replies)]} != {True, False}:
        report.note("too few questions were answered to measure on")
        return
    asked = asked[: len(replies)]
    for number, (name, values) in enumerate(scores.items()):
        if len(values) < len(asked):
            continue
        found = score_squad(asked, _given(replies), _given(values[: len(asked)]), FALSE_REFUSALS)
        yes, no = int(found["answerable"]), int(found["unanswerable"])
        if number == 0:
            report.add("F1, an answer forced", found["forced_f1"], F1_FORCED, form="score", of=yes)
        report.add(f"{name}: F1 at 15% false refusals", found["f1_at_15"], F1_KEPT, form="score", of=yes)
        report.add(f"{name}: unanswerable declined at 15%", found["declined_at_15"], DECLINED, of=no)
        report.add(f"{name}: AUC", found["auc"], form="score", of=yes + no)


def run(report: Report, options: argparse.Namespace) -> None:
    """Measure the base and the reader on the articles; on the dev article the two are weighed."""
    from pipelines.grounding.data import read_squad
    from pipelines.grounding.measures import score_squad

    pairs = read_squad(options.squad)
    asked = choose(pairs, options.articles, options.limit, options.seed)
    dev = choose(pairs, [options.dev_article], options.limit, options.seed)
    report.note(
        f"{len(asked)} questions of {', '.join(options.articles)} (--limit {options.limit or 'none'}, --seed "
        f"{options.seed}), base {options.base}; weights of 'both' fitted on {len(dev)} of {options.dev_article}"
    )
    base = Base(options.base, device=options.device)
    messages = [short_messages(item.question, item.notes) for item in asked]
    replies = report.work("Writing short answers", base.write, messages)
    scores = {"base": report.work("Scoring refusals", base.refusal, messages)}
    reader = _reader(report)
    if reader is not None:
        scores["reader"] = report.work("Reading", lambda part: refusals_of(reader, part), asked)
        dev_messages = [short_messages(item.question, item.notes) for item in dev]
        fitted = report.work("Scoring refusals of the dev article", base.refusal, dev_messages)
        read = report.work("Reading the dev article", lambda part: refusals_of(reader, part), dev)
        if not report.stopped:
            mixture = Mixture.fit(fitted, read, [item.answer is None for item in dev])
            scores["both"] = mixture(scores["base"], scores["reader"])
            report.note(f"weights of base and reader: {mixture.weights[0]:.2f} and {mixture.weights[1]:.2f}")
    add_figures(report, asked, replies, scores)
    report.details += [
        {"question": item.question, "answer": item.answer, "reply": reply}
        | {name: values[number] for name, values in scores.items() if number < len(values)}
        for number, (item, reply) in enumerate(zip(asked, replies, strict=False))
    ]
    if options.adapter and not report.stopped:
        del base
        voiced = Base(options.base, options.adapter, options.device)
        spoken = report.work("Writing short answers with the adapter", voiced.write, messages)
        refused = report.work("Scoring refusals with the adapter", voiced.refusal, messages)
        if not report.stopped:
            plain = score_squad(asked, _given(replies), _given(scores["base"]), FALSE_REFUSALS)
            tuned = score_squad(asked, _given(spoken), _given(refused), FALSE_REFUSALS)
            for name, key in (("F1 forced", "forced_f1"), ("F1 at 15%", "f1_at_15"), ("AUC", "auc")):
                name = f"with the voice's adapter: {name}"
                report.add(f"{name}, peer: without", tuned[key], form="score", peer=plain[key])
                report.add(f"{name}, difference", tuned[key] - plain[key], form="difference")


def _given(values: Sequence[Any]) -> Callable[..., list[Any]]:
    """Return a function that gives what was computed before, whatever it is asked."""
    return lambda *_: list(values)


def _reader(report: Report) -> Reader | None:
    """Load the bundled reader, or say why it is not measured."""
    from toolkit.reader import load_reader

    try:
        return load_reader("bundled")
    except (HousevoiceError, OSError) as error:
        report.note(f"no reader: {error}")
        return None
