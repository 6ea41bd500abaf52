"""Recognize OTLP by the shape of a message, without decoding it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from monitor.ingest.decode.message import LogMessage

TRACES: Final = "traces"
LOGS: Final = "logs"
METRICS: Final = "metrics"
HEADER: Final = "otelcol.signal"
"""Header of the Collector's Kafka exporter, with the name of the signal."""

_FIRST_KEY: Final = re.compile(rb'\s*\{\s*"resource(Spans|Logs|Metrics)"\s*:\s*[\[n]')
_SIGNALS: Final = {b"Spans": TRACES, b"Logs": LOGS, b"Metrics": METRICS}
_HEAD: Final = 200
_FIRST_TAG: Final = b"\x0a"

_ACCESS_KEY: Final = re.compile(rb'(?:"key"\s*:\s*"|\x0a[\x07-\x7f])gen_?ai[._]')
_EVENT: Final = re.compile(
    rb"gen_ai\.(?:client\.|evaluation\.result|choice|(?:system|user|assistant|tool)\.message)"
)

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_SPAN: Final = {
    **dict.fromkeys((1, 2, 3, 4, 5, 9, 11, 13, 15), _LEN),
    **dict.fromkeys((6, 10, 12, 14), _VARINT),
    **dict.fromkeys((7, 8), _I64),
    16: _I32,
}
"""Wire types of the fields of a span, by number. Source: opentelemetry-proto 1.9."""
_LOG_RECORD: Final = {
    **dict.fromkeys((1, 11), _I64),
    **dict.fromkeys((2, 7), _VARINT),
    **dict.fromkeys((3, 5, 6, 9, 10, 12), _LEN),
    8: _I32,
}
_VALUE_TAG: Final = b"\x12"
"""Tag of the second field of a message: a scope, an entry, or the value of an attribute."""
_MAX_HEAD: Final = 7
"""Bytes of a tag with a length."""
_MAX_FIELDS: Final = 50_000
"""Fields that are walked. A message has one for each of its resources, and few others until the end
of its first entry."""
_NESTED: Final = ({1: _LEN}, {1: _LEN, 2: _LEN, 3: _LEN}, {1: _LEN, 2: _LEN, 3: _LEN})
"""Fields of a message, of its resources, and of their scopes."""
_Fields = Iterator[tuple[int, int, int, int]]


def signal_of(message: LogMessage) -> str | None:
    """Return the signal of a message; None if it is no OTLP, whatever its bytes are."""
    payload = message.value
    found = _FIRST_KEY.match(payload[:_HEAD])
    if found is not None:
        return _SIGNALS[found[1]]
    if not payload.startswith(_FIRST_TAG):
        return None
    named = message.headers.get(HEADER)
    try:
        return _walked(payload, None if named is None else named.decode("ascii", "replace"))
    except ValueError:
        return TRACES if _is_cut(payload) else None


def is_access_log(payload: bytes) -> bool:
    """Return whether log records of OTLP are lines of an access log, as Envoy AI Gateway sends.

    They have attributes of language models, but none of the names of their events.
    """
    return _ACCESS_KEY.search(payload) is not None and _EVENT.search(payload) is None


def _walked(payload: bytes, named: str | None) -> str | None:
    """Return the signal of a message in protobuf. named: by a header.

    A message is a list of resources with scopes with entries; the first entry is looked at. Raises
    ValueError if the bytes are no protobuf.
    """
    budget = iter(range(_MAX_FIELDS))
    walked = _checked(payload, 0, len(payload), {1: _LEN}, budget)
    resources = [(start, end) for _, start, end in walked]
    for start, end in resources:
        for number, place, stop in _checked(payload, start, end, _NESTED[1], budget):
            if number == 2:
                entry = _first_entry(payload, place, stop, budget)
                if entry is not None:
                    return entry
    return named if named in (TRACES, LOGS, METRICS) else None


def _is_cut(payload: bytes) -> bool:
    """Return whether bytes are the beginning of a message in protobuf whose end is missing.

    Its rejection then names the format. Tags of values are control characters, which JSON has not.
    """
    if _VALUE_TAG not in payload:
        return False
    place = 0
    for depth, allowed in enumerate(_NESTED):
        cut = _cut_field(payload, place, allowed)
        if cut is None or (depth == 0 and cut == (0, len(payload))):
            return False
        number, place = cut
        if place == len(payload) or (depth > 0 and number != 2):  # not in a scope or an entry
            return True
    return True


def _cut_field(payload: bytes, start: int, allowed: Mapping[int, int]) -> tuple[int, int] | None:
    """Return number and start of the field that is not complete.

    The number is 0 if the bytes end between two fields or in a tag. Returns None if they are no
    such fields.
    """
    end = len(payload)
    for _ in range(_MAX_FIELDS):
        if start >= end:
            return 0, end
        try:
            tag, place = _varint(payload, start, end)
            size, place = _varint(payload, place, end)
        except ValueError:
            return (0, end) if end - start < _MAX_HEAD else None
        if allowed.get(tag >> 3) != tag & 7:
            return None
        start = place + size
        if start > end:
            return tag >> 3, place
    return None


def _first_entry(payload: bytes, start: int, end: int, budget: Iterator[int]) -> str | None:
    """Return the signal of the first entry of a scope; None if there is none that is known."""
    for number, place, stop in _checked(payload, start, end, _NESTED[2], budget):
        if number == 2:
            found = list(islice(_fields(payload, place, stop), _MAX_FIELDS))
            if _is_span(found):
                return TRACES
            if _is_log_record(found):
                return LOGS
            raise ValueError("another entry")
    return None


def _is_span(fields: list[tuple[int, int, int, int]]) -> bool:
    sizes = {number: stop - start for number, _, start, stop in fields}
    if sizes.get(1) != 16 or sizes.get(2) != 8 or not sizes.keys() & {7, 8}:
        return False
    return all(_SPAN.get(number, wire) == wire for number, wire, _, _ in fields)


def _is_log_record(fields: list[tuple[int, int, int, int]]) -> bool:
    if not any(number in (1, 11) and wire == _I64 for number, wire, _, _ in fields):
        return False
    return all(_LOG_RECORD.get(number, wire) == wire for number, wire, _, _ in fields)


def _checked(
    payload: bytes, start: int, end: int, wires: Mapping[int, int], budget: Iterator[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of fields.

    Raises ValueError if one is unknown, or if the budget has no item left for one.
    """
    for number, wire, place, stop in _fields(payload, start, end):
        if next(budget, None) is None:
            raise ValueError("too many fields")
        if wires.get(number) != wire:
            raise ValueError("an unknown field")
        yield number, place, stop


def _fields(payload: bytes, start: int, end: int) -> _Fields:
    """Yield number, wire type, start and end of the fields of a message.

    Raises ValueError if they do not fill it exactly.
    """
    while start < end:
        tag, start = _varint(payload, start, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("a field with the number 0")
        if wire == _LEN:
            size, start = _varint(payload, start, end)
        elif wire == _VARINT:
            _, stop = _varint(payload, start, end)
            size = stop - start
        elif wire in (_I64, _I32):
            size = 8 if wire == _I64 else 4
        else:
            raise ValueError("a wire type of groups")
        if size > end - start:
            raise ValueError("a field beyond the end")
        yield number, wire, start, start + size
        start += size


def _varint(payload: bytes, start: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while start < end and shift < 70:
        byte = payload[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    raise ValueError("a damaged number")
