"""The table of words, phrases and openings that the scanner looks up.

A word is up to MAX_LETTERS letters of 5 bits. A phrase or an opening has a key that is mixed from
those of its words; beginnings of phrases are in the table too. `_style.c` has the same rules.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

WORD_BITS: Final = 5
MAX_LETTERS: Final = 12
APOSTROPHE: Final = 27
FOREIGN: Final = 28
"""Code of a letter beyond ASCII."""
OPENING_WORDS: Final = 4
"""Longest opening, in words."""
LONG_WORD: Final = 1 << 60
"""Set in the key of a longer word, which has the first letters only."""
OPENING: Final = 1 << 61
PHRASE: Final = 1 << 62
_SPREAD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_SLOT: Final = struct.Struct("=Qii")
_BUCKET: Final = 4
NO_GROUP: Final = -1

Entries = dict[int, tuple[int, bool]]
"""Key -> column of the group (NO_GROUP: only the beginning of a phrase), and whether a phrase may
go on after it."""


def word_key(codes: Sequence[int]) -> int:
    """Return the key of a word of letters with these codes."""
    key = LONG_WORD if len(codes) > MAX_LETTERS else 0
    for place, code in enumerate(codes[:MAX_LETTERS]):
        key |= code << (WORD_BITS * place)
    return key


def next_key(key: int, word: int, kind: int) -> int:
    """Return the key of a sequence of words with one more word. kind: PHRASE, OPENING or 0."""
    mixed = ((key ^ word) * _SPREAD) & _MASK
    mixed ^= mixed >> 29
    return (mixed & (OPENING - 1)) | kind


def spread(key: int) -> int:
    """Return a key mixed over 64 bits."""
    return (key * _SPREAD) & _MASK


def entries(groups: Mapping[str, Sequence[str]], openings: Mapping[str, Sequence[str]]) -> Entries:
    """Return the entries of words and phrases, and of openings, by group.

    The column of a group is its position among `groups`, then `openings`. A text is words in lower
    case, separated by blanks.
    Raises ValueError if a text is in two groups.
    """
    found: Entries = {}
    for column, texts in enumerate(groups.values()):
        for text in texts:
            _add(found, list(_phrase_keys(text.split())), column)
    for column, texts in enumerate(openings.values(), len(groups)):
        for text in texts:
            _add(found, [_opening_key(text.split())], column)
    return found


def _add(found: Entries, keys: Sequence[int], column: int) -> None:
    """Add a text: its last key has the group, and the others are beginnings."""
    for key in keys[:-1]:
        found[key] = (found.get(key, (NO_GROUP, False))[0], True)
    group, goes_on = found.get(keys[-1], (NO_GROUP, False))
    if group != NO_GROUP:
        raise ValueError(f"a text of group {column} is in group {group} too")
    found[keys[-1]] = (column, goes_on)


def _phrase_keys(words: Sequence[str]) -> Iterator[int]:
    first = _key_of(words[0])
    yield first
    key = next_key(0, first, PHRASE)
    for word in words[1:]:
        key = next_key(key, _key_of(word), PHRASE)
        yield key


def _opening_key(words: Sequence[str]) -> int:
    key = 0
    for word in words:
        key = next_key(key, _key_of(word), OPENING)
    return key


def _key_of(word: str) -> int:
    return word_key([APOSTROPHE if c == "'" else ord(c) & 31 for c in word])


def packed(found: Entries, groups: int) -> bytes:
    """Return the entries as the scanner reads them: the factor of the hash, then the buckets.

    groups: number of groups; the column for entries without a group.
    """
    bits = max(1, (len(found) // 2).bit_length())
    factor = _SPREAD
    while (buckets := _buckets(found, factor, bits)) is None:
        factor = (factor * _SPREAD | 1) & _MASK
    empty = (0, (groups, False))
    slots = (slot for bucket in buckets for slot in [*bucket, *[empty] * _BUCKET][:_BUCKET])
    rows = [
        _SLOT.pack(key, groups if group == NO_GROUP else group, goes_on)
        for key, (group, goes_on) in slots
    ]
    return struct.pack("=Q", factor) + b"".join(rows)


def _buckets(
    found: Entries, factor: int, bits: int
) -> list[list[tuple[int, tuple[int, bool]]]] | None:
    """Return the entries by bucket; None if a bucket has too many with this factor."""
    buckets: list[list[tuple[int, tuple[int, bool]]]] = [[] for _ in range(1 << bits)]
    for key, value in found.items():
        bucket = buckets[(key * factor & _MASK) >> (64 - bits)]
        if len(bucket) == _BUCKET:
            return None
        bucket.append((key, value))
    return buckets
