"""Follow-ups: a question that leans on the ones before, written so that it stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.answering.trace import Tracer
from toolkit.language import Language, stems
from toolkit.prompts import Turn, rewrite_messages

if TYPE_CHECKING:
    from toolkit.engines.speaker import Speaker

# Longer than any question that stands alone; what runs on beyond it is not one.
_LONGEST_TOKENS = 48


def standing_alone(
    question: str,
    history: Sequence[Turn],
    speaker: Speaker,
    language: Language,
    tracer: Tracer,
    *,
    examples: bool,
) -> str:
    """Return a question that can be understood without the conversation, thinking without the voice.

    What the model writes is taken if each of its content words was said by one of the two: a base may make something
    up. Otherwise the question before is put in front, so that the search at least knows what it is about.

    Args:
        question: The question.
        history: Earlier exchanges, oldest first.
        speaker: The model.
        language: The language of the conversation.
        tracer: Notes what was rewritten.
        examples: Whether to show the model how, for a base that was not trained on it.
    """
    if not history:
        return question
    messages = rewrite_messages(question, history, examples=examples)
    written = speaker.invoke(
        messages,
        adapter=False,
        max_new_tokens=_LONGEST_TOKENS,
        stop=["\n"],
        temperature=0.0,
    )
    tokens = speaker.tokens(messages, written)
    written = written.strip().strip('"')
    said = " ".join([question, *(f"{turn.question} {turn.reply}" for turn in history)])
    words = set(stems(written, language))
    taken = bool(words) and words <= set(stems(said, language))
    alone = written if taken else f"{history[-1].question} {question}"
    asked = {"question": question, "history": [[turn.question, turn.reply] for turn in history]}
    tracer.done("rewrite", asked, {"written": written, "question": alone}, adapter=False, tokens=tokens)
    return alone
