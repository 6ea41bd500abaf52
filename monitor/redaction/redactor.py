"""Replace personal data and secrets in texts."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from monitor.redaction.custom import CustomRule, CustomRules
from monitor.redaction.normalization import Normalized, normalized, prepare
from monitor.redaction.prefilter import all_rules, by_hyperscan, hyperscan_installed
from monitor.redaction.rules.registry import KINDS, RULES
from monitor.redaction.rules.rule import Rule, Span

_MAX_PASSES = 8


class Redacted(NamedTuple):
    """A text without the data that was found, and the number of replaced places by kind."""

    text: str
    counts: dict[str, int]


class Redactor:
    """Redacts texts by the shipped rules and by those of the user. It serves one thread.

    custom: rules of the user; they require RE2.
    hyperscan: whether to use it; by default, if it is installed. It changes the time of a call
        and nothing else.

    A replacement is the kind in square brackets, such as [email]. Redacting a redacted text
    changes nothing. Time is linear in the length of the text.
    """

    def __init__(self, custom: Sequence[CustomRule] = (), *, hyperscan: bool | None = None) -> None:
        if hyperscan is None:
            hyperscan = hyperscan_installed()
        prepare()
        self._rules = [(rule, re.compile(rule.pattern, re.ASCII)) for rule in RULES]
        patterns = tuple(re.escape(rule.anchor) or rule.pattern for rule in RULES)
        located = frozenset(i for i, rule in enumerate(RULES) if rule.reach and not rule.anchor)
        self._candidates = (
            by_hyperscan(patterns, located) if hyperscan else all_rules(len(patterns))
        )
        self._custom = CustomRules(custom) if custom else None
        kinds = dict.fromkeys([*KINDS, *(rule.name for rule in custom)])
        self._replacements = re.compile(rf"\[(?:{'|'.join(map(re.escape, kinds))})\]")

    def redact(self, text: str) -> Redacted:
        """Return the text with replacements, and their number by kind."""
        counts: Counter[str] = Counter()
        for _ in range(_MAX_PASSES):  # a replacement can be the border that another match needs
            plain = normalized(text)
            spans = self._spans(plain)
            if not spans:
                break
            counts.update(kind for _, _, kind in spans)
            text = _replaced(text, [(*plain.span(start, end), kind) for start, end, kind in spans])
        return Redacted(text, dict(counts))

    def clean(self, texts: Sequence[str]) -> bool:
        """Return whether it is certain, by one pass over all texts, that nothing is replaced.

        It may be False although nothing would be replaced, and always is with rules of the user.
        The texts are searched as lines of one text: the patterns of the rules accept the end of a
        line wherever they accept the end of the text.
        """
        return not (self._custom or self._candidates(normalized("\n".join(texts)).text))

    def _spans(self, plain: Normalized) -> list[tuple[int, int, str]]:
        """Return what to replace: start, end and kind, in order and without overlap."""
        found: list[tuple[int, int, int, str]] = []
        for index, ends in self._candidates(plain.text):
            rule, pattern = self._rules[index]
            spans = _matches(rule, pattern, plain.text, ends)
            found += [(*span, index, rule.kind) for span in spans]
        if self._custom:
            found += [
                (start, end, len(self._rules), kind)
                for start, end, kind in self._custom.spans(plain.text)
            ]
        if not found:
            return []
        done = [match.span() for match in self._replacements.finditer(plain.text)]
        starts = [start for start, _ in done]

        def new(start: int, end: int) -> bool:
            """Return whether a span is not within a replacement."""
            nearest = bisect_right(starts, start) - 1
            return nearest < 0 or end > done[nearest][1]

        return _merged([each for each in found if new(each[0], each[1])])


def _matches(
    rule: Rule, pattern: re.Pattern[str], text: str, ends: Sequence[int]
) -> Iterator[Span]:
    """Yield what a rule accepts, from left to right."""
    position = _start(rule, text, ends, 0)
    while position >= 0 and (match := pattern.search(text, position)):
        span = rule.check(match)
        if span:
            yield span
            position = max(span[1], match.start() + 1)
        else:
            position = match.start() + 1 if rule.retry else match.end()
        position = _start(rule, text, ends, position)


def _start(rule: Rule, text: str, ends: Sequence[int], position: int) -> int:
    """Return where the next match from a position on can begin at the earliest; -1 if nowhere."""
    if rule.anchor:
        anchor = text.find(rule.anchor, position)
        return anchor if anchor < 0 else max(position, anchor - rule.reach)
    if ends:
        index = bisect_right(ends, position)
        return -1 if index == len(ends) else max(position, ends[index] - rule.reach)
    return position


def _merged(found: list[tuple[int, int, int, str]]) -> list[tuple[int, int, str]]:
    """Join spans that overlap; the kind of the first rule names the whole."""
    merged: list[tuple[int, int, int, str]] = []
    for start, end, index, kind in sorted(found):
        if merged and start < merged[-1][1]:
            first, last, best, name = merged[-1]
            if index < best:
                best, name = index, kind
            merged[-1] = (first, max(last, end), best, name)
        else:
            merged.append((start, end, index, kind))
    return [(start, end, kind) for start, end, _, kind in merged]


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end, kind in spans:
        pieces += (text[position:start], f"[{kind}]")
        position = end
    return "".join((*pieces, text[position:]))


@cache
def _shipped() -> Redactor:
    return Redactor()


def redact(text: str) -> Redacted:
    """Redact a text by the shipped rules. For the main thread of a command; see `Redactor`."""
    return _shipped().redact(text)
