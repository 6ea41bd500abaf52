"""Find the values that follow a damaged JSON value.

A bracket or a quote that is missing makes all following text a part of the damaged value. Reading
resumes at the next object that looks like a value of its own and is valid JSON: one that begins a
line with the indentation of the damaged value, or, where values do not begin lines, one that has
the first key of the values so far. The bytes are examined a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Final

import msgspec

MAX_PASSES: Final = 2
"""Passes over the text for attempts to read a value that fail."""

_NESTING: Final = re.compile(
    rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
    rb'(?:"(?:(?=\s*+(?:[:,}\]]|\Z))|())|())'
    rb"|:\s*+[{\[]|[{}\[\]]"
)
"""A string, or a bracket with the colon before it.

The first group is in a string that nothing can follow as it does, the second in one without an end.
"""
_OPENING: Final = {ord("}"): ord("{"), ord("]"): ord("[")}
_FIRST_KEY: Final = re.compile(rb'\{\s*+"([^"\\\n]*+)"\s*+:')
_ON_A_LINE: Final = re.compile(rb'\n([ \t]*+)\{[ \t]*+(?:"|\r?\n([ \t]*+)")')
"""An object that begins a line: its indentation, and that of its first key on the next line."""
_BLANK: Final = b" \t\r\n"


@dataclass(slots=True)
class Recovered:
    """The values in a text after the damaged one.

    values: start and end of each. rest: start of a value that may end after the text, with the
    blanks in front of it; the length of the text if there is none.
    """

    values: list[tuple[int, int]] = field(default_factory=list)
    rest: int = 0


def is_json(text: bytes | memoryview) -> bool:
    """Return whether a text is one JSON value."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def first_key(text: bytes) -> bytes | None:
    """Return the first key of an object as it is written; None of other values."""
    match = _FIRST_KEY.match(text)
    return match[1] if match else None


def values_after(
    text: bytes, indent: bytes | None, keys: Set[bytes], *, may_continue: int = 0
) -> Recovered:
    """Return the values in a text that begins with a damaged one.

    indent: blanks in front of the text, None if it does not begin a line. keys: first keys of the
    values so far. may_continue: size up to which a value at the end of the text may be incomplete.
    """
    found = Recovered(rest=len(text))
    view = memoryview(text)
    position, budget = 1, MAX_PASSES * len(text)
    for start in _starts(text, indent, keys):
        if start < position:
            continue
        end, examined = _end(text, start)
        if end is not None and is_json(view[start:end]):
            found.values.append((start, end))
            position = end
            continue
        if examined == len(text) and len(text) - start <= may_continue:
            found.rest = _before_blanks(text, start)
            break
        budget -= examined - start
        if budget < 0:
            break
    return found


def is_well_nested(text: bytes) -> bool:
    """Return whether a text is one object or array in which each bracket closes its own kind."""
    return _end(text, 0)[0] == len(text)


def _starts(text: bytes, indent: bytes | None, keys: Set[bytes]) -> Iterator[int]:
    """Yield the positions at which a value may begin, in order."""
    on_lines = False
    if indent is not None:
        for match in _ON_A_LINE.finditer(text):
            if match[1] == indent and (match[2] is None or len(match[2]) > len(indent)):
                on_lines = True
                yield match.end(1)
    if on_lines:
        return
    own = first_key(text)
    wanted = keys or ({own} if own is not None else None)
    for match in _FIRST_KEY.finditer(text, 1):
        if wanted is None or match[1] in wanted:
            yield match.start()


def _end(text: bytes, start: int) -> tuple[int | None, int]:
    """Return the end of the object or array at a position, and the end of the examined bytes.

    The end is None if a bracket or a quote is out of place, or if the text ends before.
    """
    opened = bytearray()
    for match in _NESTING.finditer(text, start):
        token = match[0]
        last = token[-1]
        if match.lastindex == 1:
            return None, match.end()
        if match.lastindex == 2:
            on_line = text.find(b"\n", match.end())
            return None, len(text) if on_line < 0 else on_line
        if token[0] in b":{[":
            if opened and (opened[-1] == ord("{")) != (token[0] == ord(":")):
                return None, match.end()
            opened.append(last)
        elif last in _OPENING:
            if not opened or opened.pop() != _OPENING[last]:
                return None, match.end()
            if not opened:
                return match.end(), match.end()
    return None, len(text)


def _before_blanks(text: bytes, position: int) -> int:
    """Return the start of the blanks that end at a position."""
    while position > 0 and text[position - 1] in _BLANK:
        position -= 1
    return position
