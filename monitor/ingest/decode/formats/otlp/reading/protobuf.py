"""Read OTLP in protobuf, with the official library (upb), or faster with the C extension `_wire`.

The extension leaves every message to the library that has anything unusual, and both give the same
spans and log records. Source: opentelemetry-proto 1.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from monitor.ingest.decode.formats.otlp.reading.entries import (
    Attributes,
    LogRecord,
    Span,
    SpanEvent,
)
from monitor.ingest.decode.formats.otlp.reading.wire import (
    WIRE_BUILT,
    wire_log_records,
    wire_spans,
)
from monitor.ingest.decode.formats.otlp.wanted import LOG_NAMES, NAMES, SPAN_EVENTS, is_wanted
from monitor.records import RejectedRecord, RejectReason

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_SCALARS: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})


def read_protobuf(
    payload: bytes, *, logs: bool, most: int, wire: bool = WIRE_BUILT, natives: bool = True
) -> Sequence[Span | LogRecord | RejectedRecord]:
    """Return the spans or log records of a message, and why some of them are invalid.

    logs: what the message has. most: number of entries after which reading may stop.
    wire: whether to use the extension; it affects the speed only.
    natives: whether usual calls may have a native record instead of attributes.
    Raises RejectedRecord if the message is no protobuf of OTLP.
    """
    found: Sequence[Span | LogRecord] | None = None
    if wire:
        found = (
            wire_log_records(payload, most) if logs else wire_spans(payload, most, natives=natives)
        )
    if found is not None:
        return found
    entries = _logs(payload) if logs else _spans(payload)
    return list(islice(entries, most))


def _spans(payload: bytes) -> Iterator[Span | RejectedRecord]:
    for spans in _parsed(trace_pb2.TracesData(), payload).resource_spans:
        common = _attributes(spans.resource.attributes)
        for scope in spans.scope_spans:
            for span in scope.spans:
                try:
                    yield _span(span, common)
                except RejectedRecord as error:
                    yield error.with_traceback(None)


def _logs(payload: bytes) -> Iterator[LogRecord | RejectedRecord]:
    for logs in _parsed(logs_pb2.LogsData(), payload).resource_logs:
        common = _attributes(logs.resource.attributes, LOG_NAMES)
        for scope in logs.scope_logs:
            for record in scope.log_records:
                try:
                    yield _log_record(record, common)
                except RejectedRecord as error:
                    yield error.with_traceback(None)


def _parsed(message: Any, payload: bytes) -> Any:
    try:
        message.ParseFromString(payload)
    except (DecodeError, RecursionError):  # RecursionError: of the library without C
        raise RejectedRecord(RejectReason.NOT_PROTOBUF, "no protobuf message of OTLP") from None
    return message


def _span(span: trace_pb2.Span, common: Attributes) -> Span:
    attributes = _attributes(span.attributes)
    return Span(
        _hexadecimal(span.trace_id, _TRACE_BYTES),
        _hexadecimal(span.span_id, _SPAN_BYTES),
        _hexadecimal(span.parent_span_id, _SPAN_BYTES),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code,
        span.status.message,
        {**common, **attributes} if common else attributes,
        [_event(event) for event in span.events if event.name in SPAN_EVENTS],
    )


def _event(event: trace_pb2.Span.Event) -> SpanEvent:
    return SpanEvent(event.name, event.time_unix_nano, _attributes(event.attributes))


def _log_record(record: logs_pb2.LogRecord, common: Attributes) -> LogRecord:
    attributes = _attributes(record.attributes, LOG_NAMES)
    name = record.event_name or attributes.get("event.name")
    return LogRecord(
        name if isinstance(name, str) else "",
        record.time_unix_nano or record.observed_time_unix_nano,
        _hexadecimal(record.trace_id, _TRACE_BYTES),
        _hexadecimal(record.span_id, _SPAN_BYTES),
        {**common, **attributes} if common else attributes,
    )


def _attributes(pairs: Iterable[KeyValue], names: frozenset[str] = NAMES) -> dict[str, Any]:
    """Return the wanted attributes that have a value."""
    found = {}
    for pair in pairs:
        if is_wanted(key := pair.key, names) and (value := _value(pair.value)) is not None:
            found[key] = value
    return found


def _value(value: AnyValue) -> Any:
    """Return the value; None if it has none, or if it is of bytes."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind in _SCALARS else None


def _hexadecimal(value: bytes, size: int) -> str:
    """Return an identifier; "" if it is absent, or zero."""
    if len(value) not in (0, size):
        raise RejectedRecord(RejectReason.WRONG_TYPE, f"identifier is not {size} bytes long")
    return value.hex() if any(value) else ""
