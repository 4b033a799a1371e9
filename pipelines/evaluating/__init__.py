"""Measuring a built bot: in a build as it is served, and by ``housevoice eval`` arm by arm and against another."""

from pipelines.evaluating.against import Duel, against, duel_lines
from pipelines.evaluating.arms import ARMS, Arm
from pipelines.evaluating.measuring import evaluate
from pipelines.evaluating.step import EvaluateStep

__all__ = ["ARMS", "Arm", "Duel", "EvaluateStep", "against", "duel_lines", "evaluate"]
