"""Measures of a bot that need no judge model: facts, citations, grounds, declining and the voice, with intervals."""

from toolkit.scoring.answers import AnswerScores, Judged, holds_facts, judge, score_answers, share_of
from toolkit.scoring.declining import CurvePoint, declining_curve
from toolkit.scoring.intervals import Estimate, PairedDifference, estimate, mean_between, paired_difference
from toolkit.scoring.measures import MEASURES, Measure
from toolkit.scoring.questions import Question, of_split, read_questions
from toolkit.scoring.voice import VoiceClassifier, VoiceScores, score_voice
from toolkit.scoring.wording import Voice

__all__ = [
    "MEASURES", "AnswerScores", "CurvePoint", "Estimate", "Judged", "Measure", "PairedDifference", "Question", "Voice",
    "VoiceClassifier", "VoiceScores", "declining_curve", "estimate", "holds_facts", "judge", "mean_between", "of_split",
    "paired_difference", "read_questions", "score_answers", "score_voice", "share_of",
]  # fmt: skip
