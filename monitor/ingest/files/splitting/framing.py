"""Split a stream into records: one per line, or JSON values that are laid out in any other way.

The beginning of a file decides. A file whose first value spans several lines (pretty-printed JSON),
is followed by another value on its line, or is an array is split into values; an array into its
elements. Any other file, valid or not, is split into lines, which is faster. After a damaged value
reading resumes at the next one (`recovery`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitor.ingest.decode.message import LogMessage
from monitor.ingest.files.splitting.recovery import (
    first_key,
    is_json,
    is_well_nested,
    values_after,
)
from monitor.ingest.files.streams import joined
from monitor.records import RejectedRecord

BATCH_BYTES = 2 * 1024 * 1024
"""Size of a batch of records: small enough that they fit into the cache of the CPU."""
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""Size of a value after which it is cut: larger than every record that is accepted."""
MAX_KEYS: Final = 16
"""Number of first keys of values that are kept to find the value after a damaged one."""

_TOKEN: Final = re.compile(rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+(?:"|())|[{}\[\]]')
"""A string, or a bracket. The group is in a string that does not end on its line."""
_BETWEEN: Final = b" \t\r\n,"
"""Bytes between two values."""
_NO_VALUE: Final = _BETWEEN + b"[]"
"""Bytes of which text between two values is not counted as a value that cannot be read."""
_ARRAY: Final = re.compile(rb"\[\s*(?:[{\]]|$)")
"""The beginning of an array of objects. Lines of text logs begin with `[` too."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A batch of undecoded messages.

    lines: line of the file in which each begins, from 1. numbers: number of each in a file that is
    not one message per line, otherwise None. size: bytes read.
    Only of messages in envelopes: lines_of_text: the lines they are in. keys, headers: of each,
    with names as written. invalid: why a line is no envelope, by index.
    """

    payloads: list[bytes]
    lines: range | list[int]
    numbers: range | None
    size: int
    lines_of_text: list[bytes] | None = None
    keys: Sequence[bytes | None] | None = None
    headers: Sequence[Mapping[str, bytes]] | None = None
    invalid: Mapping[int, RejectedRecord] = field(default_factory=dict)

    def number(self, index: int) -> int | None:
        """Return the number of a message in its file; None if the lines are the messages."""
        return None if self.numbers is None else self.numbers[index]

    def message(self, index: int) -> LogMessage:
        """Return a message as decoders read it."""
        if self.headers is None:
            return LogMessage(self.payloads[index])
        headers = {name.lower(): value for name, value in self.headers[index].items()}
        return LogMessage(self.payloads[index], headers)

    def is_blank(self, index: int) -> bool:
        """Return whether a message is a blank line, which is no message."""
        return not (self.lines_of_text or self.payloads)[index].strip()


def split(stream: io.BufferedReader) -> Iterator[Pieces]:
    """Yield the records of a stream in batches of about BATCH_BYTES."""
    head, by_value = _look_ahead(stream)
    if head:
        stream = joined(head, stream)
    return _values(stream) if by_value else _lines(stream)


def _lines(stream: io.BufferedReader) -> Iterator[Pieces]:
    first = 1
    while lines := stream.readlines(BATCH_BYTES):
        numbers = range(first, first + len(lines))
        yield Pieces(lines, numbers, None, sum(map(len, lines)))
        first += len(lines)


def _values(stream: io.BufferedReader) -> Iterator[Pieces]:
    splitter, first = _Splitter(), 1
    while True:
        chunk = stream.read(BATCH_BYTES)
        payloads, lines = splitter.feed(chunk)
        yield Pieces(payloads, lines, range(first, first + len(payloads)), len(chunk))
        first += len(payloads)
        if not chunk:
            return


def _look_ahead(stream: io.BufferedReader) -> tuple[bytes, bool]:
    """Return the bytes that were read, and whether the file is split into values."""
    head = line = _first_line(stream)
    text = line.strip()
    if _ARRAY.match(text):
        return head, True
    if not text.startswith(b"{") or is_json(text):
        return head, False
    if text == b"{":  # no record is so short: a value in several lines, even if it is damaged
        return head, True
    splitter, chunk = _Splitter(), head
    while chunk:
        payloads, _ = splitter.feed(chunk)
        if payloads:
            return head, is_json(payloads[0]) and not splitter.text_follows(payloads[1:])
        if len(head) > MAX_VALUE_BYTES:
            break
        chunk = _whole_lines(stream, len(head))
        head += chunk
    return head, False


def _whole_lines(stream: io.BufferedReader, size: int) -> bytes:
    """Return the next lines with at least `size` bytes, if there are as many."""
    lines = list[bytes]()
    while size > 0 and (line := stream.readline(MAX_VALUE_BYTES)):
        lines.append(line)
        size -= len(line)
    return b"".join(lines)


def _first_line(stream: io.BufferedReader) -> bytes:
    """Return the blank lines at the beginning and the first line that is not blank."""
    head = line = stream.readline(MAX_VALUE_BYTES)
    while line and not line.strip() and len(head) < MAX_VALUE_BYTES:
        line = stream.readline(MAX_VALUE_BYTES)
        head += line
    return head


class _Splitter:
    """Splits chunks of text into top-level JSON values and elements of top-level arrays.

    Text between values, values that do not end and values that are too large are returned like
    values, without the valid ones in them: the decoder rejects them.

    depth: number of open brackets. base: depth of a value, 1 within a top-level array. begin: start
    of the current value, or of the text since the last one. line: line of `begin`. keys: first
    keys of the values. The buffer begins with a newline, because the first value begins a line.
    """

    def __init__(self) -> None:
        self.buffer = b"\n"
        self.position = self.begin = self.depth = self.base = self.line = 0
        self.payloads: list[bytes] = []
        self.lines: list[int] = []
        self.keys: set[bytes] = set()

    def feed(self, chunk: bytes) -> tuple[list[bytes], list[int]]:
        """Return the values that end in the chunk, and the lines they begin in.

        An empty chunk is the end of the file.
        """
        self.payloads, self.lines = [], []
        self.buffer += chunk
        while self._scan(final=not chunk):
            self.position = self.begin
        if not chunk or len(self.buffer) - self.begin > MAX_VALUE_BYTES:
            self._take(len(self.buffer), final=not chunk)
            self.depth, self.position = self.base, self.begin
        self.buffer = self.buffer[self.begin :]
        self.position -= self.begin
        self.begin = 0
        return self.payloads, self.lines

    def text_follows(self, payloads: Sequence[bytes]) -> bool:
        """Return whether text that begins no value follows a value. payloads: those after it."""
        rest = payloads[0] if payloads else self.buffer.lstrip(_BETWEEN)
        return bool(rest) and not rest.startswith((b"{", b"["))

    def _scan(self, *, final: bool) -> bool:
        """Scan the buffer. Return whether to scan again, from `begin`: it begins a new value."""
        for match in _TOKEN.finditer(self.buffer, self.position):
            token = match[0]
            if match.lastindex and not final and self.buffer.find(b"\n", match.end()) < 0:
                self.position = match.start()  # the string may end in the next chunk
                return False
            if token in b"{[":
                if self._open(match.start(), token):
                    return True
            elif token in b"}]" and self._close(match.end(), token):
                return True
        self.position = len(self.buffer)
        return False

    def _open(self, start: int, token: bytes) -> bool:
        if self.depth == self.base:
            if self._take(start):
                return True
            if token == b"[" and self.base == 0:
                self.base = 1
                self._skip(start + 1)
        self.depth += 1
        return False

    def _close(self, end: int, token: bytes) -> bool:
        if self.depth > self.base:
            self.depth -= 1
            return self.depth == self.base and self._take(end)
        if token == b"]" and self.base == 1:
            if self._take(end - 1):
                return True
            self._skip(end)
            self.depth = self.base = 0
        return False

    def _take(self, end: int, *, final: bool = False) -> bool:
        """Add the text up to `end` to the values, unless it is blank; if it is damaged, also the
        values in it.

        final: whether the file ends there. Return whether the last of these values may end later;
        it is left.
        """
        text = self.buffer[self.begin : end].lstrip(_BETWEEN)
        if not text:
            self._skip(end)
        elif is_json(text):
            self._add_value(end)
        elif b"{" not in text or is_well_nested(text):
            self._add_text(end)
        else:
            return self._recover(end, text, final=final)
        return False

    def _recover(self, end: int, text: bytes, *, final: bool) -> bool:
        """Add the damaged text up to `end` and the values in it, see `_take`."""
        start = end - len(text)
        _, newline, indent = self.buffer[self.begin : start].rpartition(b"\n")
        layout = indent if newline and not indent.strip() else None
        may_continue = 0 if final else MAX_VALUE_BYTES // 8
        found = values_after(text, layout, self.keys, may_continue=may_continue)
        for first, last in found.values:
            self._add_text(start + first)
            self._add_value(start + last)
        self._add_text(start + found.rest)
        self.depth = self.base = 0  # whether an array is open is not known any more
        return found.rest < len(text)

    def _add_text(self, end: int) -> None:
        """Add the text up to `end` as it is, unless it has commas and brackets of arrays only."""
        if self.buffer[self.begin : end].strip(_NO_VALUE):
            self._add(end)
        else:
            self._skip(end)

    def _add_value(self, end: int) -> None:
        """Add the valid value that ends at `end`."""
        self._add(end)
        key = first_key(self.payloads[-1]) if len(self.keys) < MAX_KEYS else None
        if key is not None:
            self.keys.add(key)

    def _add(self, end: int) -> None:
        text = self.buffer[self.begin : end].lstrip(_BETWEEN)
        self._skip(end - len(text))
        self.payloads.append(text.rstrip(_BETWEEN))
        self.lines.append(self.line)
        self._skip(end)

    def _skip(self, end: int) -> None:
        self.line += self.buffer.count(b"\n", self.begin, end)
        self.begin = end
