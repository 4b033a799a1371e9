"""The last step of a build: the bot, as it is served, is asked its questions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipelines.evaluating.arms import fullest
from pipelines.evaluating.asking import Asker
from pipelines.evaluating.judging import Judge
from pipelines.evaluating.measuring import measure, write
from pipelines.parts import Parts
from pipelines.report import Evaluation, summary_lines
from pipelines.report.builds import add_build
from pipelines.steps import Step, digest
from toolkit.bot import Chatbot, write_lock


class EvaluateStep(Step[Evaluation | None]):
    """Measures the bot; the result is None where it was measured as it is.

    Only the bot as it is served is asked, and nothing is timed: what each half brings is for ``housevoice eval``, which
    takes over the answers that were given here.
    """

    name = "evaluate"

    def made_from(self, parts: Parts) -> str:
        """Name the bot, as it was built, and what it is asked."""
        built = {name: value for name, value in vars(parts.lock.inputs).items() if name != self.name}
        files = sorted(parts.folder.chain.glob("*.json"))
        fitted = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        settings = parts.config.model_dump(mode="json")
        return digest(built, parts.lock.base, settings, parts.input_hashes(), fitted)

    def is_fresh(self, parts: Parts) -> bool:
        """Tell whether the report is one of this very bot."""
        there = (parts.folder.report / "report.json").is_file()
        return there and parts.lock.inputs.evaluate == self.made_from(parts)

    def kept(self, parts: Parts) -> None:
        """Return nothing: the report is in the bot folder."""

    def run(self, parts: Parts) -> Evaluation:
        """Measure the bot with the base, the knowledge and the examples that are open.

        Raises:
            AdapterMismatch: The base is not the one that the bot was built on.
            ModelError: The base cannot be loaded, or renders other prompts.
        """
        made_from = self.made_from(parts)
        parts.check_lock()
        bot = Chatbot.assemble(parts.folder, parts.config, parts.speaking_model(), parts.knowledge(), parts.reader())
        asked = parts.questions(parts.config.evaluation.split)
        asker = Asker(bot, parts.lock, on_progress=parts.on_progress)
        result = measure(asker, Judge(bot, *parts.examples()), asked, [fullest(bot)])
        add_build(parts.folder, parts.lock, result)  # before the page is written, which shows it
        write(parts.folder, result)
        parts.lock.inputs.evaluate = made_from
        write_lock(parts.folder, parts.lock)
        return result

    def remarks(self, result: Evaluation | None, seconds: float) -> Iterator[str]:
        """Yield what was measured."""
        yield from summary_lines(result) if result else ()
