"""Evaluation events of OpenTelemetry as OTLP in protobuf, read by the official library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from monitor.ingest.decode.feedback import otel
from monitor.ingest.decode.feedback.event import DecodedFeedback
from monitor.records import RejectedRecord, RejectReason

_SCALARS: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})


def decode(payload: bytes, found: DecodedFeedback, written: float, *, logs: bool) -> None:
    """Add the evaluation events of an export request.

    logs: whether it has log records; otherwise it has spans. An invalid event is the error of the
    result. Raises RejectedRecord if the bytes are no protobuf.
    """
    if logs:
        for resource in _parsed(LogsData(), payload).resource_logs:
            for record in (each for scope in resource.scope_logs for each in scope.log_records):
                fields = _place(record) | {
                    "eventName": record.event_name,
                    "timeUnixNano": record.time_unix_nano or record.observed_time_unix_nano,
                }
                attributes = _attributes(record.attributes)
                found.attempt(otel.add_log, fields, attributes, written)
        return
    for resource in _parsed(TracesData(), payload).resource_spans:
        for span in (each for scope in resource.scope_spans for each in scope.spans):
            events = [
                ({"name": e.name, "timeUnixNano": e.time_unix_nano}, _attributes(e.attributes))
                for e in span.events
            ]
            found.attempt(otel.add_span, _place(span), events, written)


def _parsed(message: Any, payload: bytes) -> Any:
    try:
        message.ParseFromString(payload)
    except (DecodeError, RecursionError):  # RecursionError: of the library without C
        raise RejectedRecord(RejectReason.NOT_PROTOBUF, "no protobuf message of OTLP") from None
    return message


def _place(entry: Any) -> dict[str, Any]:
    """Return the ids of an entry, in hexadecimal; those that are absent or zero are left out."""
    ids = {"traceId": entry.trace_id, "spanId": entry.span_id}
    return {name: value.hex() for name, value in ids.items() if any(value)}


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return the attributes that are no list or map."""
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        if kind in _SCALARS:
            found[pair.key] = getattr(pair.value, kind)
    return found
