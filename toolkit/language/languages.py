"""The languages that a bot can be in: their small words, and what people say in them besides asking for facts.

A language is a record; English and German have one, and any other text goes by :data:`NEUTRAL`, which knows no word:
nothing is stemmed or left out, and every message counts as a question.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType

# From this share of small words on a text is taken to be in a language. Of 70,737 words of English manuals 37 in 100
# are on the English list and 3 on the German one; of the German messages in `de.py` 4 and 54. 15 stands apart from all.
_SHARE_OF_SMALL_WORDS = 0.15
_WORDS_LOOKED_AT = 5000


@dataclass(frozen=True, eq=False)
class Language:
    """What the answering needs to know of a language.

    Attributes:
        name: Its ISO 639-1 code; empty for the neutral one.
        stemmer: Its Snowball stemmer; empty for none.
        nouns_in_capitals: Whether common nouns are written with a capital.
        talk: Messages that want no facts.
        talk_about: The same about a thing that the documents tell of, with ``{subject}``.
        takeover: Attempts to give a bot other orders.
        questions: Questions and orders of any world.
        asked: Questions as they are asked of whoever runs a place.
        asked_about: The same about a thing that the documents tell of, with ``{subject}``.
        nearest: What a decline adds, with ``{heading}``.
        about: What a decline adds where nothing is near, with ``{subjects}``.
        joined: What stands between the last two of several.
        decline: The reply where the documents do not tell.
        leaning: What a sentence begins with that is not understood without the one before.
    """

    name: str = ""
    stemmer: str = ""
    nouns_in_capitals: bool = False
    talk: tuple[str, ...] = ()
    talk_about: tuple[str, ...] = ()
    takeover: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    asked_about: tuple[str, ...] = ()
    nearest: str = "→ {heading}"
    about: str = "→ {subjects}"
    joined: str = ", "
    decline: str = "?"
    leaning: tuple[str, ...] = ()
    number_words: Mapping[str, str] = field(default_factory=dict, repr=False)
    asking_words: frozenset[str] = frozenset()

    @functools.cached_property
    def stop_words(self) -> frozenset[str]:
        """Words that tell nothing of what a text is about."""
        from bm25s.stopwords import STOPWORDS_EN_PLUS, STOPWORDS_GERMAN

        lists = {"en": STOPWORDS_EN_PLUS, "de": STOPWORDS_GERMAN}
        return frozenset(lists.get(self.name, ())) | self.asking_words

    @functools.cached_property
    def leans_back(self) -> re.Pattern[str]:
        """Matches the beginning of a sentence that is not understood without the one before."""
        return re.compile(rf"(?:{'|'.join(self.leaning)})\b" if self.leaning else r"(?!)")

    def enumerated(self, items: Iterable[str]) -> str:
        """Return several things as one phrase."""
        listed = list(items)
        return self.joined.join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else "".join(listed)


def _language(name: str, stemmer: str, module: ModuleType, *, nouns_in_capitals: bool = False) -> Language:
    spelt = {word: str(number) for number, word in enumerate(module.NUMBER_WORDS.split())}
    spelt |= {word: str(number) for word, number in module.TENS.items()}
    return Language(
        name=name,
        stemmer=stemmer,
        nouns_in_capitals=nouns_in_capitals,
        talk=tuple(text for texts in module.TALK.values() for text in texts),
        talk_about=module.TALK_ABOUT,
        takeover=module.TAKEOVER,
        questions=module.QUESTIONS,
        asked=module.ASKED,
        asked_about=module.ASKED_ABOUT,
        nearest=module.NEAREST,
        about=module.ABOUT,
        joined=module.AND,
        decline=module.DECLINE,
        leaning=module.LEANING,
        number_words=MappingProxyType(spelt),
        asking_words=frozenset(module.ASKING_WORDS.split()),
    )


def _known() -> dict[str, Language]:
    from toolkit.language import de, en

    return {
        "en": _language("en", "english", en),
        "de": _language("de", "german", de, nouns_in_capitals=True),
    }


NEUTRAL = Language()
LANGUAGES: Mapping[str, Language] = MappingProxyType(_known())
ENGLISH = LANGUAGES["en"]


def language_of(texts: Iterable[str], said: str = "auto") -> Language:
    """Return the language of a bot.

    Args:
        texts: What is in its documents, or its example replies.
        said: The code that ``bot.yaml`` says, or ``auto`` to find it out by its small words.
    """
    if said != "auto":
        return LANGUAGES.get(said, NEUTRAL)
    words: list[str] = []
    for text in texts:
        words += re.findall(r"[^\W\d_]+", text.lower())
        if len(words) >= _WORDS_LOOKED_AT:
            break
    if not words:
        return ENGLISH
    shares = {name: sum(word in item.stop_words for word in words) / len(words) for name, item in LANGUAGES.items()}
    best = max(shares, key=lambda name: shares[name])
    return LANGUAGES[best] if shares[best] >= _SHARE_OF_SMALL_WORDS else NEUTRAL
