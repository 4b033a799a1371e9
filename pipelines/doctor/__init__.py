"""Checking a bot's settings, its inputs and the machine without building anything."""

from pipelines.doctor.check import Check
from pipelines.doctor.examining import examine
from pipelines.doctor.replies import tune_notes

__all__ = ["Check", "examine", "tune_notes"]
