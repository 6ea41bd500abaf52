"""Normalise a text so that disguised data is found, and translate positions back.

The normal form is used to find data only. Text that is not redacted stays as it was logged: its
ligatures, full-width punctuation and joiners have a meaning for a judge. A redacted place covers
all original characters from the first to the last one that it was found in.
"""

from __future__ import annotations

import sys
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_LAST_SCANNED = 0x20000
_COMPATIBILITY_IDEOGRAPHS = range(0x2F800, 0x2FA20)
_SPECIAL_PURPOSE = range(0xE0000, 0xE01F0)  # tags and variation selectors
_INVISIBLE = {
    0x034F,
    0x115F,
    0x1160,
    0x3164,
    0xFFA0,
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
}
"""Code points without a glyph that are not of category Cf: fillers, variation selectors."""


@dataclass(frozen=True, slots=True)
class Normalized:
    """A normalised text and the positions of its characters in the original.

    starts: positions in `text` from which on the distance to the original is another one.
    shifts: that distance, one for each of `starts`. Both are empty if nothing was changed.
    """

    text: str
    starts: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()

    def original(self, position: int) -> int:
        """Return the position in the original of a position in the normalised text."""
        if not self.starts:
            return position
        index = bisect_right(self.starts, position) - 1
        return position if index < 0 else position + self.shifts[index]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original span of a span that is not empty."""
        return self.original(start), self.original(end - 1) + 1


def normalized(text: str) -> Normalized:
    """Return a text with compatible characters replaced and invisible ones removed.

    Each character is replaced by its NFKC form, each decimal digit of any script by the ASCII digit
    and each dash by a hyphen. Characters of category Cf (zero-width spaces and joiners, soft
    hyphens, marks of direction) and variation selectors are removed. Combining characters are not
    composed: a character of the original stands for one or several of the normal form, or none.
    """
    if text.isascii():
        return Normalized(text)
    changes = _changes()
    places = changes.changed.take(_code_points(text)).nonzero()[0].tolist()
    if not places:
        return Normalized(text)
    pieces: list[str] = []
    starts: list[int] = []
    shifts: list[int] = []
    length = end = 0
    for at in places:
        replacement = changes.replacements[text[at]]
        length += at - end
        pieces += (text[end:at], replacement)
        end = at + 1
        if len(replacement) != 1:
            for extra in range(1, len(replacement)):  # all of them stand for one character
                starts.append(length + extra)
                shifts.append(at - length - extra)
            length += len(replacement)
            starts.append(length)
            shifts.append(end - length)
        else:
            length += 1
    pieces.append(text[end:])
    return Normalized("".join(pieces), tuple(starts), tuple(shifts))


def prepare() -> None:
    """Build the table of characters, which takes 0.1 s, before the first text arrives."""
    _changes()


def _code_points(text: str) -> NDArray[np.unsignedinteger]:
    """Return the code points of a text of n characters, shape (n,)."""
    units = text.encode("utf-16-le", "surrogatepass")  # the encoder for 32 bits is half as fast
    if len(units) == 2 * len(text):
        return np.frombuffer(units, np.uint16)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class _Changes(NamedTuple):
    """What replaces characters. changed: whether there is something, by code point."""

    replacements: dict[str, str]
    changed: NDArray[np.bool_]


@cache
def _changes() -> _Changes:
    replacements = {}
    changed = np.zeros(sys.maxunicode + 1, np.bool_)
    for code in (*range(0x80, _LAST_SCANNED), *_COMPATIBILITY_IDEOGRAPHS, *_SPECIAL_PURPOSE):
        replacement = _replacement(chr(code))
        if replacement != chr(code):
            replacements[chr(code)] = replacement
            changed[code] = True
    return _Changes(replacements, changed)


def _replacement(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or ord(character) in _INVISIBLE or 0xE0100 <= ord(character) <= 0xE01EF:
        return ""
    if category == "Pd" or character == "\u2212":  # the minus sign
        return "-"
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return unicodedata.normalize("NFKC", character)
