"""Passwords in tables: of Markdown and of CSV, below a header with the name of a password."""

from __future__ import annotations

import re

from monitor.redaction.rules.credentials import names, value
from monitor.redaction.rules.rule import Rule, Span, words

_HEADER = (
    rf"{words(*names.NAMES, *names.SHORT_NAMES)}[\"*]{{0,2}} {{0,40}}"
    r"(?:[|,;\t][^\n]{0,120})?\n(?:[|: -]{3,200}\n)?"
)
_MAX_ROWS = 200
_MAX_CHARS = 300


def _cells(match: re.Match[str]) -> list[Span]:
    """Return the passwords in the column below a name."""
    text, start = match.string, match.start()
    line = text.rfind("\n", max(0, start - _MAX_CHARS), start) + 1
    header = text[line : text.find("\n", start)]
    mark = next((each for each in "|\t;," if each in header), "")
    column = text.count(mark, line, start)
    found: list[Span] = []
    position = match.end()
    for _ in range(_MAX_ROWS if mark else 0):
        end = text.find("\n", position, position + _MAX_CHARS)
        row = text[position : end if end >= 0 else position + _MAX_CHARS]
        cells = row.split(mark)
        if len(cells) <= max(column, 1):
            break
        cell = cells[column].strip(' "`*')
        secret = value.is_mixed(cell) or value.is_number(cell)
        if secret and not value.stands_for_one(cell) and " " not in cell:
            first = text.index(cell, position + sum(len(each) + 1 for each in cells[:column]))
            found.append((first, first + len(cell)))
        if end < 0:
            break
        position = end + 1
    return found


RULES = (Rule("password", _HEADER, _cells, hints=names.HINTS, reach=names.HINT_CHARS),)
