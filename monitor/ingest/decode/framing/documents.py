"""The JSON objects of a message: one object, an array, or lines; also in a log shipper's record.

Log shippers such as Fluent Bit, Filebeat and Vector read lines of files and put each into an object
of their own, as text, `{"@timestamp": ..., "log": "<the line>"}`, or parsed, `"log": {...}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from monitor.ingest.decode.json_decoding import JSON_ERRORS, json_decoder, lenient_decoder
from monitor.records import RejectedRecord, RejectReason

MAX_BYTES: Final = 32 * 1024 * 1024
"""Bytes of one message."""
MAX_DOCUMENTS: Final = 100_000
"""Objects of one message."""
T = TypeVar("T")


class _Parsed(msgspec.Struct, gc=False):
    """The record of a log shipper with a parsed line."""

    log: msgspec.Raw = msgspec.Raw()


class _Shipped(msgspec.Struct, gc=False):
    """The record of a log shipper: a line of a log in `log` or `message`."""

    log: Any = None
    message: Any = None


_decode_parsed: Final = lenient_decoder(_Parsed)
_decode_shipped: Final = lenient_decoder(_Shipped)
_decode_members: Final = lenient_decoder(dict[str, msgspec.Raw])
_decode_array: Final = json_decoder(list[msgspec.Raw])
_JSON: Final = re.compile(r"[\[{]")
_NULL: Final = b"null"
_OBJECT_IN_LOG: Final = re.compile(rb'"log"\s*:\s*\{')
_TEXT_IN_LOG: Final = re.compile(rb'"(?:log|message)"\s*:\s*"')


def check_message_size(value: bytes) -> None:
    """Raise RejectedRecord if a message is larger than MAX_BYTES."""
    if len(value) > MAX_BYTES:
        raise RejectedRecord(RejectReason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_BYTES}")


def opened(value: bytes, key: bytes) -> bytes | None:
    """Return JSON in which a key occurs: a value, or the line in a log shipper's record.

    Returns None if the key does not occur. It may occur at any depth, but not within a text.
    """
    quoted, escaped = b'"%b"' % key, b'\\"%b\\"' % key
    if quoted not in value:
        return _line_in(value, key) if escaped in value else None
    if escaped in value and _TEXT_IN_LOG.search(value) is not None:
        # The shipper added what is in the line, or labels with the same name.
        members = _decode_members(value)
        if members is not None and key.decode() not in members:
            line = _line_in(value, key)
            if line is not None:
                return line
    return _parsed(value, quoted)


def _line_in(value: bytes, key: bytes) -> bytes | None:
    """Return the JSON in the line of a log shipper's record, if a key occurs in it."""
    shipped = _decode_shipped(value)
    line = None if shipped is None else shipped.log or shipped.message
    if not isinstance(line, str) or f'"{key.decode()}"' not in line:
        return None
    begin = _JSON.search(line)  # runtimes of containers put time and stream in front
    return None if begin is None else line[begin.start() :].encode("utf-8", "replace")


def _parsed(value: bytes, quoted: bytes) -> bytes:
    """Return the object in a log shipper's record, if a key occurs in it; else the value."""
    if _OBJECT_IN_LOG.search(value) is None:
        return value
    parsed = _decode_parsed(value)
    found = b"" if parsed is None else bytes(parsed.log)
    return found if found.startswith(b"{") and quoted in found else value


class Documents(Generic[T]):
    """Decoder of the JSON objects of messages: one object, an array, or lines.

    kind: type of the objects.
    """

    def __init__(self, kind: type[T]) -> None:
        self._one = json_decoder(kind)
        self._array = msgspec.json.Decoder(list[kind | None]).decode  # type: ignore[valid-type]  # built at run time

    def __call__(self, value: bytes) -> Iterator[T | RejectedRecord]:
        """Yield the objects. One that is invalid does not reject the others, and null is left out.

        Raises RejectedRecord if the message is not JSON, or has more than MAX_DOCUMENTS objects.
        """
        check_message_size(value)
        if _begins_with(value, b"["):
            yield from self._of_array(value)
            return
        try:
            yield self._one(value)
        except RejectedRecord:
            lines = value.splitlines() if b"\n" in value.strip() else []
            if len(lines) < 2 or not _is_json(lines[0]):
                raise
            yield from self.each(lines)

    def _of_array(self, value: bytes) -> Iterator[T | RejectedRecord]:
        try:
            found = self._array(value)
        except JSON_ERRORS:  # usually one element: decode the others without it
            yield from self.each([bytes(each) for each in _decode_array(value)])
        else:
            check_count(len(found))
            for document in found:
                if document is not None:
                    yield document

    def each(self, texts: Sequence[bytes]) -> Iterator[T | RejectedRecord]:
        """Yield the objects of texts, one in each."""
        check_count(len(texts))
        for text in texts:
            if text.strip() in (b"", _NULL):
                continue
            try:
                yield self._one(text)
            except RejectedRecord as error:
                yield error.with_traceback(None)


def first_document(kind: type[T]) -> Callable[[bytes], T | None]:
    """Return a function that decodes the first object of a message; None if there is none.

    It is for recognizing formats.
    kind: a type whose fields are `msgspec.Raw` and have defaults, so that every object has it.
    """
    one = lenient_decoder(kind)
    anything = kind | str | float | bool | list[msgspec.Raw] | None
    array = lenient_decoder(list[anything])  # type: ignore[valid-type]  # built at run time

    def first(value: bytes) -> T | None:
        if _begins_with(value, b"["):
            found = array(value) or []
            return next((each for each in found if isinstance(each, kind)), None)
        if not _begins_with(value, b"{"):
            return None
        whole: T | None = one(value)
        return one(value.lstrip().partition(b"\n")[0]) if whole is None else whole

    return first


def check_count(count: int) -> None:
    """Raise RejectedRecord if a message has more than MAX_DOCUMENTS objects."""
    if count > MAX_DOCUMENTS:
        detail = f"{count} objects, at most {MAX_DOCUMENTS}"
        raise RejectedRecord(RejectReason.TOO_LARGE, detail)


def _begins_with(value: bytes, mark: bytes) -> bool:
    return value[:64].lstrip()[:1] == mark


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except JSON_ERRORS:
        return False
    return True
