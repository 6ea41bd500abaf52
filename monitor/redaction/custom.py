"""Rules of the user: a name and a regular expression.

RE2 finds their matches, because its time is linear in the text for every pattern; that of the
standard library is not. Its syntax has no back-references and no look-around. (Hyperscan is linear
too, but the build of its package crashes when it reports where a match begins.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from monitor.redaction.rules.registry import KINDS

MAX_PATTERN_CHARS = 1000
_MAX_MEMORY = 8 << 20
"""Bytes for the automaton of a pattern; RE2 refuses a pattern that needs more."""
_legal_name = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch


@dataclass(frozen=True, slots=True)
class CustomRule:
    """Finds one kind of data of the user.

    name: lower-case letters, digits and underscores; the replacement is [name].
    pattern: regular expression in the syntax of RE2, in any case of letters.

    Raises ValueError if the name or the pattern is not valid, or RE2 is not installed.
    """

    name: str
    pattern: str

    def __post_init__(self) -> None:
        if not _legal_name(self.name):
            raise ValueError(
                f"the name {self.name!r} must begin with a lower-case letter and have at most 40"
                " lower-case letters, digits and underscores"
            )
        if self.name in KINDS:
            raise ValueError(f"the name {self.name!r} is that of a shipped rule")
        if not 0 < len(self.pattern) <= MAX_PATTERN_CHARS:
            raise ValueError(f"the pattern must have 1 to {MAX_PATTERN_CHARS} characters")
        if _compiled(self.pattern).search(b""):
            raise ValueError("the pattern must not match an empty text")


class CustomRules:
    """Finds the matches of custom rules."""

    def __init__(self, rules: Sequence[CustomRule]) -> None:
        self._rules = [(rule.name, _compiled(rule.pattern)) for rule in rules]

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return start and end in characters, and the name, of each match."""
        data = text.encode("utf-8", "replace")
        spans = [
            (*match.span(), name)
            for name, pattern in self._rules
            for match in pattern.finditer(data)
            if match.end() > match.start()
        ]
        return spans if len(data) == len(text) else _in_characters(data, spans)


def _in_characters(data: bytes, spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Translate positions in UTF-8 to positions in the text."""
    positions = {0: 0}
    last = 0
    for position in sorted({at for start, end, _ in spans for at in (start, end)}):
        positions[position] = positions[last] + len(data[last:position].decode())
        last = position
    return [(positions[start], positions[end], name) for start, end, name in spans]


@cache
def _compiled(pattern: str) -> Any:
    """Compile a pattern for bytes in UTF-8. Raises ValueError."""
    try:
        import re2
    except ImportError:
        raise ValueError(
            "custom rules of redaction require the package google-re2: install the extra samples"
        ) from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern.encode(), options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not a regular expression in the syntax of RE2: {text}") from None
