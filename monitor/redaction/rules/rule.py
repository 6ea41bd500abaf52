"""What a rule is: a pattern that finds candidates, and a check that accepts or rejects them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Span = tuple[int, int]
Check = Callable[[re.Match[str]], Span | list[Span] | None]
"""Returns the span to redact near a match, or several, or None if the match is harmless."""


def whole(match: re.Match[str]) -> Span | None:
    """Accept a match: its group `secret`, or all of it."""
    return match.span("secret") if "secret" in match.re.groupindex else match.span()


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds one kind of data.

    kind: name of the kind; the replacement is this name in square brackets.
    pattern: regular expression in the syntax that `re` and Hyperscan share. \\w, \\d and \\s match
        ASCII only. Every attempt to match ends after a bounded number of characters, or consumes
        them, so that the time of a search is linear.
    check: decides on each match.
    anchor: text that each match contains within its first `reach` characters. A search then starts
        near the next anchor, and the prefilter searches only this text.
    hints: without an anchor, what the prefilter searches in place of a pattern that is too complex
        for it. A match of one of them ends within the first `reach` characters of each match.
        Several short hints take a third of the time of one with all of them as alternatives.
    reach: without an anchor, number of characters from the start of a match within which the
        pattern ends, or could end if it matched as little as possible. A search then starts near
        the next end that the prefilter reports. 0 if there is no bound.
    retry: search again from the second character of a rejected match. Only for patterns whose
        matches have a bounded length.
    """

    kind: str
    pattern: str
    check: Check = whole
    retry: bool = False
    anchor: str = ""
    hints: tuple[str, ...] = ()
    reach: int = 0


def words(*alternatives: str) -> str:
    """Return a pattern for one of several words, in any case of letters.

    It begins with the class of their first letters, which `re` searches ten times as fast as an
    alternative.
    """
    rests: dict[tuple[str, ...], list[str]] = {}
    for word in alternatives:
        rests.setdefault(_cases(word[0]), []).append(word[1:])
    branches = "|".join(
        f"(?<=[{''.join(first)}])(?:{'|'.join(rest)})" for first, rest in rests.items()
    )
    return f"[{''.join(letter for first in rests for letter in first)}](?i:{branches})"


def _cases(letter: str) -> tuple[str, ...]:
    lower, upper = letter.lower(), letter.upper()
    return (lower,) if lower == upper else (lower, upper)


QUOTE = r"\\{0,2}[\"'`]"
"""A quotation mark, also an escaped one."""


def before(match: re.Match[str], chars: int) -> str:
    """Return up to `chars` characters in front of a match."""
    return match.string[max(0, match.start() - chars) : match.start()]
