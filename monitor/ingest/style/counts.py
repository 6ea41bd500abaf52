"""Counts of marks, layout and words of texts, by the C extension `_style` or by Python.

Both give the same counts. Python takes a thousand times as long: it is for installations without a
C compiler, and states the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.style import table
from monitor.ingest.style.words import GROUPS, OPENINGS

try:
    from monitor.ingest.style import _style
except ImportError:  # installed without a C compiler
    SCANNER_BUILT = False
else:
    SCANNER_BUILT = True

FIXED: Final = (
    *("chars", "words", "letters", "upper", "digits", "lines", "paragraphs", "sentences", "bold"),
    *("headings", "bullets", "numbered", "fences", "ticks", "tables", "links", "exclamations"),
    *("questions", "colons", "semicolons", "commas", "parentheses", "quotes", "dashes"),
    *("ellipses", "emoji", "accented", "cyrillic", "cjk", "other_script", "colon_lines"),
    *("contractions", "long_words", "repeated", "equals", "backslashes", "braces", "first", "last"),
)
"""Columns in the order of `_style.c`. first, last: first byte and last character that is not blank.
The others are numbers of occurrences."""
COLUMNS: Final = (*FIXED, *GROUPS, *OPENINGS)
INDEX: Final = {name: index for index, name in enumerate(COLUMNS)}

LONG_LETTERS: Final = 9
SEEN_BITS: Final = 14

_ENTRIES: Final = table.entries(GROUPS, OPENINGS)
_GROUPS: Final = len(GROUPS) + len(OPENINGS)
_TABLE: Final = table.packed(_ENTRIES, _GROUPS)
_BLANK: Final = frozenset(" \t\r\n")
_MARKS: Final = {
    **{"!": "exclamations", "?": "questions", ":": "colons", ";": "semicolons", ",": "commas"},
    **{"(": "parentheses", '"': "quotes", "`": "ticks", "=": "equals", "\\": "backslashes"},
    **{"{": "braces", "\N{EM DASH}": "dashes", "\u201c": "quotes", "\u201d": "quotes"},
    **{"\xab": "quotes", "\xbb": "quotes", "\u2026": "ellipses", "\u2b50": "emoji"},
    **dict.fromkeys("0123456789", "digits"),
}
_RANGES: Final = (
    (0xC0, 0x250, "accented"),
    (0x400, 0x530, "cyrillic"),
    (0x3040, 0x3100, "cjk"),
    (0x3400, 0xA000, "cjk"),
    (0xAC00, 0xD7B0, "cjk"),
    (0x370, 0x2000, "other_script"),
    (0x1F300, 0x1FB00, "emoji"),
    (0x2600, 0x27C0, "emoji"),
)
"""Characters from, below, column; the first one that fits."""


def counts(texts: Sequence[str]) -> NDArray[np.int32]:
    """Return the counts of n texts, shape (n, len(COLUMNS))."""
    scan = scan_native if SCANNER_BUILT else scan_python
    return scan([text.encode("utf-8", "replace") for text in texts])


def scan_native(texts: Sequence[bytes]) -> NDArray[np.int32]:
    """Return the counts of UTF-8 texts, by the C extension."""
    rows = np.frombuffer(_style.scan(texts, _TABLE, _GROUPS), np.int32)
    return rows.reshape(len(texts), len(COLUMNS))


def scan_python(texts: Sequence[bytes]) -> NDArray[np.int32]:
    """Return the counts of valid UTF-8 texts, by Python."""
    rows = [_Scan(text.decode("utf-8")).row for text in texts]
    return np.array(rows, np.int32).reshape(len(texts), len(COLUMNS))


class _Scan:
    """The scan of one text. row: its counts."""

    def __init__(self, text: str) -> None:
        self.row = [0] * len(COLUMNS)
        self.text = text
        self.word: list[int] = []
        self.before = [0, 0]
        self.opening = self.phrase = 0
        self.since_sentence = 0
        self.seen: set[int] = set()
        self._run()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a column."""
        self.row[INDEX[name]] += by

    def _run(self) -> None:
        text, at, line_start, after_blank = self.text, 0, True, True
        while at < len(text):
            c = text[at]
            if c in _BLANK:
                self._end_word()
                if c == "\n":
                    self._end_sentence()
                    after_blank, line_start = line_start, True
                at += 1
                continue
            if line_start:
                self._begin_line(at, after_blank)
                line_start = after_blank = False
            self.row[INDEX["last"]] = ord(c)
            at += self._read(c, at)
        self.row[INDEX["chars"]] = len(text)
        self._end_word()
        self._end_sentence()

    def _begin_line(self, at: int, after_blank: bool) -> None:
        rest = self.text[at:]
        if not self.row[INDEX["lines"]]:
            self.row[INDEX["first"]] = rest[0].encode()[0]
        self.count("lines")
        self.count("paragraphs", after_blank)
        digits = 0
        while digits < len(rest) and rest[digits] in "0123456789":
            digits += 1
        if rest[0] in "#|":
            self.count("headings" if rest[0] == "#" else "tables")
        elif rest[:2] in {"- ", "* ", "+ "} or rest[0] == "\N{BULLET}":
            self.count("bullets")
        elif rest.startswith("```"):
            self.count("fences")
        elif digits and rest[digits : digits + 2] in {". ", ") "}:
            self.count("numbered")

    def _read(self, c: str, at: int) -> int:
        """Count a character that is not blank; return the number of characters that are read."""
        following = self.text[at + 1 : at + 2]
        if c.isascii() and c.isalpha():
            self.word.append(ord(c) & 31)
            self.count("upper", c.isupper())
        elif c in "'\u2019" and self.word and following.isascii() and following.isalpha():
            self.word.append(table.APOSTROPHE)
        elif _is_foreign_letter(c):
            self._count_foreign(c)
            self.word.append(table.FOREIGN)
        else:
            self._end_word()
            return self._mark(c, at)
        return 1

    def _mark(self, c: str, at: int) -> int:
        rest = self.text[at : at + 3]
        if rest[:2] == "**":
            self.count("bold")
            return 2
        if rest == "...":
            self.count("ellipses")
            return 3
        if c in "!?" or (c == "." and (len(rest) == 1 or rest[1] in _BLANK)):
            self._end_sentence()
        if c == ":":
            self.count("colon_lines", len(rest) == 1 or rest[1] == "\n")
            self.count("links", rest == "://")
        if c == "]":
            self.count("links", rest[1:2] == "(")
        if c in _MARKS:
            self.count(_MARKS[c])
        elif not c.isascii():
            self._count_foreign(c)
        return 1

    def _count_foreign(self, c: str) -> None:
        for low, high, name in _RANGES:
            if low <= ord(c) < high:
                self.count(name, name != "accented" or _is_foreign_letter(c))
                return

    def _group(self, key: int) -> bool:
        """Count the group of a key; return whether a phrase may go on after it."""
        group, goes_on = _ENTRIES.get(key, (table.NO_GROUP, False))
        if group != table.NO_GROUP:
            self.row[len(FIXED) + group] += 1
        return goes_on

    def _end_word(self) -> None:
        codes, self.word = self.word, []
        if not codes:
            return
        word = table.word_key(codes)
        goes_on = self._group(word)
        if self.phrase:
            self.phrase = table.next_key(self.phrase, word, table.PHRASE)
            if not self._group(self.phrase):
                self.phrase = 0
        if not self.phrase and goes_on:
            self.phrase = table.next_key(0, word, table.PHRASE)
        words = self.row[INDEX["words"]]
        if words < table.OPENING_WORDS:
            self.opening = table.next_key(self.opening, word, table.OPENING)
            self._group(self.opening)
        self.count("words")
        self.count("letters", len(codes))
        self.count("long_words", len(codes) >= LONG_LETTERS)
        self.count("contractions", table.APOSTROPHE in codes)
        if words >= 2:
            self._count_repeated(word)
        self.before = [self.before[1], word]
        self.since_sentence += 1

    def _count_repeated(self, word: int) -> None:
        """Count three words that were there before; different ones seldom share a bit."""
        three = table.next_key(table.next_key(self.before[0], self.before[1], 0), word, 0)
        bit = table.spread(three) >> (64 - SEEN_BITS)
        self.count("repeated", bit in self.seen)
        self.seen.add(bit)

    def _end_sentence(self) -> None:
        self.count("sentences", self.since_sentence > 0)
        self.since_sentence = 0


def _is_foreign_letter(c: str) -> bool:
    return 0xC0 <= ord(c) < 0x2000 and c not in "\xd7\xf7"
