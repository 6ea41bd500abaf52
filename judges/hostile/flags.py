"""Flags of suspicious texts and verdicts.

Flags are a second line of defence. The first is that judged text stands inside random delimiters
and that a verdict is one strict JSON object. A judge that obeys what it reads is not protected by
either; the flags find most attacks on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from judges.hostile.patterns import (
    MASTER_KEYS,
    OTHER_PEOPLE,
    PATTERNS,
    SECOND_LOOK,
    SENTENCE,
    TARGET,
    TOGETHER,
    Flag,
)
from judges.hostile.views import bounded, collapsed, decoded, hides_text, latin, plain, respelled


@lru_cache(maxsize=64)  # all rubrics and metrics of a sample look at the same texts
def text_flags(text: str) -> frozenset[Flag]:
    """Return the flags of a text of a record."""
    text = bounded(text)
    readable = bounded(plain(text))  # one character can stand for eighteen
    found = _matches(readable)
    if not readable.isascii():
        found |= _matches(latin(readable))
    if hides_text(text):
        found.add(Flag.HIDDEN_TEXT)
    for other in respelled(latin(readable)):
        if SECOND_LOOK.search(other):
            found |= _matches(other)
    if any(_matches(plain(other)) for other in decoded(text)):
        found.add(Flag.ENCODED)
    return frozenset(found)


def response_flags(response: str) -> frozenset[Flag]:
    """Return the flags of a response: those of its text, and whether it has no content."""
    found = text_flags(response)
    return found | {Flag.MASTER_KEY} if MASTER_KEYS.fullmatch(plain(response).strip()) else found


def record_flags(response: str | None, others: Iterable[str]) -> frozenset[Flag]:
    """Return the flags of a record: of its response, and of all other texts that a judge reads."""
    own = frozenset[Flag]() if response is None else response_flags(response)
    return own.union(*map(text_flags, others))


def verdict_flags(texts: Iterable[str], token: str) -> frozenset[Flag]:
    """Return the flags of the texts of a verdict. token: that of the delimiters of its call."""
    return frozenset(
        {Flag.QUOTES_DELIMITER} if any(token in text.lower() for text in texts) else set()
    )


def _matches(text: str) -> set[Flag]:
    text = collapsed(text)
    found = {
        flag
        for flag, patterns in PATTERNS.items()
        if any(pattern.search(text) for pattern in patterns)
    }
    return found | {Flag.ASKS_FOR_SCORE} if _asks_for_score(text) else found


def _asks_for_score(text: str) -> bool:
    """Whether one sentence has all cues of a request for a score."""
    possible = [cues for cues in TOGETHER if all(cue.search(text) for cue in cues)]
    if not possible:
        return False
    return any(
        all(cue.search(sentence) for cue in cues)
        for sentence in SENTENCE.findall(text)
        if TARGET.search(sentence) or not OTHER_PEOPLE.search(sentence)
        for cues in possible
    )
