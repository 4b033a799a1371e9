"""Measures of a bot that need no judge model: facts, citations, declining, and the voice."""

from toolkit.scoring.answers import AnswerScores, holds_facts, score_answers
from toolkit.scoring.questions import Question, of_split, read_questions
from toolkit.scoring.voice import VoiceClassifier, VoiceScores, score_voice

__all__ = [
    "AnswerScores",
    "Question",
    "VoiceClassifier",
    "VoiceScores",
    "holds_facts",
    "of_split",
    "read_questions",
    "score_answers",
    "score_voice",
]
