"""What was measured of a bot, put into lines and onto a page."""

from pipelines.report.evaluation import Evaluation
from pipelines.report.render import render
from pipelines.report.summary import summary_lines

__all__ = ["Evaluation", "render", "summary_lines"]
