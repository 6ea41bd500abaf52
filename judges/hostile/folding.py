"""Compatibility normalization (NFKC) in linear time, also of text that was made to be slow.

`unicodedata.normalize` sorts the combining characters after a letter, in a time that is quadratic
in their number, and does not let other threads run meanwhile: 100 kB of them take 20 seconds.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

MOST_MARKS: Final = 30
"""Combining characters after a letter that are kept: the limit of the Stream-Safe Text Format of
Unicode (UAX #15, section 13). No word of a language has as many."""
_LAST_SCANNED: Final = 0x20000
"""Code points beyond it do not combine, apart from tags and variation selectors, of class 0."""


def folded(text: str) -> str:
    """Return text in NFKC, without the combining characters of a letter after the first thirty."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _marks().sub(lambda run: run[0][:MOST_MARKS], text))


@cache
def _marks() -> re.Pattern[str]:
    """Return a pattern of runs of more than `MOST_MARKS` combining characters.

    A character also combines if its decomposition begins with one that does.
    """
    codes = [
        code
        for code in range(0x80, _LAST_SCANNED)
        if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
    ]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    characters = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"[{characters}]{{{MOST_MARKS + 1},}}")
