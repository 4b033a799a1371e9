"""Questions of several parts: "which is the cheapest, and how long does it last?" asks twice.

Where a question joins two is fitted on how questions begin, end and go on in the bot's language and among its people: a
place is one where what is before it and what is after it stand as questions of their own. "What do the lamp and the
stand cost together?" has no such place. An embedder tells topics apart and not this: with the vectors of the halves in
place of their words 1% of the compound questions were found, at the same share of torn ones.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.language import Language
from toolkit.language.sentences import split_sentences

# Of what is no compound question, this share may be taken for one out of fold. Most of it are statements that a
# question was joined to by lot, which people hardly say. At .01, .03 and .05 13, 36 and 49 in 100 of the sample's
# are found, of which a third are orders and stories; of 13 compound questions as people ask them 12 at .05.
_TORN_APART = 0.05
_C = 1.0  # strength of the regularisation
_FOLDS = 5
_FIRST_WORDS = 3  # a question shows in these
_EXAMPLES = 600  # of each kind
_FEWEST_TEXTS = 20  # questions, and statements
_LONGEST_WORDS = 14  # of the questions that are joined for fitting: what is longer tells a story first
_MOST_PARTS = 3  # each part is a whole answer's time
_END = " ?.!,;"


@dataclass
class Splitter:
    """Tells where a question is made of several.

    Attributes:
        weights: For what stands before a place, and for what stands after it: a weight for each trait of a text.
        bias: The intercept of both.
        threshold: Log-odds of standing as a question that the worse half has to reach.
        report: How many questions it was fitted on, and which share of compound ones it finds out of fold.
    """

    weights: list[dict[str, float]]
    bias: list[float]
    threshold: float
    report: dict[str, float]

    def parts(self, question: str, language: Language) -> list[str]:
        """Return the parts of a question in their order: it alone, where it asks once."""
        chosen = [
            place
            for place in _places(question, language)
            if self._stands(_halves(question, place, language)) >= self.threshold
        ][: _MOST_PARTS - 1]
        if not chosen:
            return [question]
        starts = [0, *(end for _, end in chosen)]
        ends = [*(start for start, _ in chosen), len(question)]
        parts = [question[start:end].strip(_END) for start, end in zip(starts, ends, strict=True)]
        return [f"{part[:1].upper()}{part[1:]}?" for part in parts]

    def _stands(self, pair: tuple[str, str]) -> float:
        """Return the log-odds of the worse of two halves standing as a question."""
        sides = zip(pair, self.weights, self.bias, strict=True)
        return min(bias + sum(weights.get(trait, 0.0) for trait in _traits(text)) for text, weights, bias in sides)


def _traits(text: str) -> list[str]:
    """Return what a text is judged by: its first words, its last, and how many they are."""
    words = text.lower().split()
    first = [f"{place} {word}" for place, word in enumerate(words[:_FIRST_WORDS])]
    return [*first, f"begins {' '.join(words[:2])}", f"ends {' '.join(words[-1:])}", f"words {min(len(words), 8)}"]


def _places(question: str, language: Language) -> list[tuple[int, int]]:
    """Return where a question may be taken apart: where the language joins two things, and after a question mark."""
    joint = re.escape(language.joined.strip())
    joins = re.finditer(rf"\s+{joint}\s+|\?\s+(?:{joint}\s+)?(?=\S)", question, re.IGNORECASE)
    return [match.span() for match in joins if question[: match.start()].strip(_END)]


def _halves(question: str, place: tuple[int, int], language: Language) -> tuple[str, str]:
    """Return what stands before and after a place, each in its own sentence."""
    before, after = question[: place[0]], question[place[1] :]
    left, right = split_sentences(before), split_sentences(after)
    return before[slice(*left[-1])].strip(_END) if left else "", after[slice(*right[0])].strip(_END) if right else ""


def fit_splitter(
    language: Language,
    questions: Sequence[str],
    sentences: Sequence[str],
    subjects: Sequence[str] = (),
    listed: Sequence[str] = (),
) -> Splitter | None:
    """Fit a splitter.

    Args:
        language: The bot's language; one without a word that joins two things gives none.
        questions: Questions of the bot's own people.
        sentences: Sentences of the documents: statements are no questions.
        subjects: What the documents are about.
        listed: Questions about two things at once.

    Returns:
        The splitter, or None where there is too little to fit one on.
    """
    if not language.joined.strip(_END):
        return None
    about = [text.format(subject=subject) for text in language.asked_about for subject in subjects]
    known = dict.fromkeys([*language.questions, *language.asked, *about, *questions])
    asked = [bare for bare in (text.strip(_END) for text in known) if _asks_once(bare, language)]
    told = [bare for bare in (text.strip(_END) for text in sentences) if _states(bare)]
    if min(len(asked), len(told)) < _FEWEST_TEXTS:
        return None
    chance = random.Random(0)
    chance.shuffle(asked)
    whole = _joined_pairs(asked, chance)
    single = _single_pairs(asked, told, listed, language, chance)
    torn = _torn_pairs(asked, chance)
    threshold, found = _threshold(whole, single, torn)
    weights, bias = _fitted(whole, [*single, *torn])
    report = {"questions": float(len(asked)), "found": found, "torn apart": _TORN_APART}
    return Splitter(weights, bias, threshold, report)


def _asks_once(question: str, language: Language) -> bool:
    short = 3 <= len(question.split()) <= _LONGEST_WORDS
    return short and language.joined not in question and len(split_sentences(question)) == 1


def _states(sentence: str) -> bool:
    return "?" not in sentence and 4 <= len(sentence.split()) <= 2 * _LONGEST_WORDS


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _joined_pairs(asked: Sequence[str], chance: random.Random) -> list[tuple[str, str]]:
    """Return pairs of questions that may stand beside each other in one; both of a pair are of one fold."""
    pairs = []
    for index in range(_EXAMPLES):
        first, second = chance.sample(asked[index % _FOLDS :: _FOLDS], 2)
        pairs.append((first, _lowered(second)))
    return pairs


def _torn_pairs(asked: Sequence[str], chance: random.Random) -> list[tuple[str, str]]:
    """Return questions that were cut at any word, alone and with a whole one beside a piece."""
    pairs = []
    for index in range(_EXAMPLES):
        one, other, whole = chance.sample(asked[index % _FOLDS :: _FOLDS], 3)
        (before, rest), (begun, after) = _cut(one, chance), _cut(other, chance)
        pairs += [(before, rest), (whole, after), (begun, _lowered(whole))]
    return pairs


def _cut(text: str, chance: random.Random) -> tuple[str, str]:
    words = text.split()
    at = chance.randint(1, len(words) - 1)
    return " ".join(words[:at]), " ".join(words[at:])


def _single_pairs(
    asked: Sequence[str],
    told: Sequence[str],
    listed: Sequence[str],
    language: Language,
    chance: random.Random,
) -> list[tuple[str, str]]:
    """Return the halves of messages that ask once, though two things are joined in them.

    They are questions about two things, sentences that join two, and a statement beside a question.
    """
    halves = [text.partition(language.joined) for text in [*listed, *told] if language.joined in text]
    pairs = [(before.strip(_END), after.strip(_END)) for before, _, after in halves]
    pairs = [pair for pair in chance.sample(pairs, min(_EXAMPLES, len(pairs))) if all(pair)]
    for index in range(_EXAMPLES):
        question = chance.choice(asked[index % _FOLDS :: _FOLDS])
        said = _lowered(chance.choice(told))
        pairs += [(said, _lowered(question)), (question, said)]
    return pairs


def _fitted(
    whole: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]
) -> tuple[list[dict[str, float]], list[float]]:
    """Fit one regression for each side: does a text stand as a question?

    A half of a pair that is no compound question may stand; what all others say outweighs it.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    weights, bias = [], []
    for side in (0, 1):
        counted = CountVectorizer(analyzer=_traits, min_df=2)
        x = counted.fit_transform([pair[side] for pair in [*whole, *others]])
        y = np.repeat([1, 0], [len(whole), len(others)])
        model = LogisticRegression(C=_C, max_iter=1000, class_weight="balanced").fit(x, y)
        weights.append(dict(zip(counted.get_feature_names_out().tolist(), model.coef_[0].tolist(), strict=True)))
        bias.append(float(model.intercept_[0]))
    return weights, bias


def _threshold(
    whole: Sequence[tuple[str, str]], single: Sequence[tuple[str, str]], torn: Sequence[tuple[str, str]]
) -> tuple[float, float]:
    """Return the threshold, on folds that were not fitted on, and the share of compound questions that it finds.

    Torn questions have no say in it: nobody asks so, they only show what a question is.
    """
    scores: list[list[float]] = [[], []]
    for fold in range(_FOLDS):
        fitted = _fitted(_without(whole, fold), [*_without(single, fold), *torn])
        judge = Splitter(*fitted, threshold=0.0, report={})
        for index, part in enumerate((whole, single)):
            scores[index] += [judge._stands(pair) for pair in part[fold::_FOLDS]]
    limit = float(np.quantile(scores[1], 1 - _TORN_APART, method="higher"))
    return limit, float((np.asarray(scores[0]) > limit).mean())


def _without(pairs: Sequence[tuple[str, str]], fold: int) -> list[tuple[str, str]]:
    return [pair for index, pair in enumerate(pairs) if index % _FOLDS != fold]
