"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to `word`, or None if none is similar."""
    return next(iter(difflib.get_close_matches(word[:80], sorted(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests a known word, or ""."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close else ""
