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
_AHEAD = 256
"""Characters beyond the possible end of a match that are searched: for what must follow it."""


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
        rules_of: dict[tuple[str, ...], list[int]] = {}  # several rules may share their hints
        for index, rule in enumerate(RULES):
            searched = rule.hints or (re.escape(rule.anchor) or rule.pattern,)
            rules_of.setdefault(searched, []).append(index)
        patterns = tuple(rules_of)
        located = frozenset(
            number
            for number, (index, *_) in enumerate(rules_of.values())
            if RULES[index].reach and not RULES[index].anchor
        )
        self._rules_by_pattern = list(rules_of.values())
        self._candidates = (
            by_hyperscan(patterns, located) if hyperscan else all_rules(len(patterns))
        )
        self._any = by_hyperscan(patterns, frozenset()) if hyperscan else self._candidates
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
        return not (self._custom or self._any(normalized("\n".join(texts)).text))

    def _spans(self, plain: Normalized) -> list[tuple[int, int, str]]:
        """Return what to replace: start, end and kind, in order and without overlap."""
        found: list[tuple[int, int, int, str]] = []
        for number, ends in self._candidates(plain.text):
            for index in self._rules_by_pattern[number]:
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
    position = 0
    for first, last in _parts(rule, ends) if ends else [(0, len(text))]:
        position = max(position, first)
        while match := _next(rule, pattern, text, position, last):
            found = rule.check(match)
            if found:
                spans = found if isinstance(found, list) else [found]
                yield from spans
                position = max(spans[-1][1], match.start() + 1)
            else:
                position = match.start() + 1 if rule.retry else match.end()


def _parts(rule: Rule, ends: Sequence[int]) -> list[tuple[int, int]]:
    """Return the parts of a text in which the matches that could end at these places begin."""
    parts: list[tuple[int, int]] = []
    for end in ends:
        first = max(0, end - rule.reach)
        if parts and first <= parts[-1][1]:
            parts[-1] = parts[-1][0], end
        else:
            parts.append((first, end))
    return parts


def _next(
    rule: Rule, pattern: re.Pattern[str], text: str, position: int, last: int
) -> re.Match[str] | None:
    """Return the first match that begins between two positions."""
    if rule.anchor:
        anchor = text.find(rule.anchor, position)
        return None if anchor < 0 else pattern.search(text, max(position, anchor - rule.reach))
    if last == len(text):
        return pattern.search(text, position)
    if rule.hints:  # a search would go on beyond the last place, slowly
        places = range(position, last)
        return next((match for at in places if (match := pattern.match(text, at))), None)
    while near := pattern.search(text, position, last + _AHEAD):
        if match := pattern.match(text, near.start()):  # the whole text decides how long it is
            return match
        position = near.start() + 1
    return None


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
