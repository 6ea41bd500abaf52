"""Evaluation events of OpenTelemetry: `gen_ai.evaluation.result`, in OTLP.

They are log records (ExportLogsServiceRequest), or events of spans (ExportTraceServiceRequest);
`otel_protobuf` reads them from protobuf.
The value is `gen_ai.evaluation.score.value`, else a label such as "pass". The event refers to
`gen_ai.response.id`, else to the span that it belongs to. Source: semantic-conventions-genai,
model/gen-ai/events.yaml; opentelemetry-proto, logs/v1 and trace/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from monitor.ingest.decode.feedback.event import (
    DecodedFeedback,
    missing,
    number_of,
    seconds_of,
    span_id,
    text_of,
)

EVENT: Final = "gen_ai.evaluation.result"
_PREFIX: Final = "gen_ai.evaluation."


def decode(fields: dict[str, Any], found: DecodedFeedback, written: float) -> None:
    """Add the evaluation events of an export request. Raises RejectedRecord if it is invalid."""
    for record in _logs(fields.get("resourceLogs")):
        add_log(found, record, attributes_of(record.get("attributes")), written)
    for span in _spans(fields.get("resourceSpans")):
        events = _objects(span.get("events"), "events")
        add_span(found, span, [(e, attributes_of(e.get("attributes"))) for e in events], written)


def add_log(
    found: DecodedFeedback, record: dict[str, Any], attributes: dict[str, Any], written: float
) -> None:
    """Add a log record, if it is an evaluation event."""
    if (text_of(record, "eventName") or attributes.get("event.name")) != EVENT:
        found.skipped["other_log"] += 1
        return
    time = _nanoseconds(record, written, "timeUnixNano", "observedTimeUnixNano")
    _add(found, attributes, record, time)


def add_span(
    found: DecodedFeedback,
    span: dict[str, Any],
    events: Iterable[tuple[dict[str, Any], dict[str, Any]]],
    written: float,
) -> None:
    """Add the evaluation events of a span. events: with their attributes."""
    chosen = [each for each in events if each[0].get("name") == EVENT]
    found.skipped["span"] += not chosen
    for event, attributes in chosen:
        _add(found, attributes, span, _nanoseconds(event, written, "timeUnixNano"))


def _add(
    found: DecodedFeedback, attributes: dict[str, Any], place: dict[str, Any], time: float
) -> None:
    """Add an evaluation. place: the object that has the ids of the span."""
    if attributes.get("error.type") is not None:
        found.skipped["error"] += 1
        return
    reference = text_of(attributes, "gen_ai.response.id") or _span(place)
    value = attributes.get(f"{_PREFIX}score.value")
    if value is None or number_of(value) is None:
        value = attributes.get(f"{_PREFIX}score.label")
    found.add_named(
        reference,
        attributes.get(f"{_PREFIX}name"),
        value,
        time,
        model=text_of(attributes, "gen_ai.request.model"),
        user_id=text_of(attributes, "user.id"),
    )


def _span(place: dict[str, Any]) -> str:
    """Return the id of the span; ids are hexadecimal in OTLP JSON, in either case."""
    trace, span = text_of(place, "traceId"), text_of(place, "spanId")
    if trace is None:
        raise missing("gen_ai.response.id or traceId")
    return trace.lower() if span is None else span_id(trace.lower(), span.lower())


def _nanoseconds(fields: dict[str, Any], written: float, *names: str) -> float:
    """Return the first time that is given, in epoch seconds; `written` if there is none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return seconds_of(value / 1e9)
        if value not in (None, 0, "0", ""):
            raise missing(name, value)
    return written


def _logs(resources: Any) -> Iterator[dict[str, Any]]:
    for resource in _objects(resources, "resourceLogs"):
        for scope in _objects(resource.get("scopeLogs"), "scopeLogs"):
            yield from _objects(scope.get("logRecords"), "logRecords")


def _spans(resources: Any) -> Iterator[dict[str, Any]]:
    for resource in _objects(resources, "resourceSpans"):
        for scope in _objects(resource.get("scopeSpans"), "scopeSpans"):
            yield from _objects(scope.get("spans"), "spans")


def _objects(value: Any, name: str) -> Iterable[dict[str, Any]]:
    """Return a list of objects; nothing for null. Raises RejectedRecord for anything else."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise missing(name, value)
    return value


def attributes_of(value: Any) -> dict[str, Any]:
    """Return attributes by key, with the value of each AnyValue that is no list or map."""
    found: dict[str, Any] = {}
    for each in _objects(value, "attributes"):
        key, any_value = each.get("key"), each.get("value")
        if isinstance(key, str) and isinstance(any_value, dict):
            found[key] = _scalar(any_value)
    return found


def _scalar(any_value: dict[str, Any]) -> Any:
    for name in ("stringValue", "doubleValue", "boolValue"):
        if name in any_value:
            return any_value[name]
    integer = any_value.get("intValue")  # 64-bit integers are texts in JSON
    if isinstance(integer, str) and integer.lstrip("-").isdecimal() and len(integer) < 21:
        return int(integer)
    return integer
