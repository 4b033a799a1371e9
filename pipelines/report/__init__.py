"""What was measured of a bot, put into lines and onto a page."""

from pipelines.report.evaluation import Evaluation
from pipelines.report.render import render
from pipelines.report.summary import short_form, summary_lines

__all__ = ["Evaluation", "render", "short_form", "summary_lines"]
