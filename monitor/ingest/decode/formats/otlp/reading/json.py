"""Read OTLP in JSON. Values of attributes that are not wanted are not built.

Source: the JSON mapping of OTLP 1.9. Identifiers are hexadecimal, 64-bit integers may be texts,
unknown keys are ignored. Base64 identifiers, which general protobuf libraries write, are accepted.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from monitor.ingest.decode.formats.otlp.reading.entries import (
    Attributes,
    LogRecord,
    Span,
    SpanEvent,
)
from monitor.ingest.decode.formats.otlp.reading.wire import WIRE_BUILT, wire_json_spans
from monitor.ingest.decode.formats.otlp.wanted import LOG_NAMES, NAMES, SPAN_EVENTS, is_wanted
from monitor.ingest.decode.json_decoding import json_decoder
from monitor.records import RejectedRecord, RejectReason

_STATUS_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_MAX_DIGITS: Final = 40
_MAX_NANOSECONDS: Final = 2**64


class _Camel(msgspec.Struct, rename="camel", gc=False):
    """A message of OTLP. Fields may be null, which is the same as absent."""


class _AnyValue(_Camel):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _ArrayValue | None = None
    kvlist_value: _KeyValueList | None = None


class _ArrayValue(_Camel):
    values: list[_AnyValue] | None = None


class _NestedKeyValue(_Camel):
    key: str | None = None
    value: _AnyValue | None = None


class _KeyValueList(_Camel):
    values: list[_NestedKeyValue] | None = None


class _KeyValue(_Camel):
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"{}")


class _Event(_Camel):
    name: str | None = None
    time_unix_nano: int | str | float | None = None
    attributes: list[_KeyValue] | None = None


class _Status(_Camel):
    code: int | str | None = None
    message: str | None = None


class _Span(_Camel):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    start_time_unix_nano: int | str | float | None = None
    end_time_unix_nano: int | str | float | None = None
    status: _Status | None = None
    attributes: list[_KeyValue] | None = None
    events: list[_Event] | None = None


class _LogRecord(_Camel):
    event_name: str | None = None
    time_unix_nano: int | str | float | None = None
    observed_time_unix_nano: int | str | float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[_KeyValue] | None = None


class _Resource(_Camel):
    attributes: list[_KeyValue] | None = None


class _ScopeSpans(_Camel):
    spans: list[_Span] | None = None


class _ScopeLogs(_Camel):
    log_records: list[_LogRecord] | None = None


class _ResourceSpans(_Camel):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _ResourceLogs(_Camel):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Message(_Camel):
    resource_spans: list[_ResourceSpans] | None = None
    resource_logs: list[_ResourceLogs] | None = None


_message = json_decoder(_Message)
_one_span = json_decoder(_Span)
_any_value = json_decoder(_AnyValue)


def read_json(
    payload: bytes, *, most: int, natives: bool = WIRE_BUILT
) -> Sequence[Span | LogRecord | RejectedRecord]:
    """Return the spans and log records of a message, and why some of them are invalid.

    most: number of entries after which reading may stop. natives: whether usual calls may have a
    native record instead of attributes, which requires WIRE_BUILT.
    Raises RejectedRecord if the message is not OTLP.
    """
    found = wire_json_spans(payload, most) if natives else None
    if found is not None:
        try:
            return [
                _or_rejected(_span, _one_span(each), {}) if isinstance(each, bytes) else each
                for each in found
            ]
        except RejectedRecord:  # the structure is wrong: the whole message is rejected
            pass
    return list(islice(_entries(payload), most))


def _entries(payload: bytes) -> Iterator[Span | LogRecord | RejectedRecord]:
    message = _message(payload)
    if message.resource_spans is None and message.resource_logs is None:
        raise RejectedRecord(RejectReason.MISSING_FIELD, "neither resourceSpans nor resourceLogs")
    for spans in message.resource_spans or ():
        common = _resource_attributes(spans.resource)
        for scope in spans.scope_spans or ():
            for span in scope.spans or ():
                yield _or_rejected(_span, span, common)
    for logs in message.resource_logs or ():
        common = _resource_attributes(logs.resource, LOG_NAMES)
        for scope_logs in logs.scope_logs or ():
            for record in scope_logs.log_records or ():
                yield _or_rejected(_log_record, record, common)


def _or_rejected(read: Any, entry: Any, common: Attributes) -> Any:
    try:
        return read(entry, common)
    except RejectedRecord as error:
        return error.with_traceback(None)


def _resource_attributes(resource: _Resource | None, names: frozenset[str] = NAMES) -> Attributes:
    if resource is None or not resource.attributes:
        return {}
    try:
        return _attributes(resource.attributes, names)
    except RejectedRecord:  # of spans that do not need them
        return {}


def _span(span: _Span, common: Attributes) -> Span:
    attributes = _attributes(span.attributes or ())
    status = span.status
    code: int | str | None = 0 if status is None else status.code
    return Span(
        _hexadecimal(span.trace_id, 32),
        _hexadecimal(span.span_id, 16),
        _hexadecimal(span.parent_span_id, 16),
        _nanoseconds(span.start_time_unix_nano),
        _nanoseconds(span.end_time_unix_nano),
        _STATUS_CODES.get(code, 0) if isinstance(code, str) else code or 0,
        "" if status is None else status.message or "",
        {**common, **attributes} if common else attributes,
        [_event(each) for each in span.events or () if each.name in SPAN_EVENTS],
    )


def _event(event: _Event) -> SpanEvent:
    time = _nanoseconds(event.time_unix_nano)
    return SpanEvent(event.name or "", time, _attributes(event.attributes or ()))


def _log_record(record: _LogRecord, common: Attributes) -> LogRecord:
    attributes = _attributes(record.attributes or (), LOG_NAMES)
    name = record.event_name or attributes.get("event.name")
    time = _nanoseconds(record.time_unix_nano) or _nanoseconds(record.observed_time_unix_nano)
    return LogRecord(
        name if isinstance(name, str) else "",
        time,
        _hexadecimal(record.trace_id, 32),
        _hexadecimal(record.span_id, 16),
        {**common, **attributes} if common else attributes,
    )


def _attributes(pairs: Iterable[_KeyValue], names: frozenset[str] = NAMES) -> dict[str, Any]:
    """Return the wanted attributes. Raises RejectedRecord if the value of one has a wrong type."""
    found = {}
    for pair in pairs:
        key = pair.key
        if key is not None and is_wanted(key, names):
            try:
                value = _value(_any_value(bytes(pair.value)))
            except RejectedRecord as error:
                raise RejectedRecord(error.reason, f"attribute {key}: {error.detail}") from None
            if value is not None:
                found[key] = value
    return found


def _value(value: _AnyValue) -> Any:
    """Return the value; None if it has none, or if it is of bytes."""
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _number(value.int_value, int)
    if value.double_value is not None:
        return _number(value.double_value, float)
    if value.array_value is not None:
        return [_value(each) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        pairs = value.kvlist_value.values or ()
        return {pair.key or "": _value(pair.value or _AnyValue()) for pair in pairs}
    return value.bool_value


def _number(value: float | str, kind: Callable[[str], float]) -> float | str:
    """Return a number that may be a text; a text that is no number as it is."""
    if isinstance(value, str) and len(value) <= _MAX_DIGITS:
        try:
            return kind(value)
        except ValueError:
            return value
    return value


def _nanoseconds(value: float | str | None) -> int:
    """Return a time; 0 if there is none. Raises RejectedRecord if it is no time."""
    if value is None or value == "":
        return 0
    try:
        time = int(value) if not isinstance(value, str) or len(value) <= _MAX_DIGITS else -1
    except (ValueError, OverflowError):
        time = -1
    if not 0 <= time < _MAX_NANOSECONDS:
        raise RejectedRecord(RejectReason.BAD_TIMESTAMP, "time is not in nanoseconds since 1970")
    return time


def _hexadecimal(value: str | None, digits: int) -> str:
    """Return an identifier in lower case; "" if it is absent, or zero."""
    if not value:
        return ""
    if len(value) != digits:
        try:
            decoded = binascii.a2b_base64(value.encode(), strict_mode=True)
        except (binascii.Error, UnicodeEncodeError):
            decoded = b""
        if 2 * len(decoded) != digits:
            raise RejectedRecord(RejectReason.WRONG_TYPE, f"identifier is not {digits} digits long")
        value = decoded.hex()
    return value.lower() if value.strip("0") else ""
