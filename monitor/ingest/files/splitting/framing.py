"""Split a stream into records: one per line, or JSON values that are laid out in any other way.

The beginning of a file decides. A file whose first value spans several lines (pretty-printed JSON),
is followed by another value on its line, or is an array is split into values; an array into its
elements. Any other file, valid or not, is split into lines, which is faster.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.ingest.decode.message import LogMessage
from monitor.ingest.files.streams import joined
from monitor.records import RejectedRecord

BATCH_BYTES = 2 * 1024 * 1024
"""Size of a batch of records: small enough that they fit into the cache of the CPU."""
MAX_VALUE_BYTES = 8 * 1024 * 1024
"""Size of a value after which it is cut: larger than every record that is accepted."""

_TOKEN: Final = re.compile(rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|["{}\[\]]')
"""A string, a bracket, or the quote of a string that does not end in the buffer."""
_BETWEEN: Final = b" \t\r\n,"
"""Bytes between two values."""
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
    if not text.startswith(b"{") or _is_json(text):
        return head, False
    splitter = _Splitter()
    while line:
        payloads, _ = splitter.feed(line)
        if payloads:
            return head, _is_json(payloads[0]) and not splitter.text_follows()
        if len(head) > MAX_VALUE_BYTES:
            break
        line = stream.readline(MAX_VALUE_BYTES)
        head += line
    return head, False


def _first_line(stream: io.BufferedReader) -> bytes:
    """Return the blank lines at the beginning and the first line that is not blank."""
    head = line = stream.readline(MAX_VALUE_BYTES)
    while line and not line.strip() and len(head) < MAX_VALUE_BYTES:
        line = stream.readline(MAX_VALUE_BYTES)
        head += line
    return head


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


class _Splitter:
    """Splits chunks of text into top-level JSON values and elements of top-level arrays.

    Text between values, values that do not end and values that are too large are returned like
    values: the decoder rejects them.

    depth: number of open brackets. base: depth of a value, 1 within a top-level array. begin: start
    of the current value, or of the text since the last one. line: line of `begin`.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.position = self.begin = self.depth = self.base = 0
        self.line = 1
        self.payloads: list[bytes] = []
        self.lines: list[int] = []

    def feed(self, chunk: bytes) -> tuple[list[bytes], list[int]]:
        """Return the values that end in the chunk, and the lines they begin in.

        An empty chunk is the end of the file.
        """
        self.payloads, self.lines = [], []
        self.buffer += chunk
        self._scan(final=not chunk)
        if not chunk or len(self.buffer) - self.begin > MAX_VALUE_BYTES:
            self._take(len(self.buffer))
            self.depth, self.position = self.base, len(self.buffer)
        self.buffer = self.buffer[self.begin :]
        self.position -= self.begin
        self.begin = 0
        return self.payloads, self.lines

    def text_follows(self) -> bool:
        """Return whether text that begins no value follows the last value."""
        rest = self.buffer.lstrip(_BETWEEN)
        return bool(rest) and not rest.startswith((b"{", b"["))

    def _scan(self, *, final: bool) -> None:
        for match in _TOKEN.finditer(self.buffer, self.position):
            token = match[0]
            if token == b'"' and not final and self.buffer.find(b"\n", match.start()) < 0:
                self.position = match.start()  # the string may end in the next chunk
                return
            if token in b"{[":
                self._open(match.start(), token)
            elif token in b"}]":
                self._close(match.end(), token)
        self.position = len(self.buffer)

    def _open(self, start: int, token: bytes) -> None:
        if self.depth == self.base:
            self._take(start)
            if token == b"[" and self.base == 0:
                self.base = 1
                self._skip(start + 1)
        self.depth += 1

    def _close(self, end: int, token: bytes) -> None:
        if self.depth > self.base:
            self.depth -= 1
            if self.depth == self.base:
                self._take(end)
        elif token == b"]" and self.base == 1:
            self._take(end - 1)
            self._skip(end)
            self.depth = self.base = 0

    def _take(self, end: int) -> None:
        """Add the text up to `end` to the values, unless it is blank."""
        payload = self.buffer[self.begin : end]
        text = payload.lstrip(_BETWEEN)
        if text:
            self._skip(end - len(text))
            self.payloads.append(text.rstrip(_BETWEEN))
            self.lines.append(self.line)
        self._skip(end)

    def _skip(self, end: int) -> None:
        self.line += self.buffer.count(b"\n", self.begin, end)
        self.begin = end
