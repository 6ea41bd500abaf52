"""Consistency of the responses to prompts that mean the same."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from monitor.records import Sample

MAX_CHARS = 20_000
_tokens = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+").findall
_unspaced = re.compile(r"[\u0e00-\u0eff\u3040-\u9fff]").findall
_YES = frozenset({"yes", "ja", "oui", "sí", "si", "sim", "да", "是"})
_NO = frozenset({"no", "nein", "non", "não", "nee", "нет", "不"})


@dataclass(frozen=True, slots=True)
class Content:
    """What a response says, without its wording.

    words: distinct words of four letters or more, and characters of scripts without spaces.
    numbers: distinct numbers. answer: "yes" or "no" if the response begins with it, else "".
    """

    words: frozenset[str]
    numbers: frozenset[str]
    answer: str


def content(response: str) -> Content:
    """Return the content of the first 20,000 characters of a response."""
    text = response[:MAX_CHARS].casefold()
    tokens = _tokens(text)
    numbers = frozenset(token.replace(",", "") for token in tokens if token[0].isdigit())
    words = frozenset(token for token in tokens if len(token) >= 4 and not token[0].isdigit())
    first = tokens[0] if tokens else ""
    answer = "yes" if first in _YES else "no" if first in _NO else ""
    return Content(words | frozenset(_unspaced(text)), numbers, answer)


def consistency(first: Content, second: Content) -> float | None:
    """Return the agreement of two responses, 0 to 1; None if neither has any content.

    0 if one says yes and the other no. Otherwise Dice's coefficient of their words and, where one
    has numbers, the mean of it and that of the numbers: a changed number is a changed answer.
    """
    if first.answer and second.answer and first.answer != second.answer:
        return 0.0
    words = _dice(first.words, second.words)
    numbers = _dice(first.numbers, second.numbers)
    given = [value for value in (words, numbers) if value is not None]
    return sum(given) / len(given) if given else None


def _dice(first: frozenset[str], second: frozenset[str]) -> float | None:
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else None


class ParaphraseConsistency:
    """Compares the response of a sample with the earlier one of the same pair.

    dropped: number of first responses that were dropped before their second one came.
    """

    def __init__(self, key: str, pending: int) -> None:
        if not key or pending < 1:
            raise ValueError("a check of paraphrases needs a key and at least one pending response")
        self._key = key
        self._limit = pending
        self._pending: OrderedDict[tuple[str, str], tuple[str, Content]] = OrderedDict()
        self.dropped = 0

    def __call__(self, sample: Sample) -> float | None:
        """Return the agreement with the earlier response, or None for the first one of a pair."""
        pair = (sample.metadata or {}).get(self._key)
        if pair is None or sample.response is None:
            return None
        group = (sample.model, str(pair))
        earlier = self._pending.get(group)
        if earlier is not None and earlier[0] == sample.request_id:  # the same sample again
            return None
        found = content(sample.response)
        if earlier is None:
            self._pending[group] = (sample.request_id, found)
            if len(self._pending) > self._limit:
                self._pending.popitem(last=False)
                self.dropped += 1
            return None
        del self._pending[group]
        return consistency(earlier[1], found)
